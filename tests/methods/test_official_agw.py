"""AGW and CAJ at preset=official, against the public code's formulas written out slowly."""

import math

import pytest
import torch

import crossreid
from crossreid.data.transforms import exchange_channels, exchange_or_grey
from crossreid.errors import ConfigError
from crossreid.losses import masked_triplet_weights, squared_weighted_triplet, weighted_triplet
from crossreid.methods.agw.config import AGWConfig
from crossreid.methods.agw.module import AGW
from crossreid.nn.backbones import IMAGENET_MEAN, IMAGENET_STD
from crossreid.nn.non_local import NonLocal
from crossreid.settings.batches import ExchangeConfig
from crossreid.settings.method import RecognitionConfig
from crossreid.settings.registry import built_in_methods, method_settings
from crossreid.training.checkpoints import read_checkpoint
from crossreid.training.loading import run_of
from methods_support import compose_model, make_batch
from official_reference import agw_triplet, caj_triplet

LABELS = torch.tensor([0, 0, 0, 1, 1, 1, 2, 2])


def vectors(scale: float) -> torch.Tensor:
    return scale * torch.randn(8, 5, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("scale", [0.1, 1.0, 6.0, 12.0])
def test_the_weighted_triplet_with_masks_of_zero_is_that_of_the_public_code(scale: float) -> None:
    expected = agw_triplet(vectors(scale).tolist(), LABELS.tolist())
    assert weighted_triplet(vectors(scale), LABELS, "zero").item() == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("scale", [0.1, 1.0, 3.0])
def test_the_squared_triplet_is_that_of_the_public_code(scale: float) -> None:
    expected = caj_triplet(vectors(scale).tolist(), LABELS.tolist())
    assert squared_weighted_triplet(vectors(scale), LABELS, "zero").item() == pytest.approx(expected, rel=1e-4)


def test_the_squared_triplet_stays_finite_and_stops_teaching_beyond_its_bound() -> None:
    x = vectors(30.0).requires_grad_()
    loss = squared_weighted_triplet(x, LABELS, "zero")
    loss.backward()
    assert torch.isfinite(loss)
    assert torch.isfinite(x.grad).all()
    near = vectors(0.5).requires_grad_()
    squared_weighted_triplet(near, LABELS, "zero").backward()
    assert near.grad.abs().sum() > 0


@pytest.mark.parametrize("apart", [1.0, 10.0, 20.0, 30.0])
def test_weights_of_far_negatives_sum_to_less_than_one(apart: float) -> None:
    """Two persons of 56 images at the two ends of a line: at 20 the weights of 56 negatives sum to 0.10."""
    x = torch.zeros(112, 1)
    x[56:] = apart
    labels = torch.arange(2).repeat_interleave(56)
    _, negative = masked_triplet_weights(x, labels)
    together = 56 * math.exp(-apart)
    assert negative.sum(1).tolist() == pytest.approx([together / (1e-6 + together)] * 112, rel=1e-4)


def test_official_agw_has_the_public_codes_non_local_parameters() -> None:
    with torch.device("meta"):
        module = AGW(AGWConfig(non_local_width=1), 5)
    blocks = [block for block in module.modules() if isinstance(block, NonLocal)]
    assert len(blocks) == 5
    assert sum(parameter.numel() for block in blocks for parameter in block.parameters()) == 28_687


def test_the_presets_of_agw_and_its_row_say_what_the_facts_say() -> None:
    paper = compose_model("experiment=agw/caj")
    assert (paper.triplet, paper.triplet_masking, paper.exchange.values) == ("weighted", "left_out", "pixels")
    agw = compose_model("model=agw", "preset=official")
    assert (agw.triplet, agw.triplet_masking, agw.non_local_width) == ("weighted", "zero", 1)
    assert not agw.exchanged_view
    caj = compose_model("experiment=agw/caj", "preset=official")
    assert (caj.triplet, caj.triplet_masking, caj.non_local_width, caj.flip_test) == ("squared", "zero", 1, True)
    assert caj.exchanged_view
    assert (caj.exchange.values, caj.exchange.independent, caj.exchange.infrared) == ("normalised", True, True)


def normalise(value: float, channel: int) -> float:
    return (value - IMAGENET_MEAN[channel]) / IMAGENET_STD[channel]


def test_a_copied_channel_keeps_the_statistics_of_its_source(make) -> None:
    """Each exchanged image is one of the three copies in normalised values; a mid-grey one gets 0.07, 0.20 or 0.42."""
    module = make("experiment=agw/caj", "preset=official", "model.erasing.probability=0", "model.crop_padding=0").module
    grey = torch.full((64, 3, 2, 2), 0.5)
    changed = module._in_exchange_range(exchange_channels, grey, torch.Generator().manual_seed(0))
    values = set()
    for image in changed:
        shown = [normalise(float(image[c, 0, 0]), c) for c in range(3)]
        assert max(shown) - min(shown) < 1e-5
        values.add(round(shown[0], 2))
    assert values == {0.07, 0.20, 0.42}


def test_infrared_images_are_exchanged_grey_or_left_in_the_public_codes_shares() -> None:
    images = torch.tensor([1.0, 2.0, 4.0]).view(1, 3, 1, 1).expand(4000, 3, 1, 1)
    changed = exchange_or_grey(images, torch.Generator().manual_seed(0)).flatten(1).tolist()
    grey = 0.2989 * 1 + 0.5870 * 2 + 0.1140 * 4
    kinds = {"red": [1.0] * 3, "green": [2.0] * 3, "blue": [4.0] * 3, "grey": [grey] * 3, "same": [1.0, 2.0, 4.0]}
    shares = {}
    for name, kind in kinds.items():
        shares[name] = sum(row == pytest.approx(kind, abs=1e-5) for row in changed) / 4000
    expected = {"red": 1 / 4, "green": 1 / 4, "blue": 1 / 4, "grey": 1 / 8, "same": 1 / 8}
    assert shares == pytest.approx(expected, abs=0.03)


def test_independent_views_have_crops_and_mirrorings_of_their_own(make) -> None:
    still = ("model.erasing.probability=0", "model.exchange.infrared=false", "model.crop_padding=0")
    row = ("experiment=agw/caj", "preset=official", *still)
    module = make(*row).module
    batch = make_batch(module)["identity"]
    seen = set()
    for iteration in range(8):
        module.iteration = iteration
        first, second = module.augmented(batch).images["visible"].chunk(2)
        assert torch.equal(first, batch.visible)
        for own, image in zip(batch.visible, second, strict=True):
            channels = [
                (own - own.new_tensor(IMAGENET_MEAN).view(3, 1, 1)) / own.new_tensor(IMAGENET_STD).view(3, 1, 1)
            ]
            shown = (image[0] - IMAGENET_MEAN[0]) / IMAGENET_STD[0]
            plain = any(torch.allclose(shown, c, atol=1e-5) for c in channels[0])
            mirrored = any(torch.allclose(shown, c.flip(-1), atol=1e-5) for c in channels[0])
            assert plain != mirrored
            seen.add(mirrored)
    assert seen == {True, False}
    cropped = make(*row, "model.crop_padding=4", "model.flip=0").module
    first, second = cropped.augmented(batch).images["visible"].chunk(2)
    dark = [[(image.sum(0) == 0).float().sum().item() for image in view] for view in (first, second)]
    assert dark[0] != dark[1]


def test_mirroring_anew_needs_a_coin() -> None:
    settings = ["model.exchanged_view=true", "model.exchange.independent=true", "model.flip=0.3"]
    with pytest.raises(ConfigError, match=r"only where model.flip is 0 or 0.5, not 0.3"):
        compose_model("model=agw", *settings)
    compose_model("model=agw", *settings[:2], "model.flip=0")


IDLE = {"infrared": True, "independent": True, "values": "normalised"}
"""Settings of the exchanged view, each other than by default."""
METHODS = [name for name in built_in_methods() if issubclass(method_settings(name), RecognitionConfig)]


@pytest.mark.parametrize("name", METHODS)
def test_what_is_said_of_an_exchanged_view_that_there_is_not_is_refused(name: str) -> None:
    for key, value in IDLE.items():
        settings = method_settings(name)(exchanged_view=False, exchange=ExchangeConfig(**{key: value}))
        with pytest.raises(
            ConfigError, match=f"model.exchange.{key} is of the exchanged view, .*set model.exchanged_view=true"
        ):
            settings.check()
        method_settings(name)(exchanged_view=True, exchange=ExchangeConfig(**{key: value})).check()
    method_settings(name)(exchanged_view=False).check()


def test_rows_and_presets_of_channel_exchange_are_as_before() -> None:
    for words in (["experiment=agw/caj"], ["experiment=agw/caj", "preset=official"], ["model=agw"], ["model=best"]):
        compose_model(*words)
    with pytest.raises(ConfigError, match=r"model.exchange.infrared is of the exchanged view"):
        compose_model("model=agw", "model.exchange.infrared=true")


@pytest.mark.parametrize("plain_trainer", [False, True])
def test_older_runs_with_settings_of_no_exchanged_view_are_read(write_checkpoint, plain_trainer: bool) -> None:
    path = write_checkpoint("agw")
    checkpoint = torch.load(path, weights_only=True)
    ours = checkpoint["crossreid"]
    for model in (ours["model"], ours["config"]["model"]):
        model["exchange"] = dict(IDLE)
    if plain_trainer:
        del ours["config"]
    torch.save(checkpoint, path)
    assert crossreid.load(path, device="cpu").config.exchange == ExchangeConfig()
    if not plain_trainer:
        assert run_of(read_checkpoint(path), path).model.exchange == ExchangeConfig()
