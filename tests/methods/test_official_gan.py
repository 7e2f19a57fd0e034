"""AlignGAN and JSIA-ReID: details of the authors' code, against slow versions of its formulas."""

import math

import pytest
import torch
from hydra.core.override_parser.overrides_parser import OverridesParser
from omegaconf import OmegaConf

from crossreid.methods.aligngan.losses import joint_rejection
from crossreid.methods.jsia.losses import alignment, pair_divergence
from crossreid.nn.joint_discriminator import ImageMapPair
from crossreid.settings.store import packaged_conf
from methods_support import compose_model, make_batch


def test_a_wrong_pair_is_a_map_with_an_image_of_the_next_person() -> None:
    """Three persons of two images; the discriminator tells which image met which map."""
    met: list[tuple[list[float], list[float]]] = []

    def watching(images: torch.Tensor, maps: torch.Tensor) -> torch.Tensor:
        met.append((images.flatten().tolist(), maps.flatten().tolist()))
        return images + maps

    real = torch.arange(6.0).view(6, 1, 1, 1)
    fake = real + 10
    joint_rejection(watching, ImageMapPair(real, real), ImageMapPair(fake, fake), 2)
    assert ([2.0, 3.0, 4.0, 5.0, 0.0, 1.0], [0.0, 1.0, 2.0, 3.0, 4.0, 5.0]) in met


def test_a_sweep_of_aligngans_identity_weight_scales_the_triplets_with_it() -> None:
    params = OmegaConf.load(packaged_conf() / "sweep" / "aligngan" / "weights_id.yaml").hydra.sweeper.params
    override = OverridesParser.create().parse_override(f"model.pixel={params['model.pixel']}")
    weights = []
    for value in override.sweep_string_iterator():
        pixel = compose_model("model=aligngan", f"model.pixel={value}").pixel
        assert pixel.triplet == pytest.approx(pixel.id / 2)
        assert (pixel.gan, pixel.cycle) == (1.0, 10.0)
        weights.append(pixel.id)
    assert weights == [0.01, 0.1, 0.5, 1.0, 2.0, 5.0]


def slow_divergence(first: torch.Tensor, second: torch.Tensor) -> float:
    """Both directions, with 1e-8 in quotient and logarithm, image by image."""
    total = 0.0
    for one, two in zip(first.tolist(), second.tolist(), strict=True):
        p = [math.exp(value) / sum(map(math.exp, one)) for value in one]
        q = [math.exp(value) / sum(map(math.exp, two)) for value in two]
        for a, b in zip(p, q, strict=True):
            total += b * math.log(1e-8 + b / (a + 1e-8)) + a * math.log(1e-8 + a / (b + 1e-8))
    return total / len(first)


@pytest.mark.parametrize("scale", [1.0, 10.0])
def test_jsias_divergence_is_that_of_the_authors_code(scale: float) -> None:
    generator = torch.Generator().manual_seed(0)
    logits = [scale * torch.randn(3, 4, generator=generator) for _ in range(4)]
    fixed_visible, fixed_infrared, moved_visible, moved_infrared = logits
    loss = alignment([[fixed_visible], [fixed_infrared]], [[moved_visible], [moved_infrared]], kind="official")
    expected = slow_divergence(moved_infrared, fixed_visible) + slow_divergence(moved_visible, fixed_infrared)
    assert loss.item() == pytest.approx(expected, rel=1e-4)


def test_jsias_divergence_is_bounded_where_predictions_exclude_each_other() -> None:
    certain = torch.tensor([[200.0, 0.0]])
    moved = certain.flip(1).requires_grad_()
    loss = pair_divergence(certain, moved, "official")
    loss.backward()
    assert loss.item() == pytest.approx(2 * math.log(1e8), rel=1e-3)
    assert torch.isfinite(moved.grad).all()


@pytest.mark.parametrize(
    ("order", "expected"),
    [
        ("reals_first", ["real visible", "real infrared", "fake visible", "fake infrared"]),
        ("alternating", ["real visible", "fake infrared", "real infrared", "fake visible"]),
    ],
)
def test_jsias_forwards_follow_each_other_as_the_setting_says(make, order: str, expected: list[str]) -> None:
    # where the averages do not follow these forwards, contents of the generation module serve again for real images
    harness = make("experiment=jsia/sl_il", f"model.alignment_order={order}", "model.update_norms_on_gan_batches=true")
    module = harness.module
    batch = make_batch(module)
    names = {"visible": batch["gan"].visible, "infrared": batch["gan"].infrared}
    forwards: list[str] = []
    recognise = type(module)._recognise

    def watched(images: torch.Tensor, modality: str):
        kind = "real" if torch.equal(images, names[modality]) else "fake"
        forwards.append(f"{kind} {modality}")
        return recognise(module, images, modality)

    module._recognise = watched
    harness.step("joint", batch)
    assert forwards == expected


def test_official_jsia_takes_both() -> None:
    config = compose_model("experiment=jsia/sl_il", "preset=official")
    assert (config.divergence, config.alignment_order) == ("official", "alternating")
