"""A killed run that goes on ends where an uninterrupted one does: weights, optimizers, metrics, history."""

import json
import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from processes import Command
from support import smoke_settings

FULL = pytest.mark.full
PHASES = [
    pytest.param("aligngan", "feature", 1, marks=FULL),
    pytest.param("aligngan", "pixel", 4, marks=FULL),
    ("aligngan", "joint", 8),
    ("cmssft", "joint", 5),
    ("ddag", "joint", 5),
    pytest.param("deen", "joint", 5, marks=FULL),
    pytest.param("mpanet", "joint", 5, marks=FULL),
    ("best", "joint", 5),
    pytest.param("jsia", "generation", 1, marks=FULL),
    ("jsia", "joint", 5),
    ("lba", "joint", 5),
    pytest.param("tsgan", "teacher", 1, marks=FULL),
    ("tsgan", "gan", 4),
    pytest.param("tsgan", "joint", 8, marks=FULL),
]
"""Method, phase, and the iteration after which the run is killed once the next is logged.

`make test` has one of each method that keeps more than weights and optimizers: phases, several optimizers, a memory of
features, weights of losses that follow the epochs, averaged weights.
"""
ARGS = {
    "aligngan": ["model.phases={feature: 4, pixel: 4, joint: 4}", "model.decay.after=2"],
    "cmssft": ["model.epochs=3", "model.decay.after=[1,2]"],
    "ddag": ["model.epochs=3", "model.schedule={warmup: 1, steps: [2]}"],
    "deen": ["model.epochs=3", "model.schedule={warmup: 1, steps: [2]}"],
    "mpanet": ["model.epochs=3", "model.schedule={warmup: 1, steps: [2]}"],
    "best": ["model.epochs=3"],
    "jsia": ["model.phases={generation: 4, joint: 8}", "model.decay.after=2"],
    "lba": ["model.epochs=3", "model.schedule={warmup: 1, steps: [2]}"],
    "tsgan": [
        "model.epochs={teacher: 1, gan: 1, joint: 1}",
        "model.schedule={passes: 4, warmup: 2, steps: [3]}",  # a pass is an iteration
        "model.teacher_schedule={passes: 4, warmup: 2, steps: [3]}",
    ],
}
COMMON = ["model.iterations_per_epoch=4", "trainer.checkpoint_every=1", "trainer.log_every=1", "trainer.progress=false"]
COMMON += ["report.untrained=false", "report.modality_pairs=false", "seed=5"]


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


def wait_for_iteration(run: Path, command: Command, iteration: int) -> None:
    """Until the run has logged ``iteration`` and holds a checkpoint."""
    history = run / "history.csv"
    for _ in range(15000):
        assert not command.ended, command.output
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
            Command(module_folder, "train", *common(model, people_root, shared_folder), f"run_dir={folder}").finish()
        return folder

    return run


def common(model: str, people_root: Path, shared_folder: Path) -> list[str]:
    settings = smoke_settings(people_root, shared_folder)
    return [f"model={model}", *settings, *COMMON, *ARGS[model]]


@pytest.mark.slow
@pytest.mark.parametrize(("model", "phase", "iteration"), PHASES)
def test_killed_in_a_phase_and_resumed(
    module_folder: Path, uninterrupted, people_root: Path, shared_folder: Path, model: str, phase: str, iteration: int
) -> None:
    run = module_folder / f"{model}_{phase}"
    arguments = [*common(model, people_root, shared_folder), f"run_dir={run}"]
    command = Command(module_folder, "train", *arguments)
    wait_for_iteration(run, command, iteration + 1)
    command.kill()
    stopped = torch.load(run / "last.ckpt", weights_only=True)["crossreid"]
    assert (stopped["phase"], stopped["iteration"] < 12) == (phase, True), "killed too late to prove anything"
    Command(module_folder, "train", *arguments, f"resume={run}").finish()
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
    command = Command(module_folder, "train", *arguments)
    for _ in range(15000):
        found = list((module_folder / "interrupted").rglob("history.csv"))
        if found and "\n5,phase" in found[0].read_text():
            break
        assert not command.ended, command.output
        time.sleep(0.02)
    command.send(signal.SIGINT)
    code = command.wait(timeout=120)
    run = found[0].parent
    assert code == 130, command.output
    assert "Stopped at iteration" in command.output
    assert json.loads((run / "run.json").read_text())["status"] == "interrupted"
    assert torch.load(run / "last.ckpt", weights_only=True)["crossreid"]["iteration"] >= 6
    Command(module_folder, "train", *arguments, "resume=auto").finish()
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
    Command(module_folder, "train", *arguments, "run_dir=chosen").finish()
    whole, run = module_folder / "chosen", module_folder / "chosen_after_a_kill"
    command = Command(module_folder, "train", *arguments, f"run_dir={run}")
    wait_for_iteration(run, command, 7)
    command.kill()
    assert 6 <= torch.load(run / "last.ckpt", weights_only=True)["crossreid"]["iteration"] < 12
    Command(module_folder, "train", *arguments, f"resume={run}").finish()
    assert_equal(state(run), state(whole))
    assert (run / "history.csv").read_text() == (whole / "history.csv").read_text()
    assert "validation/sysu_mm01/val/single/mAP" in (run / "history.csv").read_text()
    results = [json.loads((folder / "results.json").read_text()) for folder in (run, whole)]
    assert results[0]["selected"] == results[1]["selected"]
    assert results[0]["rows"] == results[1]["rows"]
    best = torch.load(whole / "best.ckpt", weights_only=True)["crossreid"]["iteration"]
    assert best == results[0]["selected"]["iteration"]
