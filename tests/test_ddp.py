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


ALWAYS = ("aligngan", "cmssft", "jsia", "lba", "tsgan", "cmgan", "strong")
"""The five papers' methods, a baseline with several optimizers, and one with a single one."""


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


def as_torchrun(rank: int) -> None:
    """The environment that torchrun gives the only process of each of two machines."""
    import os

    os.environ |= {
        "TORCHELASTIC_RUN_ID": "7",
        "MASTER_ADDR": "localhost",
        "MASTER_PORT": "29517",
        "WORLD_SIZE": "2",
        "RANK": str(rank),
        "GROUP_RANK": str(rank),
        "LOCAL_RANK": "0",
        "LOCAL_WORLD_SIZE": "1",
    }


def as_first_machine() -> None:
    as_torchrun(0)


def as_second_machine() -> None:
    as_torchrun(1)


MACHINES = (as_first_machine, as_second_machine)


@pytest.mark.slow
def test_torchrun_on_two_machines_trains_as_two_processes_of_one(
    tmp_path: Path, people_root: Path, shared_folder: Path
) -> None:
    import torch

    data = [f"data.root={people_root}", f"data.cache={shared_folder / 'cache'}", "report.figures=false"]
    settings = ["report.untrained=false", "report.modality_pairs=false", "protocol.trials=1", "trainer.progress=false"]
    words = ["model=baseline", "scale=smoke", *data, *settings, "trainer=ddp_cpu"]
    two = [*words, "trainer.devices=1", "trainer.num_nodes=2", "run_dir=run"]
    commands = [Command(tmp_path / "two", "train", *two, before=machine) for machine in MACHINES]
    outputs = [command.finish() for command in commands]
    assert "Results, checkpoints and figures: run" in outputs[0]
    assert "Results, checkpoints and figures" not in outputs[1]
    Command(tmp_path / "one", "train", *words, "run_dir=run", ranks=1).finish()
    weights = [torch.load(tmp_path / place / "run" / "last.ckpt", weights_only=True) for place in ("two", "one")]
    for name, value in weights[0]["state_dict"].items():
        assert torch.equal(value, weights[1]["state_dict"][name]), name

    resumed = [Command(tmp_path / "two", "train", *two[:-1], "resume=run", before=machine) for machine in MACHINES]
    again = [command.finish() for command in resumed]
    assert "its training is complete, so it is scored" in again[0]


@pytest.mark.parametrize(
    ("word", "message"),
    [("seed=0", "must agree on a folder: set run_dir"), ("resume=auto", "name it by resume=RUN")],
)
def test_torchruns_processes_must_know_their_folder(
    run_here, smoke_args: list[str], monkeypatch: pytest.MonkeyPatch, word: str, message: str
) -> None:
    monkeypatch.setenv("TORCHELASTIC_RUN_ID", "7")
    finished = run_here("train", "model=baseline", *smoke_args, word)
    assert finished.code == 1
    assert message in finished.output
