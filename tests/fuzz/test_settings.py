"""Settings: every key of every method, dataset, protocol, trainer, run and command, with values that it cannot have."""

from __future__ import annotations

import math
from collections.abc import Iterator
from copy import deepcopy
from dataclasses import dataclass, fields
from typing import Any, get_args, get_origin

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from crossreid.errors import ConfigError
from crossreid.experiment import Experiment, as_overrides
from crossreid.settings.commands import COMMANDS
from crossreid.settings.compose import compose, run_config
from crossreid.settings.data import BUILT_IN_DATASETS, PairSizes, PeopleSizes
from crossreid.settings.fields import Meaning, Settings, _without_none, from_plain, meaning_of, type_hints
from crossreid.settings.method import MethodConfig
from crossreid.settings.protocol import PROTOCOLS
from crossreid.settings.registry import built_in_methods, method_settings
from crossreid.settings.run import TrainConfig
from crossreid.training.loading import make_method
from fuzz.oracle import PLAIN, TEXTS, cases, ends_well
from methods_support import CLASSES, attach, make_batch

ANY_VALUE = {"devices", "people", "data", "protocol", "model", "runs", "first", "second"}
"""Settings of no one type: parts that are checked as what they are, a number or list of devices, a folder or several."""


GIVEN = {
    "extract": {"images": "day", "output": "day.npz"},
    "index": {"action": "add", "gallery": "street.npz", "images": "day"},
    "search": {"gallery": "street.npz", "query": "night.png"},
    "compare_embeddings": {"first": "ours.npz"},
    "export": {"output": "street.onnx"},
    "import_weights": {"source": "agw", "file": "best.t", "output": "weights/agw"},
    "export_weights": {"output": "ours.t"},
    "serve": {"gallery": "street.npz"},
}
"""Command -> what it must be told besides."""


def roots() -> dict[str, Settings]:
    """Place -> settings that are complete."""
    found: dict[str, Settings] = {}
    for name in built_in_methods():
        found[f"model={name}"] = method_settings(name)()
    for name, schema in BUILT_IN_DATASETS.items():
        found[f"data={name}"] = schema(root="/data")
    for name, protocol in PROTOCOLS.items():
        found[f"protocol={name}"] = protocol()
    given = {"data": {}, "protocol": {}, "model": {}, "checkpoint": "last.ckpt", "runs": "outputs"}
    for command, schema in {"train": TrainConfig, **COMMANDS}.items():
        known = {item.name for item in fields(schema) if item.name != "runs" or command == "report"}
        told = given | GIVEN.get(command, {})
        found[f"command={command}"] = schema(**{key: value for key, value in told.items() if key in known})
    found["people"] = PeopleSizes("mine", 8, 4, 10, 3, PairSizes(8, 3))
    return found


ROOTS = roots()


@dataclass(frozen=True)
class Leaf:
    """One setting: its key from the root, its type, and what is known of it."""

    path: tuple[str, ...]
    hint: Any
    meaning: Meaning
    value: Any
    holder: Settings

    @property
    def numeric(self) -> bool:
        """It is a number, or holds numbers."""
        return _kind(self.hint) in (int, float)


def leaves(settings: Settings, place: tuple[str, ...] = ()) -> Iterator[Leaf]:
    """All settings below an object that hold no others."""
    hints = type_hints(type(settings))
    for item in fields(settings):
        value = getattr(settings, item.name)
        path = (*place, item.name)
        if isinstance(value, Settings):
            yield from leaves(value, path)
        elif isinstance(value, dict) and value and all(isinstance(part, Settings) for part in value.values()):
            for name, part in value.items():
                yield from leaves(part, (*path, name))
        else:
            yield Leaf(path, hints[item.name], meaning_of(item), value, settings)


def _kind(hint: Any) -> Any:
    """The type of a setting, or of the entries that it lists."""
    _, hint = _without_none(hint)
    if get_origin(hint) in (list, dict):
        return _kind(get_args(hint)[-1])
    return hint


def ends(meaning: Meaning, kind: type) -> tuple[list[Any], list[Any]]:
    """Numbers at the ends of a range, and just outside; nan and inf are outside of all."""
    step: Any = 1 if kind is int else None

    def beside(bound: float, towards: float) -> Any:
        return bound + (1 if towards > bound else -1) if step else math.nextafter(bound, towards)

    inside, outside = [], [math.nan, math.inf, -math.inf]
    for bound, towards in ((meaning.at_least, -math.inf), (meaning.at_most, math.inf), (meaning.ceiling, math.inf)):
        if bound is not None:
            inside.append(bound)
            outside.append(beside(bound, towards))
    for bound, towards in ((meaning.above, math.inf), (meaning.below, -math.inf)):
        if bound is not None:
            inside.append(beside(bound, towards))
            outside.append(bound)
    if meaning.choices:
        inside, outside = list(meaning.choices), [*outside, max(meaning.choices) + 1, min(meaning.choices) - 1]
    return inside, outside


def _as_list(value: Any, meaning: Meaning) -> list[Any]:
    """A list with this entry in every place; where entries must ascend, with the range's end beside it."""
    if not meaning.ascending or meaning.length is None:
        return [value] * (meaning.length or 1)
    return [value, meaning.at_most] if value < meaning.at_most else [meaning.at_least, value]


def fits(leaf: Leaf, value: Any) -> None:
    """The check of one setting alone; of lists, one with this entry in every place."""
    _, hint = _without_none(leaf.hint)
    if get_origin(hint) is list:
        value = _as_list(value, leaf.meaning)
    if get_origin(hint) is dict:
        value = dict.fromkeys(leaf.value, value)
    changed = deepcopy(leaf.holder)
    setattr(changed, leaf.path[-1], value)
    changed.check_together = lambda place: None  # type: ignore[method-assign]
    Settings.check(changed, "at")


@pytest.mark.parametrize("root", ROOTS)
def test_every_range_holds_at_both_ends_and_refuses_what_is_outside(root: str) -> None:
    """Generic, from what stands beside each setting: nobody has to remember a setting here."""
    for leaf in leaves(ROOTS[root]):
        if not leaf.numeric:
            if _kind(leaf.hint) is Any:
                assert leaf.path[-1] in ANY_VALUE, leaf.path
            continue
        meaning, kind = leaf.meaning, _kind(leaf.hint)
        lower = meaning.choices or meaning.at_least is not None or meaning.above is not None
        upper = meaning.choices or {meaning.at_most, meaning.below, meaning.ceiling} != {None}
        assert lower, f"{'.'.join(leaf.path)} has no lower end"
        assert upper, f"{'.'.join(leaf.path)} has no upper end"
        inside, outside = ends(meaning, kind)
        for value in inside:
            fits(leaf, value)
        for value in outside:
            with pytest.raises(ConfigError, match=leaf.path[-1]):
                fits(leaf, value)


def odd_values(leaf: Leaf) -> st.SearchStrategy[Any]:
    """Values around a setting's own, and of every other kind."""
    options: list[st.SearchStrategy[Any]] = [PLAIN, st.sampled_from(TEXTS)]
    if leaf.numeric:
        inside, outside = ends(leaf.meaning, _kind(leaf.hint))
        numbers = st.sampled_from([*inside, *inside, *outside])
        options += [numbers, st.lists(numbers, max_size=4), st.dictionaries(st.sampled_from(["joint", "x"]), numbers)]
    if leaf.meaning.choices:
        choices = st.sampled_from(leaf.meaning.choices)
        options += [choices, st.lists(choices, max_size=4)]
    return st.one_of(options)


LEAVES = {root: list(leaves(settings)) for root, settings in ROOTS.items()}
WRONG_NAMES = ["", "Margin", "margn", "__class__", "check", "name", "streams", "a\nb", "\ud800", 3, None]


@st.composite
def mistakes(draw: st.DrawFn) -> tuple[str, dict[str, Any]]:
    """A root with some of its plain values changed, and now and then a key that is none."""
    root = draw(st.sampled_from(sorted(ROOTS)))
    values = ROOTS[root].plain()
    for _ in range(draw(st.integers(1, 3))):
        leaf = draw(st.sampled_from(LEAVES[root]))
        *sections, name = leaf.path
        section = values
        for part in sections:
            section = section.get(part) if isinstance(section, dict) else None
        if not isinstance(section, dict):  # an earlier mistake took the section's place
            continue
        section[name] = draw(odd_values(leaf))
        if draw(st.integers(0, 9)) == 0:
            section[draw(st.sampled_from(WRONG_NAMES))] = draw(PLAIN)
    return root, values


@cases(400)
@given(mistakes())
def test_settings_are_refused_in_a_sentence_or_can_be_used(mistake: tuple[str, dict[str, Any]]) -> None:
    root, values = mistake
    schema = type(ROOTS[root])

    def read() -> Settings:
        settings = from_plain(schema, values, root.partition("=")[0])
        settings.check()
        if isinstance(settings, MethodConfig):  # what the dataset adds before training
            settings = settings.with_epoch(3)
            settings.check()
            assert not settings.trains or settings.iterations > 0
            assert settings.epochs_of_training is None or settings.epochs_of_training >= 0
        return settings

    settings, refused = ends_well(read)
    if not refused:
        again = from_plain(schema, settings.plain(), root.partition("=")[0])
        assert again == settings


@st.composite
def command_lines(draw: st.DrawFn) -> list[str]:
    """Words as a person types them, some of them wrong."""
    method = draw(st.sampled_from(built_in_methods()))
    leaf = draw(st.sampled_from(LEAVES[f"model={method}"] + LEAVES["command=train"]))
    place = "model." if leaf in LEAVES[f"model={method}"] else ""
    key = place + ".".join(leaf.path)
    if draw(st.integers(0, 4)) == 0:
        cut = draw(st.integers(0, len(key)))
        key = key[:cut] + draw(st.sampled_from(["", "x", ".", "_", "é", "@", "/", "=", "~"])) + key[cut + 1 :]
    mark = draw(st.sampled_from(["", "", "", "+", "++", "~"]))
    if draw(st.booleans()):
        value = as_overrides({"": draw(odd_values(leaf))})[0].removeprefix("=")
    else:
        value = draw(
            st.sampled_from(["", "null", "[", "{a:1}", "1,2", "range(3)", "${x}", "${oc.env:NOTHING}", "'", "nan"])
        )
    return [f"model={method}", "scale=smoke", f"{mark}{key}={value}"]


@cases(20)
@given(command_lines())
def test_a_command_line_is_refused_in_a_sentence_or_composes(words: list[str]) -> None:
    def read() -> None:
        Experiment.from_config(run_config(compose("train", words))).check()

    ends_well(read)


FAST = (
    "best",
    "onestream",
    "agw",
    "lba",
    "ddag",
    "deen",
    "mpanet",
    "bdtr",
    "cmgan",
    "xmodality",
    "strong",
    "baseline",
    "cmssft",
)
"""Methods whose training step takes well below a second here."""
SHAPE = {"identities": 2, "images": 2, "height": 64, "width": 32}


def tiny(name: str) -> dict[str, Any]:
    """A method's settings for four images of two persons and the smallest network."""
    values = method_settings(name)().plain()
    values["streams"] = {stream: dict(SHAPE) for stream in values["streams"]}
    values["iterations_per_epoch"] = 1
    if "phases" in values:
        values["phases"] = dict.fromkeys(values["phases"], 1)
    values["backbone"] |= {"name": "resnet18", "weights": "random", "size": [64, 32]}
    return values


@st.composite
def accepted_ends(draw: st.DrawFn) -> tuple[str, dict[str, Any]]:
    """A tiny method with one setting at an end of its range or at a choice."""
    name = draw(st.sampled_from(FAST))
    small = from_plain(method_settings(name), tiny(name), "model")
    free = [
        leaf for leaf in leaves(small) if leaf.path[0] not in ("streams", "phases", "iterations_per_epoch", "backbone")
    ]
    leaf = draw(st.sampled_from([leaf for leaf in free if leaf.numeric or leaf.meaning.choices]))
    inside = ends(leaf.meaning, _kind(leaf.hint))[0] if leaf.numeric else list(leaf.meaning.choices)
    value = draw(st.sampled_from(inside))
    _, hint = _without_none(leaf.hint)
    if get_origin(hint) is list:
        value = _as_list(value, leaf.meaning)
    values = tiny(name)
    section = values
    for part in leaf.path[:-1]:
        section = section[part]
    section[leaf.path[-1]] = value
    return name, values


@cases(10)
@given(accepted_ends())
def test_what_is_accepted_trains_for_an_iteration(settings: tuple[str, dict[str, Any]]) -> None:
    name, values = settings

    def train() -> None:
        config = from_plain(method_settings(name), values, "model")
        config.check()
        if _wide(values):
            return  # gigabytes of weights: what the machine can hold is not a setting's range
        harness = attach(make_method(config, CLASSES, 0))
        harness.step(list(config.active_phases())[-1], make_batch(harness.module))
        for parameter in harness.module.parameters():
            assert isinstance(parameter, torch.Tensor)

    ends_well(train, seconds=120)


def _wide(values: Any) -> bool:
    """Some width is beyond what a small machine holds."""
    if isinstance(values, dict):
        return any(_wide(part) for part in values.values())
    if isinstance(values, list):
        return any(_wide(part) for part in values)
    return isinstance(values, int) and not isinstance(values, bool) and 4096 <= values <= 16_384
