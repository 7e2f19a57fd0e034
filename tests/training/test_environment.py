"""Files, packages and logins that a run needs are looked for before any data is read or drawn."""

from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from crossreid.errors import ConfigError
from crossreid.settings.run import LoggerConfig
from crossreid.training import environment
from crossreid.training.environment import check_wandb
from support import files_in


@pytest.fixture
def no_login(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    for name in ("WANDB_MODE", "WANDB_API_KEY", "NETRC", "WANDB_IDENTITY_TOKEN_FILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path / "nobody"))
    yield
    import wandb

    wandb.teardown()  # it reads the environment once a process, and other tests have another one


MISSING = {
    "permutations": (["protocol.permutations=gone.mat"], "There is no permutation file 'gone.mat'"),
    "damaged permutations": (["protocol.permutations=text.mat"], "text.mat cannot be read as a MATLAB file"),
    "weights": (["model.backbone.weights=gone.pth"], "There is no weights file 'gone.pth'"),
    "another method's weights": (
        ["model=aligngan", "model.backbone.weights=gone.pth"],
        "There is no weights file 'gone.pth'",
    ),
    "login": (
        ["logger=wandb_online"],
        "logger=wandb_online needs a W&B account and none is logged in: run `wandb login`",
    ),
    "matplotlib": (["report.figures=true"], "Figures need matplotlib and scikit-learn"),
    "place": (["run_dir=text.mat/run"], "run_dir is to be 'text.mat/run', and"),
    "output_root": (["output_root=text.mat"], "output_root is to be 'text.mat/baseline/"),
}


@pytest.mark.parametrize("what", MISSING)
def test_what_is_missing_is_said_before_any_work(
    run_here, smoke_args: list[str], no_login: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    def at_work(*args: Any, **kwargs: Any) -> None:
        raise AssertionError("the work had begun")

    def no_matplotlib(name: str) -> Any:
        return None if name == "matplotlib" else find_spec(name)

    monkeypatch.setattr("crossreid.data.datamodule.open_source", at_work)
    if what == "matplotlib":
        monkeypatch.setattr(environment, "find_spec", no_matplotlib)
    (tmp_path / "text.mat").write_text("hello")
    told, message = MISSING[what]
    refused = run_here("train", "model=baseline", *smoke_args, *told)
    assert refused.code == 1, refused.output
    assert message in refused.output
    assert "Traceback" not in refused.output
    assert list(files_in(tmp_path)) == ["text.mat"]


def test_a_key_or_a_silenced_wandb_needs_no_further_login(no_login: None, monkeypatch: pytest.MonkeyPatch) -> None:
    online = LoggerConfig(name="wandb", offline=False)
    check_wandb(LoggerConfig(name="wandb", offline=True))
    with pytest.raises(ConfigError, match="none is logged in"):
        check_wandb(online)
    monkeypatch.setenv("WANDB_MODE", "offline")
    check_wandb(online)


def test_wandb_that_is_not_installed_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(environment, "find_spec", lambda name: None)
    with pytest.raises(ConfigError, match="needs the package wandb"):
        check_wandb(LoggerConfig(name="wandb"))
    check_wandb(LoggerConfig())


def test_wandb_that_does_not_take_the_run_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    import wandb

    from crossreid.training.wandb_run import _open

    class Unreachable:
        @property
        def experiment(self) -> None:
            raise wandb.errors.CommError("no route\nto the host")

    with pytest.raises(ConfigError, match=r"W&B does not take the run \(no route to the host\): choose logger=wandb"):
        _open(Unreachable())
