"""Which checkpoints a run goes on from: those of its own settings, counters and optimizers, and no others."""

import re
from collections.abc import Callable
from copy import deepcopy
from pathlib import Path
from shutil import copytree
from typing import Any

import pytest
import torch

import crossreid
from crossreid.errors import CheckpointError, CrossReIDError
from crossreid.runs.folder import RunFolder
from crossreid.runs.results import RunResults
from crossreid.settings.run import RunConfig
from crossreid.training.checkpoints import drop_optimizers, read_checkpoint
from crossreid.training.loading import make_method, method_from
from crossreid.training.resuming import check_resumable
from support import files_in


@pytest.fixture(scope="module")
def config(people_root: Path, shared_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> RunConfig:
    """Of a run of AlignGAN that was stopped in its second phase of three, in the middle of an epoch."""
    overrides = {
        "data.root": str(people_root),
        "data.cache": str(shared_folder / "cache"),
        "report.untrained": False,
        "trainer.progress": False,
        "model.iterations_per_epoch": 3,
        "model.phases": {"feature": 2, "pixel": 2, "joint": 2},
        "trainer.time_budget": 1e9,
        "trainer.checkpoint_every": 100,
        "trainer.phase_checkpoints": True,
    }
    folder = tmp_path_factory.mktemp("stopped")
    experiment = crossreid.Experiment(
        "aligngan", scale="smoke", trainer="cpu", run_dir=str(folder / "run"), overrides=overrides
    )
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("crossreid.training.session.Session._score", stop_here)
        with pytest.raises(CrossReIDError, match="far enough"):
            experiment.run()
    return experiment.config


def stop_here(*args: Any, **facts: Any) -> None:
    raise CrossReIDError("far enough")


@pytest.fixture(scope="module")
def stopped(config: RunConfig) -> dict[str, Any]:
    return read_checkpoint(Path(config.run_dir or "") / "pixel.ckpt")


def check(checkpoint: dict[str, Any], config: RunConfig) -> None:
    module = make_method(config.model, checkpoint["crossreid"]["num_identities"], config.seed)
    check_resumable(checkpoint, Path("x.ckpt"), config, module)


def test_its_own_checkpoint_is_taken(stopped: dict[str, Any], config: RunConfig) -> None:
    assert stopped["crossreid"]["iteration"] == 4
    check(stopped, config)
    for name in ("feature", "joint", "last"):
        check(read_checkpoint(Path(config.run_dir or "") / f"{name}.ckpt"), config)
    ours = {key: value for key, value in stopped["crossreid"].items() if key != "optimizer_parameters"}
    check({**stopped, "crossreid": ours}, config)  # older checkpoints do not say it


def setting(path: str, value: object) -> Callable[[dict[str, Any]], None]:
    """Changes one entry of a checkpoint."""

    def change(checkpoint: dict[str, Any]) -> None:
        *groups, last = path.split("/")
        place: Any = checkpoint
        for group in groups:
            place = place[int(group) if isinstance(place, list) else group]
        place[int(last) if isinstance(place, list) else last] = value

    return change


def lose(number: int) -> Callable[[dict[str, Any]], None]:
    """Forgets one parameter of an optimizer's state."""
    return lambda checkpoint: checkpoint["optimizer_states"][number]["state"].popitem()


def forget_all(checkpoint: dict[str, Any]) -> None:
    for state in checkpoint["optimizer_states"]:
        state["state"] = {}
    checkpoint["crossreid"].pop("optimizer_parameters")


def swap(checkpoint: dict[str, Any]) -> None:
    checkpoint["optimizer_states"].reverse()


def other_shape(checkpoint: dict[str, Any]) -> None:
    entry = next(state for state in checkpoint["optimizer_states"] if state["state"])["state"]
    kept = entry[next(iter(entry))]
    name = next(name for name, value in kept.items() if value.dim())
    kept[name] = torch.zeros(3)


CHANGES = {
    "seed": (setting("crossreid/config/seed", 7), "is of other settings than this run (seed is 7 there and 0 here)"),
    "its own seed": (setting("crossreid/seed", 7), "seed is 7 there and 0 here"),
    "flip": (setting("crossreid/config/model/flip", 0.1), "model.flip is 0.1 there and"),
    "its own flip": (setting("crossreid/model/flip", 0.1), "model.flip is 0.1 there and"),
    "learning rate": (
        setting("crossreid/config/model/gan_optimizer/lr", 1.0),
        "model.gan_optimizer.lr is 1.0 there and",
    ),
    "method": (setting("crossreid/method", "lba"), "method is lba there and aligngan here"),
    "no run": (lambda checkpoint: checkpoint["crossreid"].pop("config"), "was not written by a run of crossreid"),
    "identities": (setting("crossreid/num_identities", 3), None),
    "iteration": (
        setting("crossreid/iteration", 10**9),
        "says that it is of iteration 1000000000, and this training has",
    ),
    "negative": (setting("crossreid/iteration", -1), "iteration -1, and this training has iterations 0 to 6"),
    "a word": (setting("crossreid/iteration", "4"), "iteration '4', and this training has"),
    "a truth": (setting("crossreid/iteration", True), "iteration True, and this training has"),
    "another iteration": (setting("crossreid/iteration", 3), "is of iteration 3, and that 4 iterations in 1 epochs"),
    "epochs": (setting("loops/fit_loop/epoch_progress/total/processed", 0), "4 iterations in 0 epochs were done"),
    "phase": (setting("crossreid/phase", "feature"), "iteration 4 is in phase feature, and here it is in joint"),
    "no optimizers": (setting("optimizer_states", []), "holds the states of 0 optimizers and"),
    "no schedules": (setting("lr_schedulers", []), "and 0 schedules, and this method has"),
    "an emptied optimizer": (setting("optimizer_states/0/state", {}), "lacks a part of the optimizer state of"),
    "a thinned optimizer": (lose(0), "lacks a part of the optimizer state of"),
    "emptied optimizers": (forget_all, "are empty after 4 iterations"),
    "foreign optimizers": (swap, "that is not of its parameters"),
    "another shape": (other_shape, "that is not of its parameters"),
    "a list of nothing": (setting("optimizer_states/0", None), "is not as training wrote it"),
    "no loops": (setting("loops", {}), "is not as training wrote it (KeyError"),
}


@pytest.mark.parametrize("change", CHANGES)
def test_others_are_refused_in_one_sentence(stopped: dict[str, Any], config: RunConfig, change: str) -> None:
    alter, message = CHANGES[change]
    checkpoint = {**stopped, "crossreid": deepcopy(stopped["crossreid"]), "loops": deepcopy(stopped["loops"])}
    states = [{**state, "state": {**state["state"]}} for state in stopped["optimizer_states"]]
    checkpoint["optimizer_states"] = deepcopy(states)
    identities = checkpoint["crossreid"]["num_identities"]
    alter(checkpoint)
    module = make_method(config.model, identities, config.seed)
    with pytest.raises(CheckpointError, match=re.escape(message or "trained on 3 identities, this run has 12")):
        check_resumable(checkpoint, Path("x.ckpt"), config, module)


def test_a_run_meets_the_sentence_and_stays_as_it_was(
    config: RunConfig, stopped: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    run = RunFolder(Path(config.run_dir or ""))
    whole = torch.load(run.path / "pixel.ckpt", weights_only=True)
    whole["crossreid"]["config"]["seed"] = 7
    torch.save(whole, run.path / "odd.ckpt")
    before = files_in(run.path)
    resuming = deepcopy(config)
    resuming.resume, resuming.run_dir = str(run.path / "odd.ckpt"), None
    with pytest.raises(CheckpointError, match=r"odd\.ckpt' is of other settings than this run \(seed is 7 there"):
        crossreid.Experiment.from_config(resuming).run()
    assert files_in(run.path) == before


@pytest.mark.slow
def test_a_run_ends_with_the_same_weights_where_it_goes_on_with_parts_that_are_recomputed(
    stopped: dict[str, Any], config: RunConfig, tmp_path: Path
) -> None:
    ends = []
    for parts in ([], ["encoder", "generators"]):
        folder = tmp_path / "-".join(["run", *parts])
        copytree(config.run_dir or "", folder)
        settings = deepcopy(config)
        settings.model.recompute = parts
        settings.resume, settings.run_dir = str(folder / "pixel.ckpt"), None
        settings.report.figures = settings.report.modality_pairs = False
        crossreid.Experiment.from_config(settings).run()
        ends.append(read_checkpoint(folder / "last.ckpt")["state_dict"])
    assert ends[0].keys() == ends[1].keys()
    assert all(torch.equal(value, ends[1][name]) for name, value in ends[0].items())
    assert any(not torch.equal(value, stopped["state_dict"][name]) for name, value in ends[0].items())


def test_without_optimizers_a_checkpoint_is_smaller_scored_and_not_gone_on_from(
    stopped: dict[str, Any], config: RunConfig, tmp_path: Path
) -> None:
    place = tmp_path / "last.ckpt"
    torch.save(stopped, place)
    before = place.stat().st_size
    drop_optimizers(place)
    assert place.stat().st_size < 0.7 * before
    checkpoint = read_checkpoint(place)
    module = method_from(checkpoint, place)
    assert all(torch.equal(value, stopped["state_dict"][name]) for name, value in module.state_dict().items())
    with pytest.raises(CheckpointError, match="was kept without optimizers"):
        check(checkpoint, config)


@pytest.mark.parametrize("cut_off", [False, True], ids=["finished", "cut off before the end was noted"])
def test_a_complete_training_without_optimizers_is_scored_again(
    cut_off: bool, people_root: Path, shared_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    overrides = {
        "data.root": str(people_root),
        "data.cache": str(shared_folder / "cache"),
        "model.iterations_per_epoch": 2,
        "protocol.trials": 1,
        "report.untrained": False,
        "report.modality_pairs": False,
        "report.figures": False,
        "trainer.progress": False,
        "trainer.keep_optimizers": False,
    }
    chosen = {"scale": "smoke", "trainer": "cpu", "overrides": overrides}
    folder = tmp_path / "run"
    with pytest.MonkeyPatch.context() as patched:
        if cut_off:
            patched.setattr("crossreid.training.session.finish_run", stop_here)
            with pytest.raises(CrossReIDError, match="far enough"):
                crossreid.Experiment("onestream", run_dir=str(folder), **chosen).run()
        else:
            crossreid.Experiment("onestream", run_dir=str(folder), **chosen).run()
    assert read_checkpoint(folder / "last.ckpt")["optimizer_states"] == []
    scores = RunResults.read(folder / "results.json").rows[0].flat()
    how: dict[str, Any] = {"resume": str(folder)}
    if cut_off:
        how = {"run_dir": str(folder), "existing": "continue"}
    again = crossreid.Experiment("onestream", **how, **chosen).run()
    assert "its training is complete, so it is scored" in capsys.readouterr().out
    assert again.results.rows[0].flat() == scores
    assert RunFolder(folder).finished
    assert read_checkpoint(folder / "last.ckpt")["optimizer_states"] == []


def test_a_complete_training_does_without_optimizers_only_where_it_says_so(config: RunConfig, tmp_path: Path) -> None:
    place = tmp_path / "last.ckpt"
    place.write_bytes((Path(config.run_dir or "") / "joint.ckpt").read_bytes())
    whole = read_checkpoint(place)
    drop_optimizers(place)
    check(read_checkpoint(place), config)
    with pytest.raises(CheckpointError, match="holds the states of 0 optimizers"):
        check({**whole, "optimizer_states": []}, config)
    with pytest.raises(CheckpointError, match="was kept without optimizers"):
        check({**read_checkpoint(place), "optimizer_states": whole["optimizer_states"]}, config)
