"""Fine-tuning: what is taken from another run, what is new, what is refused."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import pytest
import torch

from crossreid.errors import CheckpointError, ConfigError
from crossreid.settings.compose import compose, run_config
from crossreid.settings.registry import built_in_methods, method_class
from crossreid.training.checkpoints import read_checkpoint
from crossreid.training.initial import bookkeeping, start_from, weights_of_persons
from crossreid.training.loading import make_method

TRAINED = [name for name in built_in_methods() if name != "hog"]


def fresh(model: str, *settings: str, persons: int = 12, seed: int = 5):
    """A method as a new training has it."""
    config = run_config(compose("train", [f"model={model}", "scale=smoke", "data=synthetic", *settings]))
    if getattr(config.model, "iterations_per_epoch", 1) is None:
        config.model.iterations_per_epoch = 2
    return make_method(config.model, persons, seed)


@pytest.mark.parametrize("name", TRAINED)
def test_all_weights_are_taken_but_those_of_persons(write_checkpoint, name: str) -> None:
    path = write_checkpoint(name)  # of 12 persons
    there = read_checkpoint(path)["state_dict"]
    module = fresh(name)  # as many, and others all the same
    before = {key: weight.clone() for key, weight in module.state_dict().items()}
    loaded = start_from(module, str(path))
    after = module.state_dict()
    classifiers = {key for key, weight in after.items() if 12 in weight.shape}
    assert set(loaded.new) <= classifiers
    assert loaded.new, "every method classifies persons"
    for key, weight in after.items():
        expected = before[key] if key in {*loaded.new, *bookkeeping(module)} else there[key]
        assert torch.equal(weight, expected), key
    assert loaded.loaded == len(after) - len(loaded.new) - len(bookkeeping(module))
    assert module.iteration == 0


AVERAGES = ("running_mean", "running_var", "num_batches_tracked")
"""How the names of a batch norm's buffers end, which are part of what a network computes."""


@pytest.mark.parametrize("name", TRAINED)
def test_what_a_training_notes_of_itself_is_told_from_what_a_network_computes(name: str) -> None:
    module = fresh(name)
    weights = {key for key, _ in module.named_parameters()}
    kept = {key for key in module.state_dict() if key not in weights}
    noted = {key for key in kept if not key.endswith(AVERAGES)}
    assert noted == bookkeeping(module)


@pytest.mark.parametrize("first_epoch", ["mean_so_far", "zero"])
def test_the_bookkeeping_of_another_training_is_left_behind(write_checkpoint, first_epoch: str) -> None:
    settings = (f"model.graph_first_epoch={first_epoch}",)
    path = write_checkpoint("ddag", *settings)
    checkpoint = read_checkpoint(path)
    checkpoint["state_dict"]["part_losses"] = torch.tensor([[8.0, 2.0], [2.0, 2.0]])  # in the middle of its training
    torch.save(checkpoint, path)
    module, other = fresh("ddag", *settings), fresh("ddag", *settings)
    start_from(module, str(path))
    for method in (module, other):
        method._note(torch.tensor(3.0))
    assert torch.equal(module.part_losses, other.part_losses)
    assert module.graph_weight() == other.graph_weight() == (0 if first_epoch == "zero" else 1 / 4)


def test_a_moving_average_starts_anew_from_the_weights(write_checkpoint) -> None:
    module = fresh("best")
    start_from(module, str(write_checkpoint("best")))
    with torch.no_grad():
        next(module.network.parameters()).add_(1)
    module.averaged.follow(module.network, module.config.weight_average, module.iteration)
    for own, averaged in zip(module.network.parameters(), module.averaged.network.parameters(), strict=True):
        torch.testing.assert_close(own, averaged)


def test_weights_of_persons_have_their_number_in_their_shape() -> None:
    module = fresh("onestream", persons=17)
    names = weights_of_persons(module)
    assert names == {key for key, weight in module.state_dict().items() if 17 in weight.shape}
    assert method_class(module.config) is type(module)


MISTAKES = {
    ("agw",): "was trained by onestream, and this run trains agw: say model=onestream",
    ("onestream", "model.backbone.last_stride=1"): r"conv.*model.backbone.last_stride is 2 there and 1 here",
    ("onestream", "model.backbone.size=[96,48]"): r"embeds images otherwise.*model.backbone.size is \[",
    ("onestream", "model.backbone.name=resnet34"): "another network than this run",
}


@pytest.mark.parametrize("words", MISTAKES)
def test_other_networks_are_one_sentence(write_checkpoint, words: tuple[str, ...]) -> None:
    if "resnet34" in words[-1]:
        words = (*words, "model.backbone.weights=random")
    path = write_checkpoint("onestream")
    with pytest.raises(ConfigError, match=MISTAKES[words[:2] if len(words) > 1 else words]):
        start_from(fresh(*words), str(path))


def test_settings_of_training_may_differ(write_checkpoint) -> None:
    path = write_checkpoint("onestream")
    module = fresh("onestream", "model.epochs=1", "model.flip=0", "model.streams.identity.images=2")
    assert start_from(module, str(path)).loaded


def test_a_missing_or_damaged_checkpoint_is_one_sentence(tmp_path: Path) -> None:
    module = fresh("onestream")
    with pytest.raises(CheckpointError, match="There is no checkpoint"):
        start_from(module, str(tmp_path / "none"))
    (tmp_path / "bad.ckpt").write_bytes(b"no weights")
    with pytest.raises(CheckpointError, match="cannot be read"):
        start_from(module, str(tmp_path / "bad.ckpt"))


@pytest.fixture
def folder_of_persons(tmp_path: Path, people) -> Path:
    """The embedded test and training people as somebody's labelled crops: a folder a person, in folders of modalities."""
    root = tmp_path / "mine"
    for row in people.rows("train", "test"):
        record = people.records[row]
        place = root / record.modality / f"person{record.pid:03d}"
        place.mkdir(parents=True, exist_ok=True)
        shutil.copy(record.path, place / f"c{record.camid}_{record.frame:04d}{record.path.suffix}")
    return root


def check_that_strangers_alone_are_taken(run_here, folder_of_persons: Path, tmp_path: Path, count: int) -> None:
    """Of the folder that ``tuned`` was trained on, named again; of a part of it and of a moved one it is said."""
    quiet = ("trainer=cpu", "report.figures=false", f"data.cache={tmp_path / 'cache'}")
    named = ("evaluate", "checkpoint=tuned", "data=folder", f"data.root={folder_of_persons}", *quiet)
    again = run_here(*named)
    assert again.code == 0, again.output
    assert "which is divided as it was in training" in again.output
    assert "Warning" not in again.output
    test_scores = json.loads((tmp_path / "tuned" / "last.evaluation.json").read_text())
    assert json.loads((tmp_path / "tuned" / "last.evaluation_2.json").read_text()) == test_scores
    for other in ("data.divide=[0.4,0.2,0.4]", "data.divide_seed=7"):
        divided = run_here(*named, other)
        assert divided.code == 1
        assert "leave both out, or persons who were trained on would be taken" in divided.output
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "mine").symlink_to(folder_of_persons)
    linked = run_here(
        "evaluate", "checkpoint=tuned", "data=folder", "data.root=elsewhere/mine", *quiet, "output=linked.json"
    )
    assert linked.code == 0, linked.output
    assert json.loads((tmp_path / "linked.json").read_text()) == test_scores
    words = [word for word in named[1:] if not word.startswith("report.")]
    calibrated = run_here("calibrate", *words, "rates=[0.05]", "output=calibration.json")
    assert "which is divided as it was in training" in calibrated.output
    assert "Warning" not in calibrated.output
    visible = f"data.root={folder_of_persons / 'visible'}"
    part = run_here("evaluate", "checkpoint=tuned", "data=folder", visible, "data.modality=visible", *quiet)
    assert part.code == 0, part.output
    assert re.search(rf"has at least \d+ of the {count} persons who were trained on among its other", part.output)
    noted = json.loads((tmp_path / "tuned" / "persons.json").read_text())["persons"]
    gone = {Path(place).parts[1] for place in noted["calibration"].values()}
    for place in sorted(folder_of_persons.glob("*/*")):  # a folder that lacks persons is divided otherwise
        if place.name in gone:
            shutil.move(place, tmp_path / "gone" / place.relative_to(folder_of_persons))
    smaller = run_here(*named)
    assert smaller.code == 0, smaller.output
    assert re.search(rf"Warning: .* has at least \d+ of the {count} persons who were trained on", smaller.output)
    shutil.copytree(tmp_path / "gone", folder_of_persons, dirs_exist_ok=True)
    folder_of_persons.rename(tmp_path / "moved")
    whole = run_here("evaluate", "checkpoint=tuned", "data=folder", f"data.root={tmp_path / 'moved'}", *quiet)
    assert whole.code == 0, whole.output
    assert f"has at least {count} of the {count} persons who were trained on" in whole.output
    moved = run_here("evaluate", "checkpoint=tuned", f"data.root={tmp_path / 'moved'}", *quiet)
    assert moved.code == 0, moved.output
    assert "Warning" not in moved.output
    assert len(list((tmp_path / "tuned").glob("last.evaluation*.json"))) == 5  # of another folder, another place


def check_that_other_images_are_refused(run_here, words: list[str], tmp_path: Path) -> None:
    """A training does not go on where a person of the moved folder has another name."""
    somebody = next(path for path in (tmp_path / "moved" / "visible").iterdir())
    for modality in ("visible", "infrared"):
        (tmp_path / "moved" / modality / somebody.name).rename(tmp_path / "moved" / modality / "another")
    moved_words = [f"data.root={tmp_path / 'moved'}" if word.startswith("data.root=") else word for word in words]
    renamed = run_here("train", *moved_words, "resume=tuned")
    assert renamed.code == 1
    assert "is of a training on other images than folder" in renamed.output


@pytest.mark.slow
def test_a_run_is_fine_tuned_on_ones_own_persons_and_resumed(
    run_here, write_checkpoint, folder_of_persons: Path, tmp_path: Path
) -> None:
    path = write_checkpoint("onestream")
    words = [
        "model=onestream",
        "scale=smoke",
        "data=folder",
        f"data.root={folder_of_persons}",
        f"data.cache={tmp_path / 'cache'}",
        f"init={path}",
        "trainer=cpu",
        "report.figures=false",
        "run_dir=tuned",
    ]
    done = run_here("train", *words, "trainer.time_budget=0.000001")
    assert done.code == 1
    assert "optimizers are new" in done.output
    assert "New for these persons" in done.output
    assert "are kept for calibration" in done.output
    shutil.rmtree(tmp_path / "tuned")
    done = run_here("train", *words)
    assert done.code == 0, done.output
    facts = json.loads((tmp_path / "tuned" / "run.json").read_text())
    assert facts["init"]["checkpoint"] == str(path)
    assert facts["init"]["new"]
    persons = json.loads((tmp_path / "tuned" / "persons.json").read_text())["persons"]
    parts = {split: set(members) for split, members in persons.items()}
    assert set(parts) == {"train", "calibration", "test"}
    assert not parts["train"] & parts["calibration"]
    assert not parts["test"] & (parts["train"] | parts["calibration"])
    checkpoint = read_checkpoint(tmp_path / "tuned" / "last.ckpt")
    assert checkpoint["crossreid"]["num_identities"] == len(parts["train"])
    assert checkpoint["crossreid"]["config"]["data"]["divide"] == [0.6, 0.2, 0.2]
    results = json.loads((tmp_path / "tuned" / "results.json").read_text())
    assert results["training_identities"] == len(parts["train"])
    again = run_here("train", *words, "resume=tuned")
    assert again.code == 0, again.output
    assert "its training is complete" in again.output
    other = run_here("train", *[word for word in words if not word.startswith("init=")], "resume=tuned")
    assert other.code == 1
    assert "init is" in other.output
    scored = run_here("evaluate", "checkpoint=tuned", "trainer=cpu", "report.figures=false")  # on the same test persons
    assert scored.code == 0, scored.output
    check_that_strangers_alone_are_taken(run_here, folder_of_persons, tmp_path, len(parts["train"]))
    check_that_other_images_are_refused(run_here, words, tmp_path)
