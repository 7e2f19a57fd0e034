"""Jobs of a cluster: settings, refusals, and submitit's local mode, which starts processes of this machine."""

import json
from pathlib import Path
from types import SimpleNamespace

import pytest
from omegaconf import OmegaConf

from crossreid.errors import ConfigError
from crossreid.multirun.jobs import FAILED, FINISHED, JobEnd
from crossreid.multirun.slurm import RemoteJob, Slurm, _end_of

submitit = pytest.importorskip("submitit", reason="jobs of a cluster need the extra slurm")


def slurm(existing: str = "continue", jobs: int = 1, **settings: object) -> Slurm:
    launcher = Slurm(**settings)
    launcher.config = OmegaConf.create({"existing": existing, "jobs": jobs, "hydra": {"sweep": {"dir": "sweep"}}})
    return launcher


@pytest.mark.parametrize(
    ("launcher", "message"),
    [
        (slurm(existing="refuse", again=1), "add existing=continue"),
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


def test_a_job_that_loses_its_node_is_submitted_anew_and_returns_nothing() -> None:
    class Losing:
        """Work during which the scheduler says that the time is over."""

        def do(self) -> JobEnd:
            again = remote.checkpoint()
            assert isinstance(again.function, RemoteJob)
            assert again.function.work is remote.work
            return JobEnd(FAILED)

    remote = RemoteJob(Losing())  # type: ignore[arg-type]
    with pytest.raises(SystemExit):
        remote()


@pytest.mark.slow
def test_two_jobs_in_submitits_local_mode_of_which_one_fails(run_here, smoke_args: list[str], tmp_path: Path) -> None:
    local = ["hydra/launcher=slurm", "hydra.launcher.cluster=local", "hydra.launcher.gpus=0", "hydra.sweep.dir=sweep"]
    words = ["-m", "model=hog", "seed=0,-1", *smoke_args, "report.modality_pairs=false", *local]
    finished = run_here("train", *words)
    assert finished.code == 1, finished.output
    assert "Job 2 (seed=-1) failed: " in finished.output
    assert "seed is -1: choose 0 or more" in finished.output
    assert "Error: 1 of the jobs failed: 2 (seed=-1)." in finished.output
    assert "Job 1 of 2 finished after" in finished.output
    assert json.loads((tmp_path / "sweep" / "0" / "run.json").read_text())["status"] == "finished"
