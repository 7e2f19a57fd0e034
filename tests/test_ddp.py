"""Two gloo processes on the CPU."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from crossreid.evaluation import Embeddings
from support import choices

SPY = """
import torch, pytorch_lightning as pl
original = pl.Trainer.fit
def fit(self, module, *args, **kwargs):
    original(self, module, *args, **kwargs)
    torch.save(module.state_dict(), f"weights{self.global_rank}.pt")
pl.Trainer.fit = fit
from crossreid.train import main
main()
"""


def _run(folder: Path, command: list[str]) -> subprocess.CompletedProcess[str]:
    """One thread a process; what it printed as text."""
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    return subprocess.run(
        command, cwd=folder, capture_output=True, text=True, timeout=400, check=False, env=environment
    )


def _check_weights(folder: Path) -> None:
    """Both ranks end with the same parameters, and these are in the checkpoint."""
    import torch

    one, two = (torch.load(folder / f"weights{rank}.pt", weights_only=True) for rank in (0, 1))
    parameters = [name for name in one if "running" not in name and "num_batches" not in name]
    assert all(torch.equal(one[name], two[name]) for name in parameters)
    changed = torch.load(folder / "run" / "last.ckpt", weights_only=True)["state_dict"]
    assert all(torch.equal(one[name], changed[name]) for name in parameters)


ALWAYS = ("aligngan", "cmssft", "jsia", "lba", "tsgan", "cmgan", "xmodality", "strong")
"""The five papers' methods, the baselines with several optimizers, and one with a single one."""


def methods_under_ddp() -> list[Any]:
    """All methods; the baselines outside :data:`ALWAYS` in `make test-full` only, for their 45 seconds each."""
    return [name if name in ALWAYS else pytest.param(name, marks=pytest.mark.full) for name in choices("model")]


@pytest.mark.slow
@pytest.mark.parametrize("model", methods_under_ddp())
def test_ranks_keep_equal_parameters_and_score_as_one_process(
    tmp_path: Path, people_root: Path, shared_folder: Path, model: str
) -> None:
    (tmp_path / "spied.py").write_text(SPY)
    data = [f"data.root={people_root}", f"data.cache={shared_folder / 'cache'}"]
    arguments = [f"model={model}", "scale=smoke", *data, "report.figures=false", "protocol.trials=2", "run_dir=run"]
    command = [sys.executable, "spied.py", *arguments, "trainer=ddp_cpu", "trainer.progress=false"]
    done = _run(tmp_path, command)
    assert done.returncode == 0, done.stdout + done.stderr

    if model != "hog":  # has no weights
        _check_weights(tmp_path)
    command = [
        sys.executable,
        "-m",
        "crossreid.evaluate",
        "checkpoint=run/last.ckpt",
        "trainer=cpu",
        "report.figures=false",
    ]
    done = subprocess.run(
        [*command, "save_embeddings=alone.npz"], cwd=tmp_path, capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    together, alone = Embeddings.load(tmp_path / "run" / "embeddings.npz"), Embeddings.load(tmp_path / "alone.npz")
    assert np.array_equal(together.rows, alone.rows)
    assert np.allclose(together.features["main"], alone.features["main"], atol=1e-5)
    rows = json.loads((tmp_path / "run" / "results.json").read_text())["rows"]
    rows.pop("untrained network", None)
    trained = {
        f"{row.removeprefix(model).lstrip('/')}/{key}".lstrip("/"): scored["metrics"]
        for row, content in rows.items()
        for key, scored in content["protocols"].items()
    }
    again = json.loads((tmp_path / "run" / "last.evaluation.json").read_text())
    assert set(again) == set(trained)
    for key, metrics in again.items():
        for name, summary in metrics.items():
            assert summary["mean"] == pytest.approx(trained[key][name]["mean"], abs=1e-6), (key, name)
    assert len(list(tmp_path.rglob("run.json"))) == 1


@pytest.mark.slow
def test_two_processes_stop_together_at_the_time_budget_and_go_on_together(
    tmp_path: Path, people_root: Path, shared_folder: Path
) -> None:
    data = [f"data.root={people_root}", f"data.cache={shared_folder / 'cache'}"]
    settings = ["model=baseline", "scale=smoke", *data, "report.figures=false", "protocol.trials=2", "run_dir=run"]
    command = [sys.executable, "-m", "crossreid.train", *settings, "existing=continue", "trainer=ddp_cpu"]

    def train(budget: str) -> subprocess.CompletedProcess[str]:
        return _run(tmp_path, [*command, f"trainer.time_budget={budget}", "trainer.progress=false"])

    def status() -> str:
        return str(json.loads((tmp_path / "run" / "run.json").read_text())["status"])

    stopped = train("1e-6")
    assert stopped.returncode == 1, stopped.stdout + stopped.stderr
    assert "over trainer.time_budget=1e-06 seconds at iteration 0 of" in stopped.stdout + stopped.stderr
    assert "Traceback" not in stopped.stdout + stopped.stderr
    assert status() == "over budget"
    assert not (tmp_path / "run" / "results.json").exists()
    finished = train("1000")
    assert finished.returncode == 0, finished.stdout + finished.stderr
    assert status() == "finished"
    assert (tmp_path / "run" / "results.json").is_file()


@pytest.mark.slow
def test_two_processes_stop_together_when_one_is_asked_to(
    tmp_path: Path, people_root: Path, shared_folder: Path
) -> None:
    data = [f"data.root={people_root}", f"data.cache={shared_folder / 'cache'}"]
    settings = ["model=baseline", "scale=smoke", *data, "report.figures=false", "report.untrained=false", "run_dir=run"]
    length = ["model.phases.joint=2000", "trainer.checkpoint_every=1000", "trainer.log_every=1"]
    command = [sys.executable, "-m", "crossreid.train", *settings, *length, "trainer=ddp_cpu", "trainer.progress=false"]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    with (tmp_path / "log").open("w") as log:
        process = subprocess.Popen(command, cwd=tmp_path, env=environment, stdout=log, stderr=log)
        history = tmp_path / "run" / "history.csv"
        for _ in range(1500):
            if history.is_file() and "\n10,phase" in history.read_text():
                break
            assert process.poll() is None, (tmp_path / "log").read_text()
            time.sleep(0.1)
        process.terminate()  # the first process alone: the other one hears of it at its iteration
        assert process.wait(timeout=120) == 143
    told = (tmp_path / "log").read_text()
    assert "by SIGTERM, which is saved: go on with the same command and resume=run" in told
    assert "Traceback" not in told
    assert json.loads((tmp_path / "run" / "run.json").read_text())["status"] == "interrupted"
    assert sorted(path.name for path in (tmp_path / "run").iterdir()) == [
        "config.yaml",
        "history.csv",
        "last.ckpt",
        "run.json",
    ]
