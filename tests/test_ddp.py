"""Two gloo processes on the CPU."""

import json
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from crossreid.evaluation import Embeddings
from processes import Command, keep_weights
from support import choices


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
    run_here, tmp_path: Path, people_root: Path, shared_folder: Path, model: str
) -> None:
    data = [f"data.root={people_root}", f"data.cache={shared_folder / 'cache'}"]
    arguments = [f"model={model}", "scale=smoke", *data, "report.figures=false", "protocol.trials=2", "run_dir=run"]
    settings = ["trainer=ddp_cpu", "trainer.progress=false"]
    Command(tmp_path, "train", *arguments, *settings, ranks=1, before=keep_weights).finish()

    if model != "hog":  # has no weights
        _check_weights(tmp_path)
    command = ["checkpoint=run/last.ckpt", "trainer=cpu", "report.figures=false", "save_embeddings=alone.npz"]
    done = run_here("evaluate", *command)
    assert done.code == 0, done.output
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
@pytest.mark.true_width  # as commands in a fresh Python have it
def test_lightning_starts_the_second_process_afresh(
    run_here, tmp_path: Path, people_root: Path, shared_folder: Path
) -> None:
    data = [f"data.root={people_root}", f"data.cache={shared_folder / 'cache'}", "report.figures=false"]
    settings = ["report.untrained=false", "report.modality_pairs=false", "protocol.trials=1", "trainer.progress=false"]
    words = ["model=baseline", "scale=smoke", *data, *settings, "trainer=ddp_cpu", "run_dir=run"]
    done = subprocess.run(
        [sys.executable, "-m", "crossreid.train", *words],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=400,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("Results, checkpoints and figures") == 1  # said by one of them
    assert len(list(tmp_path.rglob("run.json"))) == 1
    command = ["checkpoint=run/last.ckpt", "trainer=cpu", "report.figures=false", "save_embeddings=alone.npz"]
    alone = run_here("evaluate", *command)
    assert alone.code == 0, alone.output
    together, one = Embeddings.load(tmp_path / "run" / "embeddings.npz"), Embeddings.load(tmp_path / "alone.npz")
    assert np.allclose(together.features["main"], one.features["main"], atol=1e-5)


@pytest.mark.slow
def test_two_processes_stop_together_at_the_time_budget_and_go_on_together(
    tmp_path: Path, people_root: Path, shared_folder: Path
) -> None:
    data = [f"data.root={people_root}", f"data.cache={shared_folder / 'cache'}"]
    settings = ["model=baseline", "scale=smoke", *data, "report.figures=false", "protocol.trials=2", "run_dir=run"]
    command = [*settings, "existing=continue", "trainer=ddp_cpu", "trainer.progress=false"]

    def train(budget: str) -> Command:
        return Command(tmp_path, "train", *command, f"trainer.time_budget={budget}", ranks=1)

    def status() -> str:
        return str(json.loads((tmp_path / "run" / "run.json").read_text())["status"])

    stopped = train("1e-6")
    assert stopped.wait() == 1, stopped.output
    assert "over trainer.time_budget=1e-06 seconds at iteration 0 of" in stopped.output
    assert "Traceback" not in stopped.output
    assert status() == "over budget"
    assert not (tmp_path / "run" / "results.json").exists()
    train("1000").finish()
    assert status() == "finished"
    assert (tmp_path / "run" / "results.json").is_file()


@pytest.mark.slow
def test_two_processes_stop_together_when_one_is_asked_to(
    tmp_path: Path, people_root: Path, shared_folder: Path
) -> None:
    data = [f"data.root={people_root}", f"data.cache={shared_folder / 'cache'}"]
    settings = ["model=baseline", "scale=smoke", *data, "report.figures=false", "report.untrained=false", "run_dir=run"]
    length = ["model.phases.joint=2000", "trainer.checkpoint_every=1000", "trainer.log_every=1"]
    command = Command(tmp_path, "train", *settings, *length, "trainer=ddp_cpu", "trainer.progress=false", ranks=1)
    history = tmp_path / "run" / "history.csv"
    for _ in range(1500):
        if history.is_file() and "\n10,phase" in history.read_text():
            break
        assert not command.ended, command.output
        time.sleep(0.1)
    command.send(signal.SIGTERM)  # the first process alone: the other one hears of it at its iteration
    assert command.wait(timeout=120) == 143
    assert "by SIGTERM, which is saved: go on with the same command and resume=run" in command.output
    assert "Traceback" not in command.output
    assert json.loads((tmp_path / "run" / "run.json").read_text())["status"] == "interrupted"
    assert sorted(path.name for path in (tmp_path / "run").iterdir()) == [
        "config.yaml",
        "history.csv",
        "last.ckpt",
        "run.json",
    ]
