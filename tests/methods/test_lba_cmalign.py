"""CMAlign and the dense triplet loss against a slow double loop over positions, gradients included."""

import pytest
import torch
from torch import Tensor

from crossreid.methods.lba.cmalign import (
    align,
    co_attention,
    draw_partners,
    matching_probabilities,
    min_max,
    person_masks,
    similarities,
    top_matches,
    warp,
)
from crossreid.methods.lba.losses import dense_triplet, local_distances

BETA = 50.0
SHAPE = (2, 3, 3, 2)  # N, C, h, w


@pytest.fixture
def maps() -> tuple[Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    return tuple(torch.rand(SHAPE, generator=generator).requires_grad_() for _ in range(3))


def table(rows: list[list[Tensor]]) -> Tensor:
    return torch.stack([torch.stack(row) for row in rows])


# ---------------------------------------------------------------- the slow twin: one image, one position at a time


def at(feature_map: Tensor, position: int) -> Tensor:
    """The features (C,) of a (C, h, w) map at one position."""
    width = feature_map.shape[-1]
    return feature_map[:, position // width, position % width]


def slow_scaled(values: list[Tensor]) -> list[Tensor]:
    return [(v - min(values)) / (max(values) - min(values) + 1e-12) for v in values]


class SlowPair:
    """Everything of Eq. 1-9 for one anchor and one target (C, h, w), in float64."""

    def __init__(self, anchor: Tensor, target: Tensor) -> None:
        places = range(anchor.shape[1] * anchor.shape[2])
        f, g = [at(anchor.double(), p) for p in places], [at(target.double(), q) for q in places]
        self.similarity = [[(f[p] @ g[q]) / (f[p].norm() * g[q].norm()) for q in places] for p in places]
        self.matching = []
        for row in self.similarity:
            exponentials = [torch.exp(BETA * c) for c in row]
            self.matching.append([e / sum(exponentials) for e in exponentials])
        self.warped = [sum(self.matching[p][q] * g[q] for q in places) for p in places]
        self.mask = slow_scaled([v.detach().norm() for v in f])
        target_mask = slow_scaled([v.detach().norm() for v in g])
        self.rebuilt = [self.mask[p] * self.warped[p] + (1 - self.mask[p]) * f[p] for p in places]
        seen = [self.mask[p] * sum(self.matching[p][q].detach() * target_mask[q] for q in places) for p in places]
        self.attention = slow_scaled(seen)
        self.anchor = f


def slow_triplet(anchors: Tensor, positives: Tensor, negatives: Tensor, alpha: float, weighting: str) -> Tensor:
    """Eq. 10 as a mean over images and positions."""
    pairs = [(SlowPair(a, p), SlowPair(a, n)) for a, p, n in zip(anchors, positives, negatives, strict=True)]
    total = torch.zeros((), dtype=torch.float64)
    for positive, negative in pairs:
        for p, anchor in enumerate(positive.anchor):
            nearer = (anchor - positive.rebuilt[p] + 1e-6).norm()
            hinge = torch.clamp(alpha + nearer - (anchor - negative.rebuilt[p] + 1e-6).norm(), min=0)
            attention = {
                "per_image": positive.attention[p],
                "batch_mean": sum(other.attention[p] for other, _ in pairs) / len(pairs),
                "none": 1.0,
            }[weighting]
            total = total + attention * hinge
    return total / (len(pairs) * len(pairs[0][0].anchor))


def grid(values: list[Tensor]) -> Tensor:
    """(L,) or (L, C) by position -> (1, h, w) or (C, h, w)."""
    stacked = torch.stack([v.reshape(-1) for v in values], dim=1)
    return stacked.reshape(-1, *SHAPE[2:])


def fast_triplet(anchors: Tensor, positives: Tensor, negatives: Tensor, alpha: float, weighting: str) -> Tensor:
    seen, other = align(anchors, positives, BETA), align(anchors, negatives, BETA)
    weights = co_attention(anchors, positives, seen.matching)
    if weighting == "batch_mean":
        weights = weights.mean(dim=0, keepdim=True)
    if weighting == "none":
        weights = torch.ones(1, 1, 1, 1)
    return dense_triplet(anchors, seen.reconstruction, other.reconstruction, weights, alpha)


def gradients(loss: Tensor, *inputs: Tensor) -> list[Tensor]:
    return [g.float() for g in torch.autograd.grad(loss, inputs)]


# ---------------------------------------------------------------- values and gradients


def test_every_part_equals_the_double_loop(maps) -> None:
    anchors, targets, _ = maps
    alignment = align(anchors, targets, BETA)
    attention = co_attention(anchors, targets, alignment.matching)
    for row, (anchor, target) in enumerate(zip(anchors, targets, strict=True)):
        slow = SlowPair(anchor, target)
        pairs = {
            "similarity": (similarities(anchors, targets)[row], table(slow.similarity)),
            "matching": (alignment.matching[row], table(slow.matching)),
            "warp": (warp(alignment.matching, targets)[row], grid(slow.warped)),
            "mask": (person_masks(anchors)[row], grid(slow.mask)),
            "reconstruction": (alignment.reconstruction[row], grid(slow.rebuilt)),
            "co-attention": (attention[row], grid(slow.attention)),
        }
        for name, (fast, expected) in pairs.items():
            assert torch.allclose(fast, expected.float(), atol=2e-5), name


def test_gradients_of_a_reconstruction_equal_the_double_loop(maps) -> None:
    anchors, targets, weights = maps
    fast = (align(anchors, targets, BETA).reconstruction * weights.detach()).sum()
    slow = sum(
        (grid(SlowPair(a, t).rebuilt) * w).sum() for a, t, w in zip(anchors, targets, weights.detach(), strict=True)
    )
    for one, two in zip(gradients(fast, anchors, targets), gradients(slow, anchors, targets), strict=True):
        assert one.norm() > 0.1
        assert torch.allclose(one, two, atol=1e-3 * float(two.abs().max()))


@pytest.mark.parametrize("weighting", ["per_image", "batch_mean", "none"])
def test_the_dense_triplet_and_its_gradients_equal_the_double_loop(maps, weighting: str) -> None:
    fast, slow = fast_triplet(*maps, 0.3, weighting), slow_triplet(*maps, 0.3, weighting)
    assert fast.item() == pytest.approx(slow.item(), rel=1e-4)
    assert fast.item() > 0.01
    for one, two in zip(gradients(fast, *maps), gradients(slow, *maps), strict=True):
        assert one.norm() > 1e-3
        assert torch.allclose(one, two, atol=1e-3 * float(two.abs().max()))


def test_the_mean_map_is_what_broadcasting_gives_and_differs_from_a_map_an_image(maps) -> None:
    anchors, positives, negatives = maps
    seen, other = align(anchors, positives, BETA), align(anchors, negatives, BETA)
    attention = co_attention(anchors, positives, seen.matching)
    hinge = torch.relu(
        0.3 + local_distances(anchors, seen.reconstruction) - local_distances(anchors, other.reconstruction)
    )
    broadcast = (attention * hinge).mean()  # (B, 1, h, w) x (B, h, w) -> (B, B, h, w)
    assert fast_triplet(*maps, 0.3, "batch_mean").item() == pytest.approx(broadcast.item(), rel=1e-5)
    assert abs(fast_triplet(*maps, 0.3, "per_image").item() - broadcast.item()) > 1e-4


def test_the_sum_counts_positions_and_modalities(maps) -> None:
    weights = torch.ones(1, 1, 1, 1)
    mean = dense_triplet(*maps, weights, 5.0).item()
    positions = SHAPE[2] * SHAPE[3]
    assert dense_triplet(*maps, weights, 5.0, "sum").item() == pytest.approx(2 * positions * mean, rel=1e-5)


# ---------------------------------------------------------------- properties


def test_probabilities_sum_to_one_and_masks_lie_between_zero_and_one(maps) -> None:
    anchors, targets, _ = maps
    matching = matching_probabilities(anchors, targets, BETA)
    assert torch.allclose(matching.sum(2), torch.ones(SHAPE[0], 6), atol=1e-5)
    for mask in (person_masks(anchors), co_attention(anchors, targets, matching)):
        assert mask.amin(dim=(2, 3)).flatten().tolist() == [0, 0]
        assert mask.amax(dim=(2, 3)).flatten().tolist() == pytest.approx([1, 1])
        assert not mask.requires_grad


def test_an_image_aligned_with_itself_is_itself(maps) -> None:
    anchors = maps[0]
    alignment = align(anchors, anchors, 1e5)
    assert torch.allclose(alignment.reconstruction, anchors, atol=1e-4)


@pytest.mark.parametrize("content", ["the same image", "constant images", "no activation at all"])
def test_nothing_is_nan_where_images_are_equal_or_empty(content: str) -> None:
    start = {"the same image": torch.rand(SHAPE), "constant images": torch.ones(SHAPE)}.get(content, torch.zeros(SHAPE))
    anchors = start.clone().requires_grad_()
    for weighting in ("per_image", "none"):
        loss = fast_triplet(anchors, anchors, anchors, 0.3, weighting) + align(anchors, anchors, BETA)[0].sum()
        (gradient,) = torch.autograd.grad(loss, anchors)
        assert torch.isfinite(loss)
        assert torch.isfinite(gradient).all()


def test_a_constant_map_is_nowhere_a_person() -> None:
    assert (min_max(torch.full((1, 1, 2, 2), 3.0)) == 0).all()


def test_alignment_stays_in_float32_under_autocast(maps) -> None:
    anchors, targets, _ = (m.detach().bfloat16() for m in maps)
    with torch.autocast("cpu", torch.bfloat16):
        half = align(anchors, targets, BETA)
        attention = co_attention(anchors, targets, half.matching)
        loss = dense_triplet(anchors, half.reconstruction, half.reconstruction.roll(1, 0), attention, 0.3)
    exact = align(anchors.float(), targets.float(), BETA)
    assert {half.matching.dtype, half.reconstruction.dtype, attention.dtype, loss.dtype} == {torch.float32}
    assert torch.allclose(half.matching, exact.matching, atol=1e-6)
    assert torch.allclose(half.reconstruction, exact.reconstruction, atol=1e-6)


# ---------------------------------------------------------------- partners


def drawn(labels: list[int], infrared: list[bool], seed: int = 0):
    return draw_partners(torch.tensor(labels), torch.tensor(infrared), torch.Generator().manual_seed(seed))


@pytest.mark.parametrize(("people", "images"), [(2, 2), (2, 4), (8, 4), (5, 1), (3, 3)])
@pytest.mark.parametrize("seed", range(3))
def test_partners_are_of_the_other_modality_and_the_right_identity(people: int, images: int, seed: int) -> None:
    order = torch.randperm(2 * people * images, generator=torch.Generator().manual_seed(seed))  # labels, not places
    labels = torch.arange(people).repeat_interleave(images).repeat(2)[order]
    infrared = (torch.arange(2 * people * images) >= people * images)[order]
    partners = draw_partners(labels, infrared, torch.Generator().manual_seed(seed))
    assert (labels[partners.positive] == labels).all()
    assert (labels[partners.negative] != labels).all()
    for chosen in partners:
        assert (infrared[chosen] != infrared).all()
    assert sorted(partners.positive.tolist()) == list(range(len(labels)))  # every image serves once
    for person in range(people):
        for flag in (False, True):
            anchors = (labels == person) & (infrared == flag)
            strangers = labels[partners.negative[anchors]].unique()
            assert len(strangers) == min(images, people - 1)


def test_partners_are_found_where_modalities_have_different_numbers() -> None:
    partners = drawn([7, 7, 7, 9, 7, 9, 9], [False, False, False, False, True, True, True])
    assert partners.positive[:3].tolist() == [4, 4, 4]
    assert set(partners.positive.tolist()[5:]) == {3}
    assert set(partners.negative.tolist()[:3]) == {5, 6}


def test_partners_follow_from_the_generator() -> None:
    labels, infrared = [0, 0, 1, 1, 2, 2] * 2, [False] * 6 + [True] * 6
    first, again, other = (drawn(labels, infrared, seed) for seed in (1, 1, 2))
    assert all(torch.equal(one, two) for one, two in zip(first, again, strict=True))
    assert any(not torch.equal(one, two) for one, two in zip(first, other, strict=True))


@pytest.mark.parametrize("labels", [[0, 0], [0, 1]])
def test_images_without_partners_are_refused(labels: list[int]) -> None:
    with pytest.raises(ValueError, match="at least two identities"):
        drawn(labels, [False, True])


# ---------------------------------------------------------------- matches for figures


def test_the_best_matches_come_first() -> None:
    matching = torch.tensor([[0.1, 0.7, 0.2], [0.4, 0.3, 0.3], [0.0, 0.1, 0.9]])
    assert top_matches(matching, 2).tolist() == [[2, 2], [0, 1]]
    assert top_matches(matching, 20).tolist() == [[2, 2], [0, 1], [1, 0]]
