"""cmGAN: the two players, the modality term in its two forms, triplets across modalities."""

import math

import pytest
import torch
import torch.nn.functional as F

from crossreid.errors import ConfigError
from crossreid.methods.cmgan.config import CMGANConfig
from crossreid.settings.fields import from_plain
from methods_support import gradient_norms, make_batch

PARTS = "network.encoder network.block.neck network.block.classifier discriminator"


@pytest.mark.parametrize("generator", ["minimax", "uniform"])
def test_what_each_term_of_the_generator_trains(make, generator: str) -> None:
    trained = {
        "id": {"network.encoder", "network.block.neck", "network.block.classifier"},
        "triplet": {"network.encoder", "network.block.neck"},
        "modality": {"network.encoder", "network.block.neck"},
    }
    for term, expected in trained.items():
        harness = make("model=cmgan", f"model.modality_generator={generator}", "model.margin=2")
        norms = gradient_norms(harness, term, "generator", PARTS, "joint")
        assert {name for name, norm in norms.items() if norm > 0} == expected, term


def test_the_discriminator_is_trained_by_its_own_turn_alone(make) -> None:
    norms = gradient_norms(make("model=cmgan"), "modality", "discriminator", PARTS, "joint")
    assert {name for name, norm in norms.items() if norm > 0} == {"discriminator"}


@pytest.mark.parametrize(("generator", "towards"), [("minimax", 1), ("uniform", -1)])
def test_the_generator_moves_against_the_discriminator(make, generator: str, towards: int) -> None:
    """With the discriminator held still its loss rises; or its doubt falls, to log 2 at most."""
    slow = ["model.optimizer.encoder_lr=1e-4", "model.optimizer.head_lr=1e-3", "model.w_triplet=0"]
    harness = make("model=cmgan", f"model.modality_generator={generator}", "model.modality=20", *slow)
    module = harness.module
    for group in module.player("discriminator").optimizer.param_groups:
        group["lr"] = 0.0
    values = []
    for _ in range(3):
        harness.step("joint", make_batch(module))
        values.append(module.losses["generator/modality"].item())
    assert sorted(values, reverse=towards < 0) == values
    assert values[0] != values[-1]
    assert generator == "minimax" or values[-1] >= math.log(2) - 1e-6


def test_the_terms_are_those_of_a_slow_twin_also_with_more_visible_images(make) -> None:
    settings = ("model=cmgan", "model.exchanged_view=true", "model.crop_padding=0")
    harness = make(*settings)
    batch = make_batch(harness.module)
    harness.step("joint", batch)
    again = make(*settings).module.train()
    torch.manual_seed(0)
    views = again.augmented(batch["identity"])
    with torch.no_grad():
        output = again.describe(views.images)
        logits = again.discriminator(output.feature)
    unit = F.normalize(output.feature, dim=1)
    labels, infrared = views.labels.tolist(), views.infrared.tolist()
    assert sum(infrared) * 3 == len(infrared)
    sides: dict[bool, list[float]] = {True: [], False: []}
    for a, y in enumerate(labels):
        away = [k for k in range(len(labels)) if infrared[k] != infrared[a]]
        positive = max(float((unit[a] - unit[k]).norm()) for k in away if labels[k] == y)
        negative = min(float((unit[a] - unit[k]).norm()) for k in away if labels[k] != y)
        sides[infrared[a]].append(max(0.0, 1.4 + positive - negative))
    triplet = sum(sum(side) / len(side) for side in sides.values())
    losses = harness.module.losses
    assert losses["generator/triplet"].item() == pytest.approx(triplet, rel=1e-4)
    right = [float(-row.log_softmax(0)[int(flag)]) for row, flag in zip(logits, infrared, strict=True)]
    means = [
        torch.tensor([v for v, flag in zip(right, infrared, strict=True) if flag == side]).mean() for side in (0, 1)
    ]
    assert losses["generator/modality"].item() == pytest.approx(float(sum(means)) / 2, rel=1e-4)


def triplet_of_a_step(make, *settings: str, iteration: int = 0) -> float:
    harness = make("model=cmgan", "model.crop_padding=0", *settings)
    batch = make_batch(harness.module)
    harness.module.iteration = iteration
    harness.module.train()
    torch.manual_seed(0)
    harness.module.training_step(batch)
    return harness.module.losses["generator/triplet"].item()


def test_triplets_may_be_drawn_and_then_change_with_the_iteration(make) -> None:
    small = ["model.streams.identity.identities=2", "model.streams.identity.images=1"]
    hardest = triplet_of_a_step(make, *small)
    drawn = triplet_of_a_step(make, "model.triplet_partners=random", *small)
    assert drawn == pytest.approx(hardest, rel=1e-5)  # there is one positive and one negative
    random = "model.triplet_partners=random"
    values = [triplet_of_a_step(make, random, iteration=iteration) for iteration in (0, 0, 1)]
    assert values[0] == values[1] != values[2]
    assert values[0] < triplet_of_a_step(make)


def test_the_discriminator_takes_as_many_steps_as_asked_for(make) -> None:
    for steps in (1, 3):
        harness = make("model=cmgan", f"model.discriminator_steps={steps}")
        taken = []
        harness.module.player("discriminator").optimizer.register_step_pre_hook(lambda *_, taken=taken: taken.append(1))
        harness.step("joint", make_batch(harness.module))
        assert len(taken) == steps


def test_both_players_follow_the_schedule(make) -> None:
    module = make("model=cmgan", "model.schedule={warmup: 2, steps: [2]}", "model.discriminator_lr=0.01").module
    assert module.player("discriminator").param_groups[0]["lr"] == pytest.approx(0.005)
    assert set(module.schedules) == {"generator", "discriminator"}


def test_a_weight_of_zero_leaves_the_discriminator_watching(make) -> None:
    harness = make("model=cmgan", "model.modality=0", "model.w_triplet=0")
    harness.step("joint", make_batch(harness.module))
    assert set(harness.module.losses) == {"generator/id", "generator/modality", "discriminator/modality"}


@pytest.mark.parametrize(
    ("setting", "value", "message"),
    [
        ("modality_generator", "both", "choose from minimax, uniform"),
        ("modality", -1, "0 or more"),
        ("discriminator_widths", [0], "1 or more"),
        ("discriminator_steps", 0, "1 or more"),
        ("discriminator_lr", 0, "above 0"),
    ],
)
def test_impossible_settings_are_refused_in_one_sentence(setting: str, value: object, message: str) -> None:
    with pytest.raises(ConfigError, match=message) as refusal:
        from_plain(CMGANConfig, {setting: value}, "model").check()
    assert "\n" not in str(refusal.value)
