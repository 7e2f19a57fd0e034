"""Real multiruns through the command: side by side, with a failing job, refusals."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from hydra.core.utils import setup_globals
from omegaconf import OmegaConf

from crossreid.errors import ConfigError, WriteError
from crossreid.experiment import Experiment
from crossreid.multirun.closing import report_on
from crossreid.multirun.launcher import how_to_go_on
from support import ROOT


@pytest.mark.slow
def test_two_jobs_side_by_side_of_which_one_fails(run_here, smoke_args: list[str], tmp_path: Path) -> None:
    words = ["-m", "model=hog", "seed=0,-1", "jobs=2", *smoke_args, "report.modality_pairs=false"]
    finished = run_here("train", *words, "hydra.sweep.dir=sweep")
    assert finished.code == 1, finished.output
    assert "Job 2 (seed=-1) failed: " in finished.output
    assert "seed is -1: choose 0 or more" in finished.output
    assert "Error: 1 of the jobs failed: 2 (seed=-1)." in finished.output
    assert "Traceback" not in finished.output
    assert "Job 1 of 2 finished, " in finished.output
    facts = json.loads((tmp_path / "sweep" / "0" / "run.json").read_text())
    assert facts["status"] == "finished"
    assert "seed=0" in facts["command"]
    assert "jobs=" not in facts["command"]  # it can be given once more, alone
    assert "1 thread(s)" in facts["machine"]
    log = (tmp_path / "sweep" / "logs" / "1.log").read_text()
    assert "method hog" in log
    assert "jobs:" not in (tmp_path / "sweep" / "0" / "config.yaml").read_text()
    results = json.loads((tmp_path / "sweep" / "0" / "results.json").read_text())
    rank1 = results["rows"]["hog"]["protocols"]["sysu_mm01/all/single"]["metrics"]["rank1"]["mean"]
    assert f", R1 {100 * rank1:.1f}" in finished.output

    report = tmp_path / "sweep" / "report"
    content = json.loads((report / "comparison.json").read_text())
    assert [run["seed"] for run in content["runs"]] == [0]  # what is there
    names = ("comparison.html", "comparison.md", "comparison.csv", "comparison.json", "comparison.png")
    assert all((report / name).is_file() for name in names)
    assert "Report: sweep/report (comparison.html, " in finished.output
    assert "python -m crossreid.report" not in finished.output  # nobody has to be told how to get one
    first_table = finished.output.index("sysu_mm01/all/single\n")
    assert finished.output.index("Jobs of sweep") < first_table < finished.output.index("Report: sweep/report")
    drawn = [line for line in finished.output.splitlines() if line.startswith(("│", "┃", "┏", "└"))]
    assert max(map(len, drawn)) <= 100

    again = run_here("train", "-m", "model=hog", "seed=0", *words[4:], "hydra.sweep.dir=sweep", "existing=continue")
    assert again.code == 0, again.output
    assert "Job 1 of 1 kept, " in again.output
    assert "Report: sweep/report (comparison.html, " in again.output  # its own is replaced


@pytest.mark.parametrize("problem", [WriteError("No space is left on the disk."), ZeroDivisionError("by zero")])
def test_a_report_that_fails_changes_nothing_of_the_trainings(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path, problem: Exception
) -> None:
    def failing(config: object) -> None:
        raise problem

    monkeypatch.setattr("crossreid.studies.comparison.gathering.write_report", failing)
    report_on(tmp_path)
    said = [line for line in capsys.readouterr().out.splitlines() if "No report was written: " in line]
    assert len(said) == 1
    assert str(problem) in said[0]
    assert "python -m crossreid.report runs=" in said[0]


def test_a_multirun_without_any_result_says_that_there_is_nothing_to_report(run_here, smoke_args: list[str]) -> None:
    finished = run_here("train", "-m", "model=hog", "seed=-1,-2", *smoke_args)
    assert finished.code == 1
    assert "No report was written: No run (run.json) lies below the folders of runs" in finished.output
    assert "Error: 2 of the jobs failed: " in finished.output


def test_jobs_of_a_single_run_are_refused(run_here, smoke_args: list[str]) -> None:
    finished = run_here("train", "model=hog", "jobs=2", *smoke_args)
    assert finished.code == 1
    assert "jobs=2 is of a multirun, and this is one run: add -m or sweep=..., or leave it out." in finished.output
    with pytest.raises(ConfigError, match="jobs=3 is of a multirun"):
        Experiment(model="hog", jobs=3).check()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["jobs=1,2"], "jobs is of the whole multirun, so it has one value"),
        (["jobs=-1", "seed=0,1"], "jobs is -1: choose 1 or more"),
        (["sweep_report=true,false"], "sweep_report is of the whole multirun, so it has one value"),
    ],
)
def test_a_number_of_jobs_that_cannot_be_is_one_sentence(run_here, tmp_path: Path, words, message: str) -> None:
    finished = run_here("train", "-m", "model=hog", "scale=smoke", *words)
    assert finished.code == 1
    assert message in finished.output
    assert not list(tmp_path.rglob("run.json"))


@pytest.mark.slow
def test_one_after_the_other_in_the_same_frame(run_here, smoke_args: list[str], tmp_path: Path) -> None:
    validated = ["selection=validation", "selection.every=1", "model.phases.joint=2", "model.iterations_per_epoch=2"]
    less = ["report.untrained=false", "report.modality_pairs=false", "sweep_report=false"]
    finished = run_here("train", "-m", "model=baseline", "seed=0,1", *smoke_args, *validated, *less)
    assert finished.code == 0, finished.output
    assert "Job 1 of 2 begins: seed=0\n" in finished.output
    assert "Job 2 of 2 begins: seed=1 (1 of 2 over, about " in finished.output
    assert "* best mAP on the validation persons" in finished.output
    assert "All scores: python -m crossreid.report" in finished.output
    assert not list(tmp_path.rglob("comparison.*"))


def test_a_reader_who_has_gone_is_no_error() -> None:
    """`--help | head` closes the pipe before the page is through."""
    for module, words in (("crossreid.train", ["--help"]), ("crossreid.settings", []), ("crossreid", [])):
        process = subprocess.Popen(
            [sys.executable, "-m", module, *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        assert process.stdout is not None
        process.stdout.close()
        assert process.stderr is not None
        assert process.stderr.read() == ""
        assert process.wait() == 0


@pytest.mark.parametrize(
    ("folder", "existing", "words"),
    [
        ("multirun/${now:%H}", "refuse", ["existing=continue", "hydra.sweep.dir="]),
        ("multirun/mine", "refuse", ["existing=continue"]),
        ("multirun/mine", "continue", ["the same command goes on"]),
    ],
)
def test_a_stopped_multirun_says_what_to_type(folder: str, existing: str, words: list[str]) -> None:
    setup_globals()
    config = OmegaConf.create({"existing": existing, "hydra": {"sweep": {"dir": folder}}})
    said = how_to_go_on(config, "python -m crossreid.train -m seed=0,1")
    assert all(word in said for word in words)
    assert ("hydra.sweep.dir=" in said) == ("hydra.sweep.dir=" in words)
    assert "python -m crossreid.train -m seed=0,1" in said


@pytest.mark.slow
def test_the_wandb_sweep_file_starts_a_run_that_logs_its_metric(
    run_here, smoke_args: list[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """W&B's own code makes the command of an agent; what the agent would need its server for is left out."""
    from wandb.sdk.launch.sweeps.utils import create_sweep_command, create_sweep_command_args

    sweep = yaml.safe_load((ROOT / "docs" / "wandb_sweep.yaml").read_text(encoding="utf-8"))
    values = {}
    for key, space in sweep["parameters"].items():
        assert 0 <= space["min"] < space["max"]
        values[key] = {"value": (space["min"] + space["max"]) / 2}
    told = create_sweep_command_args({"args": values})["args_no_hyphens"]
    words = []
    for word in create_sweep_command(sweep["command"]):
        if word == "${args_no_hyphens}":
            words += told
        else:
            words.append(word.replace("${program}", sweep["program"]))
    assert words[:4] == ["${env}", "python", "-m", "crossreid.train"]
    assert sweep["metric"]["goal"] == "maximize"
    assert "logger=wandb_online" in words
    offline = [word.replace("logger=wandb_online", "logger=wandb") for word in words[4:]]
    monkeypatch.setenv("WANDB_SWEEP_ID", "abc")
    finished = run_here("train", *offline, *smoke_args, "run_dir=run", "report.untrained=false")
    assert finished.code == 0, finished.output
    assert sweep["metric"]["name"] in (tmp_path / "run" / "history.csv").read_text()
    kept = yaml.safe_load((tmp_path / "run" / "config.yaml").read_text())
    assert kept["model"]["w_dt"] == values["model.w_dt"]["value"]
