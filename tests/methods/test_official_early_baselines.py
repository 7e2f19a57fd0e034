"""BDTR and the X modality at preset=official, and cmGAN's options, against slow versions of the public code's formulas."""

import pytest
import torch
import torch.nn.functional as F

from crossreid.methods.bdtr.losses import across_ranking, bound_ranking
from crossreid.methods.xmodality.networks import XGenerator
from crossreid.nn.backbones import IMAGENET_MEAN, IMAGENET_STD
from methods_support import compose_model, make_batch
from official_reference import bdtr_ranking, x_centre_gap

X = ("model=xmodality", "preset=official", "model.erasing.probability=0")


@pytest.mark.parametrize("closeness", [0.05, 1.0])
def test_bdtrs_ranking_losses_are_those_of_the_public_code(closeness: float) -> None:
    generator = torch.Generator().manual_seed(0)
    visible, infrared = 1 + closeness * torch.randn(2, 7, 4, generator=generator)
    persons = torch.arange(7)
    there, back = (visible, infrared, persons, persons), (infrared, visible, persons, persons)
    cross, intra = bdtr_ranking(visible.tolist(), infrared.tolist())
    assert float(across_ranking(*there, 0.5) + across_ranking(*back, 0.5)) == pytest.approx(cross, abs=1e-5)
    assert float(bound_ranking(*there, 0.1) + bound_ranking(*back, 0.1)) == pytest.approx(intra, abs=1e-5)
    assert (intra > 0) is (closeness < 1)


def test_the_bound_with_several_images_is_a_mean_over_pairs() -> None:
    anchors = torch.tensor([[1.0, 0.0], [0.0, 1.0]])
    others = torch.tensor([[1.0, 0.0], [0.8, 0.6], [0.0, 1.0]])
    loss = bound_ranking(anchors, others, torch.tensor([0, 1]), torch.tensor([0, 0, 1]), 1.0)
    near, far = (0.8**2 + 0.4**2) ** 0.5, 2**0.5  # from (0, 1) to (0.8, 0.6), and to (1, 0)
    # anchor 0: its negative (0, 1) against both positives; anchor 1: its negative (0.8, 0.6) against (0, 1)
    hinges = [max(0.0, 1 - far), 1 - near, 1 - near]
    assert loss.item() == pytest.approx(sum(hinges) / 3, abs=1e-6)


def test_bdtrs_official_step_has_the_two_losses_with_their_weights(make) -> None:
    harness = make("model=bdtr", "preset=official")
    terms = {}
    record = harness.module.record_losses
    harness.module.record_losses = lambda player, losses: (terms.update(losses.terms), record(player, losses))
    harness.step("joint", make_batch(harness.module))
    assert {name: weight for name, (_, weight) in terms.items()} == {"id": 1.0, "cross": 1.0, "intra": 0.1}
    config = compose_model("model=bdtr", "preset=official", "scale=paper")
    assert config.phase_lengths() == {"joint": 5000}
    assert (config.streams["identity"].identities, config.streams["identity"].images) == (64, 1)


def test_the_x_generator_starts_as_a_third_of_the_positive_part_of_normalised_values() -> None:
    images = torch.randn(2, 3, 4, 4)
    made = XGenerator(1 / 3)(images)
    assert torch.allclose(made, images.mean(1, keepdim=True).clamp(min=0).expand_as(images) / 3, atol=1e-6)


@pytest.mark.parametrize("exchanged", ["false", "true"])
def test_the_x_modalitys_losses_are_those_of_the_public_code(make, exchanged: str) -> None:
    settings = (*X, f"model.exchanged_view={exchanged}")
    harness = make(*settings)
    terms = {}
    record = harness.module.record_losses
    harness.module.record_losses = lambda player, losses: (terms.update(losses.terms), record(player, losses))
    batch = make_batch(harness.module)
    harness.step("joint", batch)
    again = make(*settings).module.train()
    views = again.augmented(batch["identity"])
    mean, deviation = torch.tensor(IMAGENET_MEAN).view(3, 1, 1), torch.tensor(IMAGENET_STD).view(3, 1, 1)
    visible, infrared = ((views.images[m] - mean) / deviation for m in ("visible", "infrared"))
    own, other = views.pids["visible"].tolist(), views.pids["infrared"].tolist()
    with torch.no_grad():
        output = again.network.prepared(torch.cat([visible, again.generator(visible), infrared]))
    parts = [part.tolist() for part in output.vector.split([len(own), len(own), len(other)])]
    gap = x_centre_gap(parts[2], parts[0], other, own, 0.5) + x_centre_gap(parts[2], parts[1], other, own, 0.5)
    assert terms["gap"][0].item() == pytest.approx(gap, rel=1e-4)
    assert terms["gap"][1] == 0.1
    if exchanged == "false":  # as the code has it: one mean a modality, summed
        logits = output.logits.split(len(own))
        labels = torch.tensor(own)
        smoothed = sum(F.cross_entropy(part, labels, label_smoothing=0.1).item() for part in logits)
        assert terms["id"][1] * terms["id"][0].item() == pytest.approx(smoothed, rel=1e-5)
    assert terms["respective"][1] == 3.0  # likewise


def test_the_x_modality_is_tested_without_its_generator_and_before_the_neck(make) -> None:
    module = make(*X).module.eval()
    torch.nn.init.uniform_(module.network.block.neck.running_mean)
    images = torch.rand(2, 3, 64, 32)
    with torch.no_grad():
        output = module.network(images)
        for modality in ("visible", "infrared"):
            main = module.embed(images, modality)["main"]
            assert torch.allclose(main, F.normalize(output.vector, dim=1), atol=1e-5)
            assert not torch.allclose(main, F.normalize(output.feature, dim=1), atol=1e-3)
        pictures = module.translate(images, images)["X"]
    mean, deviation = torch.tensor(IMAGENET_MEAN).view(3, 1, 1), torch.tensor(IMAGENET_STD).view(3, 1, 1)
    positive = ((images - mean) / deviation).mean(1, keepdim=True).clamp(min=0)
    assert torch.allclose(pictures, (positive / 3 * deviation + mean).clamp(0, 1), atol=1e-5)


def test_cmgans_discriminator_waits_for_several_turns_of_the_generator(make) -> None:
    harness = make("model=cmgan", "model.generator_steps=3", "model.discriminator_steps=2")
    module = harness.module
    turns = []
    record = module.record_losses
    module.record_losses = lambda player, losses: (turns.append(player), record(player, losses))
    for iteration in range(6):
        harness.step("joint", make_batch(module))
        module.iteration = iteration
        module.training_step(make_batch(module))
    own = [turn for turn in turns if turn == "discriminator"]
    assert len(own) == 2 * 2
    assert turns.count("generator") == 12


@pytest.mark.parametrize("vectors", ["unit", "plain"])
def test_cmgans_triplets_compare_features_of_unit_length_or_as_they_are(make, vectors: str) -> None:
    settings = ("model=cmgan", f"model.triplet_vectors={vectors}", "model.crop_padding=0")
    harness = make(*settings)
    batch = make_batch(harness.module)
    harness.step("joint", batch)
    again = make(*settings).module.train()
    views = again.augmented(batch["identity"])
    with torch.no_grad():
        feature = again.describe(views.images).feature
    if vectors == "unit":
        feature = feature / feature.norm(dim=1, keepdim=True)
    sides = feature.split(len(batch["identity"].pids))
    pids = batch["identity"].pids.tolist()
    expected = 0.0
    for anchors, others in (sides, sides[::-1]):
        for anchor, own in zip(anchors, pids, strict=True):
            apart = [float((anchor - other).norm()) for other in others]
            positive = max(d for d, label in zip(apart, pids, strict=True) if label == own)
            negative = min(d for d, label in zip(apart, pids, strict=True) if label != own)
            expected += max(0.0, 1.4 + positive - negative) / len(anchors)
    assert harness.module.losses["generator/triplet"].item() == pytest.approx(expected, rel=1e-4)
