"""Sweeps that are started again, that have a failing job, and runs with a time budget."""

import json
import os
import signal
import zipfile
from pathlib import Path
from typing import Any

import pytest

from crossreid.errors import ConfigError, OverBudgetError
from crossreid.runs.choosing import open_run
from crossreid.runs.existing import open_or_keep
from crossreid.runs.folder import RunFolder, fingerprint, start_run
from crossreid.settings.compose import compose, run_config
from crossreid.training.budget import TrainingClock

FOLDER = ["hydra.sweep.dir=sweep", "hydra.sweep.subdir=flip${model.flip}", "existing=continue"]


def facts(run: Path) -> dict:
    return json.loads((run / "run.json").read_text())


@pytest.mark.slow
def test_a_sweep_goes_on_after_a_failing_job_and_keeps_what_is_finished(
    run_here, smoke_args: list[str], tmp_path: Path
) -> None:
    sweep = ["-m", "model=baseline", *smoke_args, *FOLDER, "sweep_report=false"]
    finished = run_here("train", *sweep, "model.flip=2.0,0.5")  # the first cannot be
    assert finished.code == 1
    assert "Job 1 (model.flip=2.0) failed: " in finished.output
    assert "model.flip is 2.0: choose 0 to 1 (probability of mirroring" in finished.output
    assert "Error: 1 of the jobs failed: 1 (model.flip=2.0)." in finished.output
    assert facts(tmp_path / "sweep" / "flip0.5")["status"] == "finished"

    scores = (tmp_path / "sweep" / "flip0.5" / "results.json").read_text()
    again = run_here("train", *sweep, "model.flip=0.5")
    assert again.code == 0, again.output
    assert "Finished before, not run again" in again.output
    assert (tmp_path / "sweep" / "flip0.5" / "results.json").read_text() == scores

    other = run_here("train", *sweep, "model.flip=0.5", "seed=1")
    assert other.code == 1
    assert "has other settings than this one" in other.output
    rescored = run_here("train", *sweep, "model.flip=0.5", "protocol.trials=1")
    assert rescored.code == 1
    assert "was scored by other protocol settings" in rescored.output
    (tmp_path / "sweep" / "flip0.5" / "results.json").write_text("{")
    damaged = run_here("train", *sweep, "model.flip=0.5")
    assert damaged.code == 1
    assert "its results cannot be read" in damaged.output
    assert facts(tmp_path / "sweep" / "flip0.5")["status"] == "finished"  # it was not run, so it did not fail


@pytest.mark.slow
def test_a_run_over_its_time_budget_is_not_scored_and_goes_on_with_a_larger_one(
    run_here, smoke_args: list[str], tmp_path: Path
) -> None:
    command = ["model=baseline", *smoke_args, "run_dir=run", "existing=continue"]
    stopped = run_here("train", *command, "trainer.time_budget=1e-6")
    assert stopped.code == 1
    assert "over trainer.time_budget=1e-06 seconds at iteration 0 of" in stopped.output
    run = tmp_path / "run"
    assert facts(run)["status"] == "over budget"
    assert facts(run)["problem"].startswith("Training went over")
    assert (run / "last.ckpt").is_file()
    assert not (run / "results.json").exists()
    finished = run_here("train", *command, "trainer.time_budget=1000")
    assert finished.code == 0, finished.output
    assert "Resuming from 'run/last.ckpt' at iteration 0 of" in finished.output
    assert (facts(run)["status"], facts(run)["problem"]) == ("finished", None)
    results = json.loads((run / "results.json").read_text())
    assert results["training_identities"] == 12
    assert results["training_seconds"] == facts(run)["training_seconds"] > 0


def test_an_unexpected_error_stops_one_job_and_ctrl_c_stops_all(
    run_here, smoke_args: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun: list[int] = []

    def broken(self) -> float:
        begun.append(self.config.seed)
        self.began = True
        start_run(self.run, self.config.to_plain(), overwrite=False)
        if self.config.seed == 1:
            os.kill(os.getpid(), signal.SIGINT)
        raise RuntimeError("a bug")

    monkeypatch.setattr("crossreid.training.session.Session.complete", broken)
    sweep = ["-m", "model=baseline", *smoke_args, "hydra.sweep.dir=sweep", "hydra.sweep.subdir=${seed}"]
    finished = run_here("train", *sweep, "seed=0,1,2")
    assert finished.code == 130
    assert begun == [0, 1]
    assert "Traceback" in finished.output
    assert (facts(tmp_path / "sweep" / "0")["status"], facts(tmp_path / "sweep" / "0")["problem"]) == (
        "failed",
        "RuntimeError: a bug",
    )
    assert facts(tmp_path / "sweep" / "1")["status"] == "interrupted"


def settings(tmp_path: Path) -> dict[str, Any]:
    told = ["model=baseline", "scale=smoke", f"run_dir={tmp_path / 'run'}", "existing=continue"]
    return run_config(compose("train", told)).to_plain()


def test_an_unfinished_run_goes_on_or_starts_over(tmp_path: Path) -> None:
    config, place = settings(tmp_path), tmp_path / "run"
    assert open_or_keep(config, None) == RunFolder(place)
    start_run(RunFolder(place), config, overwrite=False)
    (place / "history.csv").write_text("old")
    run = open_or_keep(config, None)
    assert run == RunFolder(place, stale=True)
    start_run(run, config, overwrite=False)
    assert not (place / "history.csv").exists()
    (place / "last.ckpt").touch()
    assert open_or_keep(config, None) == RunFolder(place, place / "last.ckpt")
    with pytest.raises(ConfigError, match=r"has other settings than this one \(seed is 0 there and 1 here\)"):
        open_or_keep(config | {"seed": 1}, None)
    with pytest.raises(ConfigError, match="needs a folder"):
        open_or_keep(config | {"run_dir": None}, None)
    with pytest.raises(ConfigError, match="holds a run already"):
        open_or_keep(config | {"existing": "refuse"}, None)


def test_what_decides_how_long_and_where_is_no_part_of_the_fingerprint(tmp_path: Path) -> None:
    config = settings(tmp_path)
    changed = config | {"existing": "refuse", "trainer": config["trainer"] | {"time_budget": 5.0}}
    assert fingerprint(config) == fingerprint(changed)
    assert fingerprint(config) != fingerprint(config | {"trainer": config["trainer"] | {"precision": "bf16-mixed"}})


def test_the_clock_counts_what_was_trained_before(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [100.0]
    monkeypatch.setattr("crossreid.training.budget.time.monotonic", lambda: now[0])
    clock = TrainingClock(10.0, before=6.0)
    now[0] = 200.0
    clock.start()
    now[0] = 204.0
    assert (clock.seconds, clock.spent) == (10.0, False)
    now[0] = 204.5
    assert clock.spent
    assert not TrainingClock(None, before=1e9).spent
    sentence = clock.refuse(3, 7)
    assert isinstance(sentence, OverBudgetError)
    assert "trainer.time_budget=10 seconds at iteration 3 of 7" in str(sentence)


def test_the_settings_that_contradict_each_other_are_refused(run_here, smoke_args: list[str]) -> None:
    for more, message in (
        (["existing=continue", "overwrite=true"], "decides by itself"),
        (["existing=keep"], "existing is 'keep': choose from refuse, continue"),
        (["trainer.time_budget=0"], "trainer.time_budget is 0.0: choose above 0 (time that training may take"),
        (["existing=continue"], "needs a folder"),
    ):
        finished = run_here("train", "model=baseline", *smoke_args, *more)
        assert finished.code == 1
        assert message in finished.output


def test_resume_auto_leaves_damaged_runs_out_and_names_them(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = settings(tmp_path) | {"run_dir": None, "existing": "refuse", "output_root": str(tmp_path)}
    places = {}
    for number, name in enumerate(("good", "half", "settings", "facts", "newest")):
        places[name] = tmp_path / name
        start_run(RunFolder(places[name]), config, overwrite=False)
        RunFolder(places[name]).note(started=f"2024-01-0{number + 1}")
        with zipfile.ZipFile(places[name] / "last.ckpt", "w") as archive:
            archive.writestr("data", "weights")
    (places["half"] / "last.ckpt").write_bytes((places["half"] / "last.ckpt").read_bytes()[:40])
    (places["settings"] / "config.yaml").write_text("format: 2\nchoices: {data: 1}\n")
    (places["facts"] / "run.json").write_text('{"started": ')
    places["newest"].rename(tmp_path / "elsewhere")
    (tmp_path / "elsewhere" / "last.ckpt").unlink()
    assert open_run(config | {"resume": "auto"}) == RunFolder(places["good"], places["good"] / "last.ckpt")
    told = " ".join(capsys.readouterr().out.split())
    for named in ("half/last.ckpt' is damaged", "settings/config.yaml'", "facts/run.json' cannot be read"):
        assert named in told
