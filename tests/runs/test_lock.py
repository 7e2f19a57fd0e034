"""A run folder has one owner, who may die; what a killed process left is cleaned up, and runs kept aside come back."""

import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest

from crossreid.errors import ConfigError, OwnedError, WriteError
from crossreid.runs import choosing
from crossreid.runs.aside import FINISHED_BEFORE, REPLACED, keep, put_back, set_aside
from crossreid.runs.choosing import open_run
from crossreid.runs.folder import RunFolder, finish_run, owned, runs_below, start_run
from crossreid.runs.lock import LOCK, Owner, one_process, start_of
from crossreid.settings.compose import compose, run_config
from support import disk_of, files_in


@pytest.fixture(scope="module")
def settings() -> dict[str, Any]:
    return run_config(compose("train", ["model=baseline", "scale=smoke"])).to_plain()


@pytest.fixture
def sleeper() -> Iterator[subprocess.Popen]:
    """Another process, alive."""
    process = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    yield process
    process.kill()
    process.wait()


def locked(folder: Path, owner: Owner) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / LOCK).write_text(json.dumps(asdict(owner)))


def other(process: subprocess.Popen) -> Owner:
    return replace(Owner.me(), pid=process.pid, process=start_of(process.pid) or "")


def a_run(place: Path, settings: dict[str, Any]) -> RunFolder:
    run = RunFolder(place)
    start_run(run, settings, overwrite=False)
    return run


@pytest.mark.parametrize("told", [{}, {"overwrite": True}, {"resume": "run"}])
def test_a_live_run_keeps_its_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, settings: dict[str, Any], sleeper: subprocess.Popen, told: dict
) -> None:
    monkeypatch.chdir(tmp_path)
    run = a_run(Path("run"), settings)
    (run.path / "last.ckpt").touch()
    locked(run.path, other(sleeper))
    before = files_in(tmp_path)
    asked = settings | {"run_dir": None if "resume" in told else "run"} | told
    with pytest.raises(OwnedError, match=rf"The run in 'run' is still going on \(process {sleeper.pid} since"):
        open_run(asked)
    with (  # between the look and the start
        pytest.raises(OwnedError, match="is still going on"),
        owned(RunFolder(run.path), overwrite=True),
    ):
        pass
    assert files_in(tmp_path) == before


def test_a_dead_owner_gives_the_folder_up(
    tmp_path: Path, settings: dict[str, Any], sleeper: subprocess.Popen, capsys: pytest.CaptureFixture[str]
) -> None:
    place = tmp_path / "run"
    reused = replace(other(sleeper), process="another process of this number")
    sleeper_was = other(sleeper)
    sleeper.kill()
    sleeper.wait()
    for owner in (reused, sleeper_was):
        locked(place, owner)
        asked = settings | {"run_dir": str(place)}
        with owned(open_run(asked), overwrite=False) as run:
            assert run.path == place
            assert json.loads((place / LOCK).read_text())["pid"] == os.getpid()
        told = " ".join(capsys.readouterr().out.split())
        assert f"The process {owner.pid} that wrote to '{place}' is gone: its folder is taken over." in told
        assert not (place / LOCK).exists()


def test_a_zombie_is_dead(sleeper: subprocess.Popen) -> None:
    owner = other(sleeper)
    assert not owner.gone
    sleeper.kill()
    os.waitid(os.P_PID, sleeper.pid, os.WEXITED | os.WNOWAIT)  # its number is still taken
    assert owner.gone


def test_of_another_machine_nobody_knows(tmp_path: Path, settings: dict[str, Any]) -> None:
    place = tmp_path / "run"
    locked(place, replace(Owner.me(), host="node17", pid=4))
    with pytest.raises(
        OwnedError, match=r"belongs to process 4 on node17 since .*; if it runs no more, remove '.*lock"
    ):
        open_run(settings | {"run_dir": str(place)})
    (place / LOCK).write_text('{"pid": ')
    with pytest.raises(OwnedError, match=r"lock\.json' cannot be read, so nobody knows .* remove that file"):
        open_run(settings | {"run_dir": str(place)})
    assert socket.gethostname() != "node17"


def test_two_runs_in_one_second_have_two_folders(
    tmp_path: Path, settings: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    class Stopped(choosing.datetime):
        @classmethod
        def now(cls, tz: Any = None) -> Any:
            return cls(2024, 1, 1, tzinfo=tz)

    monkeypatch.setattr(choosing, "datetime", Stopped)
    asked = settings | {"output_root": str(tmp_path / "outputs")}
    first, second = open_run(asked), open_run(asked)
    with owned(first, overwrite=False) as one, owned(second, overwrite=False) as two:
        assert one.path.name == "2024-01-01_00-00-00_seed0"
        assert two.path.name == "2024-01-01_00-00-00_seed0_2"
        start_run(two, settings, overwrite=False)
    assert runs_below(tmp_path) == [two.path]
    assert not one.path.exists()  # nothing was written, so nothing is left


def test_two_runs_in_one_run_dir_never_join(tmp_path: Path, settings: dict[str, Any]) -> None:
    asked = settings | {"run_dir": str(tmp_path / "run")}
    first, second = open_run(asked), open_run(asked)
    with owned(first, overwrite=False) as run:
        with pytest.raises(OwnedError, match="is still going on"), owned(second, overwrite=False):
            pass
        start_run(run, settings, overwrite=False)
    with pytest.raises(ConfigError, match="holds a run already"), owned(second, overwrite=False):
        pass  # chosen before the first one began, started after it ended


def test_a_place_that_takes_no_run_is_said_at_once(tmp_path: Path, settings: dict[str, Any]) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(WriteError, match=r"run_dir is to be .* is a file, not a folder"):
        with owned(RunFolder(tmp_path / "file" / "run"), overwrite=False):
            pass
    with pytest.raises(ConfigError, match="is a file: choose a folder"):
        open_run(settings | {"run_dir": str(tmp_path / "file")})


def test_what_a_killed_process_left_is_cleaned_up(tmp_path: Path, settings: dict[str, Any]) -> None:
    run = a_run(tmp_path / "run", settings)
    run.figures.mkdir()
    whole = files_in(run.path)
    for name in (".last.ckpt.123.tmp", "figures/.tsne.png.123.tmp", "last.ckpt.123.partial"):
        (run.path / name).write_bytes(b"half")
    with owned(replace(run, checkpoint=run.path / "last.ckpt"), overwrite=False):
        pass
    assert files_in(run.path) == whole


def test_a_replaced_run_goes_when_its_successor_is_there(tmp_path: Path, settings: dict[str, Any]) -> None:
    run = a_run(tmp_path / "run", settings)
    (run.path / "figures").mkdir()
    (run.path / "figures" / "tsne.png").write_bytes(b"picture")
    before = files_in(run.path)
    with owned(run, overwrite=True), disk_of(10), pytest.raises(WriteError, match="could not be written"):
        start_run(run, settings | {"seed": 1}, overwrite=True)
    assert files_in(run.path) == before
    with owned(run, overwrite=True):
        start_run(run, settings | {"seed": 1}, overwrite=True)
    assert sorted(files_in(run.path)) == ["config.yaml", "run.json"]
    assert run.note()["seed"] == 1


class Killed(BaseException):
    """Nothing of the process runs any more: what a test raises where a process would be killed."""


@pytest.mark.parametrize("moment", ["while it is moved", "before the successor is there", "on the way back"])
def test_a_kill_while_a_run_is_replaced_loses_nothing(tmp_path: Path, settings: dict[str, Any], moment: str) -> None:
    run = a_run(tmp_path / "run", settings)
    (run.path / "last.ckpt").write_bytes(b"weights")
    before = files_in(run.path)
    if moment == "while it is moved":
        (run.path / ".returning").mkdir()
        (run.path / "run.json").rename(run.path / ".returning" / "run.json")
    else:
        aside = run.path / REPLACED
        aside.mkdir()
        for path in [path for path in run.path.iterdir() if path != aside]:
            path.rename(aside / path.name)
        (run.path / "config.yaml").write_text("of the successor")
        if moment == "on the way back":
            (run.path / "config.yaml").unlink()
            aside = aside.rename(run.path / ".returning")
            (aside / "config.yaml").rename(run.path / "config.yaml")
    with owned(replace(run, stale=True), overwrite=False):
        assert set(files_in(run.path)) == {*before, LOCK}
    assert files_in(run.path) == before


def finished(place: Path, settings: dict[str, Any]) -> RunFolder:
    run = a_run(place, settings)
    for name in ("results.json", "history.csv", "last.ckpt", "figures/tsne.png"):
        (run.path / name).parent.mkdir(exist_ok=True)
        (run.path / name).write_text(f"old {name}")
    finish_run(run, settings)
    return replace(run, checkpoint=run.path / "last.ckpt")


def go_on(run: RunFolder, settings: dict[str, Any]) -> None:
    """As a resumed run does: files come anew, one of them grows."""
    start_run(run, settings, overwrite=False)
    with (run.path / "history.csv").open("a") as stream:
        stream.write("more")
    for name in ("last.ckpt", "figures/new.png"):
        new = run.path / f"{name}.new"
        new.write_text("new")
        new.rename(run.path / name)


@pytest.mark.parametrize("end", ["an error", "a kill", "a kill on the way back", "a full disk"])
def test_a_failed_resume_leaves_a_finished_run_as_it_was(tmp_path: Path, settings: dict[str, Any], end: str) -> None:
    run = finished(tmp_path / "run", settings)
    before = files_in(run.path)
    go_on(run, settings)
    assert run.finished
    assert runs_below(tmp_path) == [run.path]
    if end == "an error":
        run.note_problem(ValueError("a bug"), interrupted=False)
    elif end == "a full disk":
        with disk_of(10):
            run.note_problem(OSError("full"), interrupted=False)
    else:
        if end == "a kill on the way back":
            moving = (run.path / FINISHED_BEFORE).rename(run.path / ".returning")
            (run.path / "figures" / "new.png").unlink()
            (moving / "history.csv").replace(run.path / "history.csv")
        with owned(run, overwrite=False):
            pass
    assert files_in(run.path) == before


def test_a_resumed_run_that_ends_well_replaces_the_finished_one(tmp_path: Path, settings: dict[str, Any]) -> None:
    run = finished(tmp_path / "run", settings)
    go_on(run, settings)
    finish_run(run, settings, training_seconds=3.0)
    assert run.note()["training_seconds"] == 3.0
    assert (run.path / "last.ckpt").read_text() == "new"
    assert not put_back(run.path)
    assert [path.name for path in run.path.iterdir() if path.name.startswith(".")] == []


def test_keeping_costs_no_disk_and_says_when_it_cannot(tmp_path: Path, settings: dict[str, Any]) -> None:
    run = finished(tmp_path / "run", settings)
    keep(run.path)
    assert (run.path / FINISHED_BEFORE / "last.ckpt").stat().st_ino == (run.path / "last.ckpt").stat().st_ino
    put_back(run.path)
    before = files_in(run.path)
    with disk_of(2), pytest.raises(WriteError, match="could not be written"):
        keep(run.path)  # history.csv grows in its place, so it is copied
    assert files_in(run.path) == before


def test_set_aside_brings_back_what_it_took(tmp_path: Path) -> None:
    (tmp_path / "wandb").mkdir()
    (tmp_path / "wandb" / "run").write_text("log")
    (tmp_path / "wandb" / "latest").symlink_to("run")
    with pytest.raises(Killed), set_aside(tmp_path):
        (tmp_path / "half").touch()
        raise Killed
    assert sorted(files_in(tmp_path)) == ["wandb/latest", "wandb/run"]
    assert (tmp_path / "wandb" / "latest").is_symlink()


def test_one_process_is_inside_at_a_time(tmp_path: Path) -> None:
    with one_process(tmp_path / "lock", "mine"):
        with pytest.raises(OwnedError, match="yours"), one_process(tmp_path / "lock", "yours"):
            raise AssertionError("two are inside")
    with one_process(tmp_path / "lock", "free again"):
        pass
