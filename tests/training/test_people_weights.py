"""Initial weights from embedded people: made once, of other people, and what the network that gets them then holds."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import nn

from crossreid.errors import ConfigError
from crossreid.nn.backbones import BODY, ResNetEncoder, make_encoder
from crossreid.nn.pretrained import load_pretrained
from crossreid.settings.data import FolderConfig, SyntheticConfig, SyntheticPeople
from crossreid.settings.networks import BackboneConfig
from crossreid.training import people_weights as module
from crossreid.training.people_weights import Recipe, check_other_people, people_weights

RECIPE = Recipe(persons=3, frames=1, height=32, width=16, iterations=5, identities=3, images=2)
BACKBONE = BackboneConfig("resnet18", "people", [32, 16])


class Stopped(Exception):
    """What an interruption raises."""


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[SyntheticConfig, Path]:
    """A dataset's settings, and weights made for it."""
    data = SyntheticConfig(cache=str(tmp_path_factory.mktemp("cache")))
    return data, people_weights(BACKBONE, data, torch.device("cpu"), recipe=RECIPE, progress=False)


def test_they_are_torchvisions_names_and_fit_the_whole_network(made) -> None:
    _, path = made
    encoder = ResNetEncoder(BACKBONE)
    (sentence,) = load_pretrained(encoder, lambda backbone: path)
    assert "embedded people" in sentence
    assert "120 of 120" in sentence
    state = torch.load(path, weights_only=True)
    for name, part in zip(BODY, encoder.body, strict=True):
        for key, value in part.state_dict().items():
            assert torch.equal(value, state[f"{name}.{key}"])


def test_they_have_learned(made) -> None:
    """Averages of batch norms have moved, and so have weights from where a network begins."""
    _, path = made
    state = torch.load(path, weights_only=True)
    assert state["bn1.num_batches_tracked"] == RECIPE.iterations
    assert state["bn1.running_mean"].abs().max() > 0
    assert (state["layer1.0.bn1.weight"] - 1).abs().max() > 1e-4


def test_they_are_made_once_for_all_sizes_and_strides_of_a_resnet(made, monkeypatch: pytest.MonkeyPatch) -> None:
    data, path = made

    def again(*_: object) -> None:
        raise AssertionError("made again")

    monkeypatch.setattr(module, "_train", again)
    for same in (
        BACKBONE,
        BackboneConfig("resnet18", "people", [64, 32]),
        BackboneConfig("resnet18", "people", [32, 16], 2),
    ):
        assert people_weights(same, data, torch.device("cpu"), recipe=RECIPE, progress=False) == path
    for other, recipe in (
        (BackboneConfig("resnet34", "people", [32, 16]), RECIPE),
        (BACKBONE, replace(RECIPE, height=48)),
        (BACKBONE, replace(RECIPE, iterations=6)),
    ):
        with pytest.raises(AssertionError, match="made again"):
            people_weights(other, data, torch.device("cpu"), recipe=recipe, progress=False)


def test_the_runs_own_random_numbers_are_left_alone(tmp_path: Path, made, monkeypatch: pytest.MonkeyPatch) -> None:
    data, _ = made
    torch.manual_seed(3)
    expected = torch.rand(2)
    torch.manual_seed(3)
    shorter = replace(RECIPE, iterations=1)
    people_weights(BACKBONE, data, torch.device("cpu"), recipe=shorter, progress=False)
    assert torch.equal(torch.rand(2), expected)


def test_a_stopped_training_leaves_no_weights(made) -> None:
    data, _ = made
    calls = []

    def stop() -> None:
        calls.append(len(calls))
        if len(calls) == 2:
            raise Stopped

    recipe = replace(RECIPE, iterations=4)
    before = set((data.cache_folder / "people_weights").glob("*.pth"))
    with pytest.raises(Stopped):
        people_weights(BACKBONE, data, torch.device("cpu"), recipe=recipe, progress=False, check=stop)
    assert set((data.cache_folder / "people_weights").glob("*.pth")) == before


def test_people_to_train_on_are_others_than_those_of_the_weights() -> None:
    recipe = Recipe()
    with pytest.raises(ConfigError, match="take another"):
        check_other_people(SyntheticConfig(people=SyntheticPeople(seed=recipe.seed)), recipe)
    check_other_people(SyntheticConfig(), recipe)
    check_other_people(FolderConfig(root="/mine"), recipe)


def test_without_a_run_that_makes_them_they_are_asked_for_as_a_file() -> None:
    with pytest.raises(ConfigError, match=r"made by a run of crossreid\.train"):
        load_pretrained(nn.ModuleList([ResNetEncoder(BACKBONE)]))


def test_they_are_made_for_an_encoder_of_timm_too(made) -> None:
    pytest.importorskip("timm", reason="pip install 'crossreid[timm]'")
    data, _ = made
    backbone = BackboneConfig("test_vit", "people", [32, 16])
    path = people_weights(backbone, data, torch.device("cpu"), recipe=RECIPE, progress=False)
    encoder = make_encoder(backbone)
    count = len(encoder.state_dict())
    assert load_pretrained(encoder, lambda _: path)[0].endswith(f": {count} of {count} tensors")
    state = torch.load(path, weights_only=True)
    assert torch.equal(encoder.state_dict()["body.network.pos_embed"], state["pos_embed"])
