"""Jobs of a cluster: settings, refusals, and submitit's local mode, which starts processes of this machine."""

import json
import os
import pickle
import signal
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import pytest
from omegaconf import OmegaConf

from crossreid.errors import ConfigError
from crossreid.interruption import Interruption
from crossreid.multirun.jobs import FAILED, FINISHED, JobEnd
from crossreid.multirun.slurm import RemoteJob, Slurm, _end_of
from crossreid.multirun.task import CommandTask
from crossreid.multirun.worker import Work, _end_without_result

submitit = pytest.importorskip("submitit", reason="jobs of a cluster need the extra slurm")


def slurm(jobs: int = 1, **settings: object) -> Slurm:
    launcher = Slurm(**settings)
    launcher.config = OmegaConf.create({"jobs": jobs, "hydra": {"sweep": {"dir": "sweep"}}})
    return launcher


@pytest.mark.parametrize(
    ("launcher", "message"),
    [
        (slurm(jobs=2), "hydra.launcher.at_once"),
        (slurm(minutes=0), "hydra.launcher.minutes is 0"),
        (slurm(cluster="here"), "choose from slurm, local"),
        (slurm(), "sbatch is missing"),
    ],
)
def test_what_cannot_be_submitted_is_one_sentence(launcher: Slurm, message: str, monkeypatch) -> None:
    monkeypatch.setenv("PATH", "")
    with pytest.raises(ConfigError, match=message):
        launcher._executor()


def test_every_setting_reaches_sbatch(monkeypatch, tmp_path: Path) -> None:
    """Submitit's own writer of batch files, on a machine that has a scheduler by name only."""
    from submitit.slurm.slurm import SlurmExecutor, _make_sbatch_string

    monkeypatch.setattr(SlurmExecutor, "affinity", classmethod(lambda cls: 2))
    monkeypatch.setattr(submitit.AutoExecutor, "which", lambda self: "slurm", raising=False)
    settings = {
        "partition": "short", "account": "reid", "qos": "high", "constraint": "a100", "minutes": 90, "gpus": 2, "cores": 6,
        "memory": 48, "at_once": 3, "before": ["module load cuda"], "others": {"mail-user": "me@example.org"},
    }  # fmt: skip
    launcher = slurm(**settings)
    launcher.config.hydra.sweep.dir = str(tmp_path)
    executor = launcher._executor()
    text = _make_sbatch_string(command="x", folder=tmp_path, map_count=5, **executor._executor.parameters)
    wanted = (
        "partition=short", "account=reid", "qos=high", "constraint=a100", "time=90", "gpus-per-node=2", "cpus-per-task=6",
        "mem=48GB", "array=0-4%3", "mail-user=me@example.org",
    )  # fmt: skip
    for option in wanted:
        assert f"#SBATCH --{option}" in text, text
    assert "module load cuda" in text


def test_a_job_without_a_result_is_named() -> None:
    died = SimpleNamespace(exception=lambda: submitit.core.utils.UncompletedJobError("out of\nmemory"), job_id="7_1")
    end = _end_of(died)
    assert end.status == FAILED
    assert "job 7_1 of the cluster has no result (out of memory)" in end.message
    assert _end_of(SimpleNamespace(exception=lambda: None, result=lambda: JobEnd(FINISHED))) == JobEnd(FINISHED)


class Losing:
    """Work during which the scheduler wants the node back, the first time."""

    def __init__(self, begun: int = 0) -> None:
        self.begun = begun

    def going_on(self) -> "Losing":
        return Losing(self.begun + 1)

    def do(self) -> JobEnd:
        if self.begun:
            return JobEnd(FINISHED, value=float(self.begun))
        try:
            os.kill(os.getpid(), signal.SIGUSR2)  # as the scheduler does
            time.sleep(60)
        except SystemExit as end:  # of submitit's handler; a run ends by it in good order
            return _end_without_result(end)
        return JobEnd(FAILED)


@pytest.mark.slow
def test_a_job_that_loses_its_node_goes_on_with_its_run(tmp_path: Path) -> None:
    """In submitit's local mode, which starts the job anew when it says so."""
    import cloudpickle

    cloudpickle.register_pickle_by_value(sys.modules[__name__])
    executor = submitit.AutoExecutor(folder=tmp_path, cluster="local")
    handle = executor.submit(RemoteJob(Losing()))  # type: ignore[arg-type]
    assert handle.result() == JobEnd(FINISHED, value=1.0)


def test_the_work_of_a_job_that_goes_on_continues_its_run(tmp_path: Path) -> None:
    config = OmegaConf.create({"existing": "refuse", "overwrite": True, "resume": None, "seed": 3})
    work = Work.of(CommandTask("train", lambda composed: None, Interruption()), config, tmp_path)
    again = pickle.loads(work.going_on().settings)
    assert (again.existing, again.overwrite, again.resume, again.seed) == ("continue", False, None, 3)
    assert pickle.loads(work.settings) == config


@pytest.mark.slow
def test_two_jobs_in_submitits_local_mode_of_which_one_fails(run_here, smoke_args: list[str], tmp_path: Path) -> None:
    local = ["hydra/launcher=slurm", "hydra.launcher.cluster=local", "hydra.launcher.gpus=0", "hydra.sweep.dir=sweep"]
    words = ["-m", "model=hog", "seed=0,-1", *smoke_args, "report.modality_pairs=false", *local]
    finished = run_here("train", *words)
    assert finished.code == 1, finished.output
    assert "Job 2 (seed=-1) failed: " in finished.output
    assert "seed is -1: choose 0 or more" in finished.output
    assert "Error: 1 of the jobs failed: 2 (seed=-1)." in finished.output
    assert "Job 1 of 2 finished, " in finished.output
    assert json.loads((tmp_path / "sweep" / "0" / "run.json").read_text())["status"] == "finished"
    assert (tmp_path / "sweep" / "report" / "comparison.html").is_file()
