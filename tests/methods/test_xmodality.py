"""X modality: the generator, the losses on three modalities, retrieval by way of X."""

import pytest
import torch
import torch.nn.functional as F

from crossreid.errors import ConfigError
from crossreid.methods.xmodality.config import XModalityConfig
from crossreid.methods.xmodality.networks import XGenerator
from crossreid.settings.fields import from_plain
from methods_support import gradient_norms, make_batch

PARTS = "generator.squeeze generator.spread network.encoder network.block.neck network.block.classifier"


def test_the_generator_works_pixel_by_pixel_on_images_of_any_size() -> None:
    generator = XGenerator()
    torch.manual_seed(0)
    for parameter in generator.parameters():
        torch.nn.init.normal_(parameter)
    images = torch.rand(2, 3, 5, 7)
    made = generator(images)
    assert made.shape == images.shape
    weight, bias = generator.squeeze.weight.flatten(), generator.squeeze.bias
    one = F.relu(images[1, :, 4, 6] @ weight + bias)
    assert torch.allclose(made[1, :, 4, 6], one * generator.spread.weight.flatten() + generator.spread.bias, atol=1e-6)
    assert sum(p.numel() for p in generator.parameters()) == 3 + 1 + 3 + 3


def test_the_generator_starts_at_the_mean_of_the_colours() -> None:
    images = torch.rand(2, 3, 4, 4)
    assert torch.allclose(XGenerator()(images), images.mean(1, keepdim=True).expand_as(images), atol=1e-6)


@pytest.mark.parametrize("term", ["id", "gap", "respective"])
def test_each_loss_trains_generator_and_network(make, term: str) -> None:
    harness = make("model=xmodality", "model.margin=50", "model.margin_respective=50")
    norms = gradient_norms(harness, term, "network", PARTS, "joint")
    trained = {name for name, norm in norms.items() if norm > 0}
    assert trained == set(PARTS.split()[:3] if term != "id" else PARTS.split())


def triplets(anchors, others, labels, other_labels, margin: float) -> float:
    hinges = []
    for a, y in zip(anchors, labels, strict=True):
        apart = [float((a - o).norm()) for o in others]
        positive = max(d for d, z in zip(apart, other_labels, strict=True) if z == y)
        negative = min(d for d, z in zip(apart, other_labels, strict=True) if z != y)
        hinges.append(max(0.0, margin + positive - negative))
    return sum(hinges) / len(hinges)


@pytest.mark.parametrize("exchanged", ["false", "true"])
def test_the_losses_are_those_of_a_slow_twin(make, exchanged: str) -> None:
    settings = ("model=xmodality", f"model.exchanged_view={exchanged}", "model.margin=9", "model.margin_respective=4")
    harness = make(*settings)
    batch = make_batch(harness.module)
    harness.step("joint", batch)
    again = make(*settings).module.train()
    views = again.augmented(batch["identity"])
    visible, infrared = views.images["visible"], views.images["infrared"]
    seen, other = views.pids["visible"], views.pids["infrared"]
    with torch.no_grad():
        output = again.network(torch.cat([visible, again.generator(visible), infrared]))
    own, x, far = output.vector.split([len(seen), len(seen), len(other)])
    losses = harness.module.losses
    expected = F.cross_entropy(output.logits, torch.cat([seen, seen, other])).item()
    assert losses["network/id"].item() == pytest.approx(expected, rel=1e-5)
    gap = (triplets(x, far, seen, other, 9) + triplets(far, x, other, seen, 9)) / 2
    assert losses["network/gap"].item() == pytest.approx(gap, rel=1e-4)
    inside = sum(triplets(part, part, pids, pids, 4) for part, pids in ((own, seen), (x, seen), (far, other)))
    assert losses["network/respective"].item() == pytest.approx(inside / 3, rel=1e-4)


def test_retrieval_takes_a_visible_image_by_way_of_x_or_as_it_is(make) -> None:
    images = torch.rand(2, 3, 64, 32)
    for choice in ("x", "visible"):
        module = make("model=xmodality", f"model.visible_feature={choice}").module.eval()
        with torch.no_grad():
            x = module.generator(images)
            plain = F.normalize(module.network(images).feature, dim=1)
            by_way_of_x = F.normalize(module.network(x).feature, dim=1)
            assert not torch.allclose(plain, by_way_of_x, atol=1e-4)
            wanted = by_way_of_x if choice == "x" else plain
            assert torch.allclose(module.embed(images, "visible")["main"], wanted, atol=1e-5)
            assert torch.allclose(module.embed(images, "infrared")["main"], plain, atol=1e-5)


def test_pictures_show_the_x_images(make) -> None:
    module = make("model=xmodality").module
    torch.nn.init.constant_(module.generator.spread.bias, 0.9)
    visible, infrared = torch.rand(2, 3, 9, 5), torch.rand(2, 3, 9, 5)
    with torch.no_grad():
        rows = module.translate(visible, infrared)
    assert list(rows) == ["real visible", "X", "real infrared"]
    assert rows["X"].shape == visible.shape
    assert 0 <= rows["X"].min() <= rows["X"].max() <= 1
    assert rows["real infrared"] is infrared


def test_weights_of_zero_leave_losses_out(make) -> None:
    for key, kept in (("w_gap", "respective"), ("w_respective", "gap")):
        harness = make("model=xmodality", f"model.{key}=0")
        harness.step("joint", make_batch(harness.module))
        assert set(harness.module.losses) == {"network/id", f"network/{kept}"}


@pytest.mark.parametrize(
    ("setting", "value", "message"),
    [
        ("visible_feature", "both", "choose from x, visible"),
        ("w_gap", -1, "0 or more"),
        ("margin_respective", -1, "0 or more"),
    ],
)
def test_impossible_settings_are_refused_in_one_sentence(setting: str, value: object, message: str) -> None:
    with pytest.raises(ConfigError, match=message) as refusal:
        from_plain(XModalityConfig, {setting: value}, "model").check()
    assert "\n" not in str(refusal.value)
