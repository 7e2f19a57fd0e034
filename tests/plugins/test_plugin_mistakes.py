"""Mistakes of packages are one sentence, and no file ever causes an import."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest
import torch
import yaml

import crossreid
from crossreid.errors import ConfigError, CrossReIDError
from crossreid.settings import registry
from crossreid.settings.compose import compose, run_config
from crossreid.settings.registry import method_class, use_plugins

HEAD = """
from dataclasses import dataclass
from typing import ClassVar
from crossreid.settings.method import RecognitionConfig
"""


def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, text: str) -> str:
    """A package on the path; nothing of it stays registered."""
    (tmp_path / name).mkdir()
    (tmp_path / name / "__init__.py").write_text(text)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(registry, "_plugin_methods", {})
    monkeypatch.setattr(registry, "_plugin_datasets", {})
    return name


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "which has neither METHODS nor DATASETS: list its settings classes there"),
        ("METHODS = ['toy.settings:Mine']", "What is registered as 'toy.settings:Mine' is no settings class"),
        ("import something_missing", "cannot be imported"),
        (
            HEAD + "class Mine(RecognitionConfig):\n    name: ClassVar[str] = 'mine'\nMETHODS = (Mine,)",
            "The settings class Mine is no dataclass: write @dataclass above it",
        ),
        (
            HEAD + "@dataclass\nclass Mine(RecognitionConfig):\n    name: ClassVar[str] = 'lba'\nMETHODS = Mine",
            "registers 'lba', which is a name of crossreid's own",
        ),
    ],
)
def test_what_a_package_lists_is_checked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest, text: str, message: str
) -> None:
    name = package(tmp_path, monkeypatch, f"listed_{abs(hash(request.node.name))}", text)
    with pytest.raises(ConfigError, match=message):
        use_plugins([name])


def test_a_package_that_is_not_there() -> None:
    with pytest.raises(ConfigError, match="plugins names 'not_there', which cannot be imported"):
        compose("train", ["plugins=[not_there]", "model=lba"])


@pytest.mark.parametrize(
    ("place", "message"),
    [
        ("", "do not say which module they are for"),
        ("crossreid.methods.lba.modul:LbA", "No module named 'crossreid.methods.lba.modul'"),
        ("crossreid.methods.lba.module:Lba", "crossreid.methods.lba.module has no Lba"),
    ],
)
def test_a_module_that_is_not_there(monkeypatch: pytest.MonkeyPatch, place: str, message: str) -> None:
    settings = crossreid.Experiment("lba", scale="smoke").config.model
    monkeypatch.setattr(type(settings), "module", place)
    with pytest.raises(ConfigError, match=message):
        method_class(settings)


@pytest.fixture
def entry_point(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str, str], None]]:
    """Pretend that an installed package has an entry point."""

    def pretend(name: str, value: str) -> None:
        found = EntryPoint(name, value, registry.METHODS_ENTRY)
        monkeypatch.setattr(registry, "entry_points", lambda group: [found] if group == found.group else [])
        registry._entry_points.cache_clear()

    yield pretend
    monkeypatch.undo()
    registry._entry_points.cache_clear()


def test_an_installed_package_that_is_broken_is_named(entry_point) -> None:
    entry_point("broken", "nowhere.settings:Broken")
    with pytest.raises(ConfigError, match=r"registers 'broken' as nowhere.settings:Broken, which cannot be"):
        registry.method_settings("broken")


def test_an_installed_package_cannot_take_a_name_of_crossreids_own(entry_point) -> None:
    entry_point("lba", "nowhere.settings:LbAConfig")
    with pytest.raises(ConfigError, match="registers 'lba', which is a name of crossreid's own"):
        registry.method_names()


def test_a_model_file_that_forgets_its_family(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copytree(Path(__file__).parents[2] / "conf", tmp_path / "conf")
    path = tmp_path / "conf" / "model" / "agw.yaml"
    path.write_text("\n".join(line for line in path.read_text().splitlines() if "family" not in line))
    monkeypatch.setattr("crossreid.settings.compose.packaged_conf", lambda: tmp_path / "conf")
    with pytest.raises(ConfigError, match=r"agw is of the family recognition, and model/agw.yaml does not say so"):
        run_config(compose("train", ["model=agw", "scale=smoke"]))
    path.write_text(path.read_text() + "\nmargn: 1\n")
    with pytest.raises(ConfigError, match=r"model/agw.yaml sets 'margn', which is no setting of"):
        compose("train", ["model=agw"])


# ---------------------------------------------------------------- files never cause an import

EVIL = "evil_package_of_a_file"


@pytest.fixture
def evil(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A package that leaves a mark when it is imported."""
    mark = tmp_path / "imported"
    (tmp_path / EVIL).mkdir()
    (tmp_path / EVIL / "__init__.py").write_text(f"open({str(mark)!r}, 'w').close()")
    monkeypatch.syspath_prepend(tmp_path)
    yield EVIL
    assert not mark.exists()
    assert EVIL not in sys.modules


def poisoned(settings: dict, name: str) -> dict:
    """Settings that name a package in every way that ever was one."""
    return {
        **settings,
        "plugins": [name],
        "model": {**settings["model"], "_target_": f"{name}.Settings"},
        "data": {**settings["data"], "_target_": f"{name}.Data"},
        "hydra": {"callbacks": {"x": {"_target_": f"{name}.Callback"}}},
    }


@pytest.fixture
def run(tmp_path: Path, run_here, smoke_args: list[str]) -> Path:
    """A finished run that took no training."""
    finished = run_here("train", "model=hog", *smoke_args, "run_dir=run")
    assert finished.code == 0, finished.output
    return tmp_path / "run"


def test_a_config_that_names_a_package(run: Path, run_here, smoke_args: list[str], evil: str) -> None:
    path = run / "config.yaml"
    told = yaml.safe_load(path.read_text())
    as_it_was = {key: value for key, value in told.items() if key not in ("format", "choices")}
    for settings in (poisoned(told, evil), poisoned(as_it_was, evil)):
        path.write_text(yaml.safe_dump(settings))
        for words in (["report", "runs=run"], ["train", "model=hog", *smoke_args, "resume=run"]):
            finished = run_here(*words)
            assert "Traceback" not in finished.output, finished.output


def test_a_checkpoint_that_names_a_package(run: Path, run_here, evil: str) -> None:
    path = run / "last.ckpt"
    checkpoint = torch.load(path, weights_only=True)
    ours = checkpoint["crossreid"]
    whole = poisoned(ours["config"], evil)
    for changed in (
        {"method": f"{evil}.Settings"},
        {"method": f"{evil}.settings:Evil", "config": whole},
        {"model": whole["model"]},
        {"config": whole},
        {"config": {key: value for key, value in whole.items() if key not in ("format", "choices")}, "format": 1},
    ):
        torch.save({**checkpoint, "crossreid": {**ours, **changed}}, path)
        with suppress(CrossReIDError):
            crossreid.load(run, device="cpu")
        finished = run_here("evaluate", "checkpoint=run/last.ckpt", "report.figures=false", "trainer=cpu")
        assert "Traceback" not in finished.output, finished.output
