"""BDTR: top-ranking losses against slow loops, what they train, settings."""

import pytest
import torch

from crossreid.errors import ConfigError
from crossreid.methods.bdtr.config import BDTRConfig
from crossreid.methods.bdtr.losses import across_ranking, intra_ranking, unit_distances
from crossreid.settings.fields import from_plain
from methods_support import gradient_norms, make_batch


def features(seed: int = 0) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
    """Six anchors, four others, of three identities."""
    generator = torch.Generator().manual_seed(seed)
    anchors, others = torch.randn(6, 3, generator=generator), torch.randn(4, 3, generator=generator)
    return anchors.requires_grad_(), others.requires_grad_(), torch.arange(6) % 3, torch.tensor([0, 1, 2, 0])


def distance(a: torch.Tensor, b: torch.Tensor) -> float:
    return float((a / a.norm() - b / b.norm()).norm().detach())


def slow_across(anchors, others, labels, other_labels, margin: float) -> float:
    hinges = []
    for a, y in zip(anchors, labels, strict=True):
        nearest = min(distance(a, o) for o, z in zip(others, other_labels, strict=True) if z != y)
        hinges += [
            max(0.0, margin + distance(a, o) - nearest) for o, z in zip(others, other_labels, strict=True) if z == y
        ]
    return sum(hinges) / len(hinges)


def slow_intra(anchors, others, labels, other_labels, margin: float, positive: str) -> float:
    hinges = []
    for j, (o, z) in enumerate(zip(others, other_labels, strict=True)):
        nearest = min(distance(o, p) for p, other in zip(others, other_labels, strict=True) if other != z)
        if positive == "across":
            partners = [a for a, y in zip(anchors, labels, strict=True) if y == z]
        else:
            partners = [p for k, p in enumerate(others) if k != j and other_labels[k] == z]
        hinges += [max(0.0, margin + distance(p, o) - nearest) for p in partners]
    return sum(hinges) / len(hinges)


@pytest.mark.parametrize("margin", [0.1, 0.5, 2.0])
def test_ranking_across_modalities_equals_its_slow_twin(margin: float) -> None:
    for seed in range(3):
        parts = features(seed)
        loss = across_ranking(*parts, margin)
        assert loss.item() == pytest.approx(slow_across(*parts, margin), abs=1e-5)
    loss.backward()
    assert parts[0].grad.norm() > 0
    assert parts[1].grad.norm() > 0


@pytest.mark.parametrize("positive", ["across", "within"])
def test_ranking_inside_a_modality_equals_its_slow_twin(positive: str) -> None:
    for seed in range(3):
        anchors, others, labels, other_labels = features(seed)
        swapped = (others, anchors, other_labels, labels)  # two images of each identity among the second
        loss = intra_ranking(*swapped, 0.5, positive)
        assert loss.item() == pytest.approx(slow_intra(*swapped, 0.5, positive), abs=1e-5)
    loss.backward()
    assert anchors.grad.norm() > 0
    assert (others.grad is not None and others.grad.norm() > 0) == (positive == "across")


def test_ranking_by_hand() -> None:
    anchors, others = torch.tensor([[2.0, 0.0], [0.0, 1.0]]), torch.tensor([[5.0, 0.0], [0.0, -1.0]])
    labels = torch.tensor([0, 1])
    # D: anchor 0 to its own 0, to the other sqrt 2; anchor 1 to its own 2, to the other sqrt 2
    assert across_ranking(anchors, others, labels, labels, 0.5).item() == pytest.approx((0.5 + 2 - 2**0.5) / 2)
    # the others are sqrt 2 from each other
    assert intra_ranking(anchors, others, labels, labels, 0.1).item() == pytest.approx((0.1 + 2 - 2**0.5) / 2)
    assert unit_distances(anchors * 7, others).max().item() == pytest.approx(2.0)
    apart = torch.tensor([[1.0, 0.0], [-1.0, 0.0]])
    assert across_ranking(apart, apart, labels, labels, 0.5).item() == 0.0
    assert intra_ranking(apart, apart, labels, labels, 0.1).item() == 0.0


def test_ranking_without_positives_or_negatives_is_nan_which_stops_a_training() -> None:
    x, labels = torch.randn(3, 2), torch.arange(3)
    assert across_ranking(x, x, labels, labels * 0 + 1, 0.5).isnan()
    assert intra_ranking(x, x, labels, labels * 0 + 1, 0.1).isnan()
    assert intra_ranking(x, x, labels * 0, labels * 0, 0.1).isnan()
    assert intra_ranking(x, x, labels, labels, 0.1, "within").isnan()


def test_equal_features_have_a_finite_gradient() -> None:
    x, labels = torch.ones(4, 3, requires_grad=True), torch.tensor([0, 0, 1, 1])
    loss = across_ranking(x, x * 2, labels, labels, 0.5) + intra_ranking(x, x * 2, labels, labels, 0.1)
    assert loss.item() == pytest.approx(0.6, abs=1e-5)
    loss.backward()
    assert torch.isfinite(x.grad).all()


@pytest.mark.parametrize("term", ["cross", "intra"])
def test_top_ranking_trains_both_streams_and_not_the_classifier(make, term: str) -> None:
    harness = make("model=bdtr", "model.margin=2", "model.margin_intra=2")
    parts = [
        "network.encoder.streams.visible",
        "network.encoder.streams.infrared",
        "network.encoder.last",
        "network.block.neck",
        "network.block.classifier",
    ]
    norms = gradient_norms(harness, term, "network", " ".join(parts), "joint")
    assert {name for name, norm in norms.items() if norm > 0} == set(parts[:4])


def test_weights_of_zero_leave_losses_out_and_the_rest_takes_an_exchanged_view(make) -> None:
    for settings, expected in (
        (["model.w_cross=0"], {"id", "intra"}),
        (["model.w_intra=0"], {"id", "cross"}),
        (["model.exchanged_view=true", "model.intra_positive=within"], {"id", "cross", "intra"}),
    ):
        harness = make("model=bdtr", *settings)
        harness.step("joint", make_batch(harness.module))
        assert set(harness.module.losses) == {f"network/{name}" for name in expected}
        assert all(torch.isfinite(value) for value in harness.module.losses.values())


@pytest.mark.parametrize(
    ("setting", "value", "message"),
    [
        ("specific_stages", 3, "choose from 0, 1, 2"),
        ("intra_positive", "near", "choose from across, within"),
        ("w_cross", -1, "model.w_cross is -1: choose 0 or more"),
        ("margin_intra", -1, "model.margin_intra is -1: choose 0 or more"),
    ],
)
def test_impossible_settings_are_refused_in_one_sentence(setting: str, value: object, message: str) -> None:
    with pytest.raises(ConfigError, match=message) as refusal:
        from_plain(BDTRConfig, {setting: value}, "model").check()
    assert "\n" not in str(refusal.value)


def test_positives_of_the_own_modality_need_a_second_image() -> None:
    config = BDTRConfig()
    config.streams["identity"].images = 1
    config.check()
    config.intra_positive = "within"
    with pytest.raises(ConfigError, match=r"needs model.streams.identity.images of 2 or more"):
        config.check()
