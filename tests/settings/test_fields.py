"""A setting's default, range and choices stand in one place, and the checks follow from them."""

import math
from dataclasses import dataclass, fields

import pytest

from crossreid.errors import ConfigError
from crossreid.settings.fields import REQUIRED, Settings, describe, from_plain, meaning_of, setting
from crossreid.settings.registry import built_in_methods, method_settings


@dataclass
class Inner(Settings):
    width: int = setting(8, "of a layer", at_least=1)


@dataclass
class Example(Settings):
    rate: float = setting(0.1, "learning rate", above=0, at_most=1)
    count: int | None = setting(None, "of something", at_least=2)
    kind: str = setting("one", "of two", choices=("one", "two"))
    steps: list[int] = setting([1, 2], "epochs", at_least=0, ascending=True)
    names: list[str] = setting(["one"], "parts", choices=("one", "two"), distinct=True, filled=True)
    size: list[int] = setting([4, 2], "height and width", length=2, at_least=1)
    flag: bool = setting(False, "a switch")
    inner: Inner = setting(Inner(width=3), "a part")
    parts: dict[str, Inner] = setting({"first": Inner(width=5)}, "parts by name")


@pytest.mark.parametrize(
    "value",
    [
        {"rate": 1},
        {"rate": 1e-9},
        {"count": 2},
        {"count": None},
        {"kind": "two"},
        {"steps": []},
        {"steps": [0]},
        {"names": ["two", "one"]},
        {"size": (1, 1)},
        {"inner": Inner(1)},
        {"parts": {"any": Inner(1)}},
    ],
)
def test_what_a_range_reaches_is_taken(value: dict[str, object]) -> None:
    Example(**value).check("model")


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ({"rate": 0}, r"^model.rate is 0: choose above 0 and 1 or less \(learning rate\)\.$"),
        ({"rate": 1.5}, "model.rate is 1.5: choose above 0 and 1 or less"),
        ({"rate": math.nan}, "model.rate is nan: give a finite number"),
        ({"rate": math.inf}, "model.rate is inf: give a finite number"),
        ({"rate": True}, "model.rate is True: give a number"),
        ({"rate": "fast"}, "model.rate is 'fast': give a number"),
        ({"rate": None}, "model.rate is None: give a number"),
        ({"count": 1}, r"model.count is 1: choose 2 or more \(of something\)"),
        ({"count": 2.5}, "model.count is 2.5: give a whole number, or null"),
        ({"kind": "three"}, "model.kind is 'three': choose from one, two"),
        ({"steps": [2, 2]}, "model.steps is .*: give entries in ascending order"),
        ({"steps": [-1]}, "model.steps is -1: choose 0 or more"),
        ({"steps": 3}, "model.steps is 3: give a list of whole numbers"),
        ({"names": []}, "model.names needs at least one entry: choose from one, two"),
        ({"names": ["one", "one"]}, "name each entry once"),
        ({"names": ["six"]}, "model.names is 'six': choose from one, two"),
        ({"size": [1]}, "model.size is .*: give 2 entries"),
        ({"flag": 1}, "model.flag is 1: give true or false"),
        ({"inner": Inner(0)}, "model.inner.width is 0: choose 1 or more"),
        ({"inner": 4}, "model.inner is 4: give a group of settings"),
        ({"parts": {"first": Inner(0)}}, "model.parts.first.width is 0: choose 1 or more"),
    ],
)
def test_what_cannot_be_is_said_in_one_sentence(value: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message) as caught:
        Example(**value).check("model")
    assert "\n" not in str(caught.value)


def test_what_must_be_given_has_no_default() -> None:
    @dataclass
    class Needy(Settings):
        root: str = setting(REQUIRED, "the folder")

    with pytest.raises(ConfigError, match=r"data.root has no default: give it \(the folder\)"):
        Needy().check("data")


def test_plain_values_become_settings_and_keep_the_defaults_of_their_field() -> None:
    read = from_plain(Example, {"inner": {}, "parts": {"first": {}, "other": {"width": 2}}, "steps": (3, 4)})
    assert (read.inner.width, read.parts["first"].width, read.parts["other"].width) == (3, 5, 2)
    assert read.steps == [3, 4]
    assert from_plain(Example, Example(rate=0.5).plain()) == Example(rate=0.5)


def test_text_from_a_file_is_taken_literally() -> None:
    read = from_plain(Example, {"kind": "${oc.env:HOME}"})
    with pytest.raises(ConfigError, match=r"oc\.env:HOME"):
        read.check("model")


def test_an_unknown_key_is_named_with_the_nearest_one() -> None:
    with pytest.raises(ConfigError, match=r"There is no setting 'model\.kint': did you mean model\.kind\?"):
        from_plain(Example, {"kint": "one"}, "model")
    with pytest.raises(ConfigError, match=r"'model\.inner\.widht': did you mean model\.inner\.width\?"):
        from_plain(Example, {"inner": {"widht": 1}}, "model")


def test_defaults_are_copied_for_each_object() -> None:
    first, second = Example(), Example()
    first.steps.append(9)
    first.parts["first"].width = 7
    assert (second.steps, second.parts["first"].width) == ([1, 2], 5)


def test_all_settings_can_be_described() -> None:
    told = {item.key: item for item in describe(Example(), "model")}
    assert told["model.parts.first.width"].default == 5
    assert told["model.rate"].meaning.values == "above 0 and 1 or less"
    assert told["model.count"].kind == "a whole number, or null"


@pytest.mark.parametrize("name", built_in_methods())
def test_every_setting_of_every_method_has_a_meaning(name: str) -> None:
    for item in describe(method_settings(name)(), "model"):
        assert item.meaning.text, item.key


@pytest.mark.parametrize("name", built_in_methods())
def test_every_number_of_every_method_has_a_range(name: str) -> None:
    """At its bounds a value is taken, outside them, at nan and inf it is not."""
    checked = 0
    for settings, place in _all_settings(method_settings(name)()):
        for item in fields(settings):
            value, meaning = getattr(settings, item.name), meaning_of(item)
            if isinstance(value, bool) or not isinstance(value, int | float):
                continue
            assert meaning.values, f"{place}.{item.name} has no range"
            for wrong in _outside(meaning, isinstance(value, int)):
                broken = type(settings)(**{**_shallow(settings), item.name: wrong})
                with pytest.raises(ConfigError, match=item.name):
                    Settings.check(broken, place)
                checked += 1
    assert checked >= 5


def _all_settings(settings: Settings, place: str = "model"):
    yield settings, place
    for item in fields(settings):
        value = getattr(settings, item.name)
        held = value.items() if isinstance(value, dict) else [("", value)]
        for key, part in held:
            if isinstance(part, Settings):
                yield from _all_settings(part, ".".join(filter(None, (place, item.name, key))))


def _shallow(settings: Settings) -> dict[str, object]:
    return {item.name: getattr(settings, item.name) for item in fields(settings)}


def _outside(meaning, whole: bool) -> list[float]:
    if meaning.choices:
        return [max(meaning.choices) + 1]
    wrong = [] if whole else [math.nan, math.inf]
    step = 1 if whole else 1e-6
    if meaning.at_least is not None:
        wrong.append(meaning.at_least - step)
    if meaning.above is not None:
        wrong.append(meaning.above)
    if meaning.at_most is not None:
        wrong.append(meaning.at_most + step)
    if meaning.below is not None:
        wrong.append(meaning.below)
    return wrong


def test_several_machines_are_told_where_they_meet(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from crossreid.training.environment import check_machines

    for name in ("MASTER_ADDR", "MASTER_PORT", "NODE_RANK", "SLURM_NTASKS", "KUBERNETES_PORT"):
        monkeypatch.delenv(name, raising=False)
    check_machines(1)
    with pytest.raises(
        ConfigError, match=r"trainer\.num_nodes=2 waits for 2 machines .* set MASTER_ADDR and NODE_RANK"
    ):
        check_machines(2)
    monkeypatch.setenv("MASTER_ADDR", "10.0.0.1")
    with pytest.raises(ConfigError, match="set NODE_RANK"):
        check_machines(2)
    monkeypatch.setenv("NODE_RANK", "1")
    monkeypatch.setenv("MASTER_PORT", "4000")
    check_machines(2)
    told = " ".join(capsys.readouterr().out.split())
    assert "Waiting until this command runs on 2 machines, which meet at 10.0.0.1:4000." in told
    for name in ("MASTER_ADDR", "NODE_RANK"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("SLURM_NTASKS", "2")
    check_machines(2)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["trainer=3"], "trainer is chosen by a name"),
        (["=3"], "'=3' cannot be read"),
        (["model=[agw,lba]"], "model is chosen by a name"),
        (["+logger=csv"], "logger is chosen twice"),
        (["seed=1,2"], "'seed=1,2' names several values"),
        (["seed=range(3)"], r"'seed=range\(3\)' names several values"),
        (["data.root=${nowhere}"], r"refers by \$\{\.\.\.\} to something that is not there"),
        (["model.streams=3"], "model.streams cannot have a value of this kind"),
        (["report.figures=maybe"], "report.figures cannot have this value: give true or false"),
        (["model_scale=agw/small"], "sets 'non_local', which is no setting of what is chosen"),
        (["name='a\nb'"], "name is 'a b': leave out the sign"),
    ],
)
def test_what_goes_wrong_while_composing_is_said_in_the_words_of_the_settings(words: list[str], message: str) -> None:
    from crossreid.settings.compose import compose, run_config

    with pytest.raises(ConfigError, match=message):
        run_config(compose("train", words))
