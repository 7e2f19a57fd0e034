"""A killed run that goes on ends where an uninterrupted one does: weights, optimizers, metrics, history."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from support import smoke_settings

PHASES = [
    ("aligngan", "feature", 1),
    ("aligngan", "pixel", 4),
    ("aligngan", "joint", 8),
    ("cmssft", "joint", 5),
    ("ddag", "joint", 5),
    ("jsia", "generation", 1),
    ("jsia", "joint", 5),
    ("lba", "joint", 5),
    ("tsgan", "teacher", 1),
    ("tsgan", "gan", 4),
    ("tsgan", "joint", 8),
]
"""Method, phase, and the iteration after which the run is killed once the next one is logged."""
ARGS = {
    "aligngan": ["model.phases={feature: 4, pixel: 4, joint: 4}", "model.decay.after=2"],
    "cmssft": ["model.epochs=3", "model.decay.after=[1,2]"],
    "ddag": ["model.epochs=3", "model.schedule={warmup: 1, steps: [2]}"],
    "jsia": ["model.phases={generation: 4, joint: 8}", "model.decay.after=2"],
    "lba": ["model.epochs=3", "model.schedule={warmup: 1, steps: [2]}"],
    "tsgan": [
        "model.epochs={teacher: 1, gan: 1, joint: 1}",
        "model.schedule={passes: 4, warmup: 2, steps: [3]}",  # a pass is an iteration
        "model.teacher_schedule={passes: 4, warmup: 2, steps: [3]}",
    ],
}
COMMON = ["model.iterations_per_epoch=4", "trainer.checkpoint_every=1", "trainer.log_every=1", "seed=5"]


def assert_equal(one: object, two: object, place: str = "checkpoint") -> None:
    """Recursively bit-equal."""
    assert type(one) is type(two), place
    if isinstance(one, torch.Tensor):
        assert torch.equal(one, two), place
    elif isinstance(one, dict):
        assert set(one) == set(two), place
        for key in one:
            assert_equal(one[key], two[key], f"{place}.{key}")
    elif isinstance(one, list | tuple):
        assert len(one) == len(two), place
        for i, (a, b) in enumerate(zip(one, two, strict=True)):
            assert_equal(a, b, f"{place}[{i}]")
    else:
        assert one == two, place


def state(run: Path) -> dict:
    checkpoint = torch.load(run / "last.ckpt", weights_only=True)
    kept = {key: checkpoint[key] for key in ("state_dict", "optimizer_states", "lr_schedulers")}
    return kept | {"iteration": checkpoint["crossreid"]["iteration"]}


def scores(run: Path) -> dict:
    return json.loads((run / "results.json").read_text())["rows"]


@pytest.fixture(scope="module")
def module_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("resume")


def start(folder: Path, *args: str) -> subprocess.Popen:
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "crossreid.train", *args]
    return subprocess.Popen(
        command, cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )


def finish(process: subprocess.Popen) -> str:
    output = process.communicate(timeout=300)[0]
    assert process.returncode == 0, output
    return output


def wait_for_iteration(run: Path, process: subprocess.Popen, iteration: int) -> None:
    """Until the run has logged ``iteration`` and holds a checkpoint."""
    history = run / "history.csv"
    for _ in range(15000):
        assert process.poll() is None, process.communicate()[0]
        if history.is_file() and (run / "last.ckpt").is_file() and f"\n{iteration},phase" in history.read_text():
            return
        time.sleep(0.02)
    raise AssertionError("the run did not get there")


@pytest.fixture(scope="module")
def uninterrupted(module_folder: Path, people_root: Path, shared_folder: Path) -> Callable[[str], Path]:
    """The folder of a method's run that was never stopped; run on first use."""

    def run(model: str) -> Path:
        folder = module_folder / f"whole_{model}"
        if not folder.is_dir():
            finish(start(module_folder, *common(model, people_root, shared_folder), f"run_dir={folder}"))
        return folder

    return run


def common(model: str, people_root: Path, shared_folder: Path) -> list[str]:
    settings = [*smoke_settings(people_root, shared_folder), "trainer.progress=false"]
    return [f"model={model}", *settings, *COMMON, *ARGS[model]]


@pytest.mark.slow
@pytest.mark.parametrize(("model", "phase", "iteration"), PHASES)
def test_killed_in_a_phase_and_resumed(
    module_folder: Path, uninterrupted, people_root: Path, shared_folder: Path, model: str, phase: str, iteration: int
) -> None:
    run = module_folder / f"{model}_{phase}"
    arguments = [*common(model, people_root, shared_folder), f"run_dir={run}"]
    process = start(module_folder, *arguments)
    wait_for_iteration(run, process, iteration + 1)
    process.send_signal(signal.SIGKILL)
    process.wait()
    stopped = torch.load(run / "last.ckpt", weights_only=True)["crossreid"]
    assert (stopped["phase"], stopped["iteration"] < 12) == (phase, True), "killed too late to prove anything"
    finish(start(module_folder, *arguments, f"resume={run}"))
    whole = uninterrupted(model)
    assert_equal(state(run), state(whole))
    assert scores(run) == scores(whole)
    assert (run / "history.csv").read_text() == (whole / "history.csv").read_text()


@pytest.mark.slow
def test_ctrl_c_leaves_a_checkpoint_inside_an_epoch_and_auto_finds_it(
    module_folder: Path, uninterrupted, people_root: Path, shared_folder: Path
) -> None:
    arguments = [
        *common("aligngan", people_root, shared_folder),
        "output_root=interrupted",
        "trainer.checkpoint_every=100",
    ]
    process = start(module_folder, *arguments)
    for _ in range(15000):
        found = list((module_folder / "interrupted").rglob("history.csv"))
        if found and "\n5,phase" in found[0].read_text():
            break
        assert process.poll() is None, process.communicate()[0]
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    output = process.communicate(timeout=120)[0]
    run = found[0].parent
    assert process.returncode == 130, output
    assert "Stopped at iteration" in output
    assert json.loads((run / "run.json").read_text())["status"] == "interrupted"
    assert torch.load(run / "last.ckpt", weights_only=True)["crossreid"]["iteration"] >= 6
    finish(start(module_folder, *arguments, "resume=auto"))
    assert len(list((module_folder / "interrupted").rglob("run.json"))) == 1  # no second folder
    whole = uninterrupted("aligngan")
    assert_equal(state(run), state(whole))
    assert (run / "history.csv").read_text() == (whole / "history.csv").read_text()
    assert json.loads((run / "run.json").read_text())["status"] == "finished"


def test_resume_auto_without_an_earlier_run_starts_afresh(run_here, smoke_args: list[str]) -> None:
    finished = run_here("train", "model=baseline", *smoke_args, "resume=auto")
    assert finished.code == 0
    assert "no earlier run has these settings" in finished.output


@pytest.mark.slow
def test_a_killed_run_chooses_the_same_weights_on_the_validation_identities(
    module_folder: Path, people_root: Path, shared_folder: Path
) -> None:
    arguments = [
        *common("aligngan", people_root, shared_folder),
        "selection=validation",
        "model.iterations_per_epoch=2",
    ]
    finish(start(module_folder, *arguments, "run_dir=chosen"))
    whole, run = module_folder / "chosen", module_folder / "chosen_after_a_kill"
    process = start(module_folder, *arguments, f"run_dir={run}")
    wait_for_iteration(run, process, 7)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert 6 <= torch.load(run / "last.ckpt", weights_only=True)["crossreid"]["iteration"] < 12
    finish(start(module_folder, *arguments, f"resume={run}"))
    assert_equal(state(run), state(whole))
    assert (run / "history.csv").read_text() == (whole / "history.csv").read_text()
    assert "validation/sysu_mm01/val/single/mAP" in (run / "history.csv").read_text()
    results = [json.loads((folder / "results.json").read_text()) for folder in (run, whole)]
    assert results[0]["selected"] == results[1]["selected"]
    assert results[0]["rows"] == results[1]["rows"]
    best = torch.load(whole / "best.ckpt", weights_only=True)["crossreid"]["iteration"]
    assert best == results[0]["selected"]["iteration"]
