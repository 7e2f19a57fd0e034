"""Real multiruns through the command: side by side, with a failing job, refusals."""

import json
from pathlib import Path

import pytest

from crossreid.errors import ConfigError
from crossreid.experiment import Experiment


@pytest.mark.slow
def test_two_jobs_side_by_side_of_which_one_fails(run_here, smoke_args: list[str], tmp_path: Path) -> None:
    words = ["-m", "model=hog", "seed=0,-1", "jobs=2", *smoke_args, "report.modality_pairs=false"]
    finished = run_here("train", *words, "hydra.sweep.dir=sweep")
    assert finished.code == 1, finished.output
    assert "Job 2 (model=hog seed=-1" in finished.output
    assert "seed is -1: choose 0 or more" in finished.output
    assert "Error: 1 of the jobs failed: 2 (model=hog seed=-1" in finished.output
    assert "Traceback" not in finished.output
    assert "Job 1 of 2 finished after" in finished.output
    facts = json.loads((tmp_path / "sweep" / "0" / "run.json").read_text())
    assert facts["status"] == "finished"
    assert "seed=0" in facts["command"]
    assert "1 thread(s)" in facts["machine"]
    log = (tmp_path / "sweep" / "logs" / "1.log").read_text()
    assert "method hog" in log
    assert "jobs:" not in (tmp_path / "sweep" / "0" / "config.yaml").read_text()
    results = json.loads((tmp_path / "sweep" / "0" / "results.json").read_text())
    rank1 = results["rows"]["hog"]["protocols"]["sysu_mm01/all/single"]["metrics"]["rank1"]["mean"]
    assert f"test R1 {100 * rank1:.1f}" in finished.output

    again = run_here(
        "train", *words[:1], "model=hog", "seed=0", *words[3:], "hydra.sweep.dir=sweep", "existing=continue"
    )
    assert again.code == 0, again.output
    assert "Job 1 of 1 kept after" in again.output


def test_jobs_of_a_single_run_are_refused(run_here, smoke_args: list[str]) -> None:
    finished = run_here("train", "model=hog", "jobs=2", *smoke_args)
    assert finished.code == 1
    assert "jobs=2 is of a multirun, and this is one run: add -m or sweep=..., or leave it out." in finished.output
    with pytest.raises(ConfigError, match="jobs=3 is of a multirun"):
        Experiment(model="hog", jobs=3).check()


@pytest.mark.slow
def test_one_after_the_other_in_the_same_frame(run_here, smoke_args: list[str]) -> None:
    validated = ["selection=validation", "selection.every=1", "model.phases.joint=2", "model.iterations_per_epoch=2"]
    less = ["report.untrained=false", "report.modality_pairs=false"]
    finished = run_here("train", "-m", "model=baseline", "seed=0,1", *smoke_args, *validated, *less)
    assert finished.code == 0, finished.output
    assert "Job 1 of 2 begins: seed=0\n" in finished.output
    assert "Job 2 of 2 begins: seed=1 (1 of 2 over, about " in finished.output
    assert "* best mAP on the validation persons" in finished.output
