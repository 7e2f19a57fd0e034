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

PHASES = {  # method -> phase -> kill once the iteration after this one is logged
    "aligngan": {"feature": 1, "pixel": 4, "joint": 8},
    "jsia": {"generation": 1, "joint": 4},
}
ARGS = [
    "model.iterations_per_epoch=4",
    "model.decay.after=2",
    "trainer.checkpoint_every=1",
    "trainer.log_every=1",
    "seed=5",
]


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
    """The folder of a method's run that nothing stopped; run on first use."""

    def run(model: str) -> Path:
        folder = module_folder / f"whole_{model}"
        if not folder.exists():
            finish(start(module_folder, *common(model, people_root, shared_folder), f"run_dir={folder}"))
        return folder

    return run


def common(model: str, people_root: Path, shared_folder: Path) -> list[str]:
    phases = f"model.phases={{{', '.join(f'{name}: 4' for name in PHASES[model])}}}"
    settings = [*smoke_settings(people_root, shared_folder), "trainer.progress=false"]
    return [*settings, f"model={model}", phases, *ARGS]


@pytest.mark.slow
@pytest.mark.parametrize(("model", "phase"), [(model, phase) for model, phases in PHASES.items() for phase in phases])
def test_killed_in_a_phase_and_resumed(
    module_folder: Path,
    uninterrupted: Callable[[str], Path],
    people_root: Path,
    shared_folder: Path,
    model: str,
    phase: str,
) -> None:
    run, whole = module_folder / f"{model}_{phase}", uninterrupted(model)
    arguments = [*common(model, people_root, shared_folder), f"run_dir={run}"]
    process = start(module_folder, *arguments)
    wait_for_iteration(run, process, PHASES[model][phase] + 1)
    process.send_signal(signal.SIGKILL)
    process.wait()
    stopped = torch.load(run / "last.ckpt", weights_only=True)["crossreid"]
    assert stopped["phase"] == phase, "killed too late to prove anything"
    finish(start(module_folder, *arguments, f"resume={run}"))
    assert_equal(state(run), state(whole))
    assert scores(run) == scores(whole)
    assert (run / "history.csv").read_text() == (whole / "history.csv").read_text()


@pytest.mark.slow
def test_ctrl_c_leaves_a_checkpoint_inside_an_epoch_and_auto_finds_it(
    module_folder: Path, uninterrupted: Callable[[str], Path], people_root: Path, shared_folder: Path
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
    assert_equal(state(run), state(uninterrupted("aligngan")))
    assert (run / "history.csv").read_text() == (uninterrupted("aligngan") / "history.csv").read_text()
    assert json.loads((run / "run.json").read_text())["status"] == "finished"


def test_resume_auto_without_an_earlier_run_starts_afresh(run_here, smoke_args: list[str]) -> None:
    finished = run_here("train", "model=baseline", *smoke_args, "resume=auto")
    assert finished.code == 0
    assert "no earlier run has these settings" in finished.output
