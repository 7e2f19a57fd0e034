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


def slow_min_max(values: list[Tensor]) -> list[Tensor]:
    """Eq. 7."""
    smallest = min(values)
    largest = max(values)
    return [(value - smallest) / (largest - smallest + 1e-12) for value in values]


def slow_mask(features: list[Tensor]) -> list[Tensor]:
    """M(p), Eq. 5 and 6: the length of the features, scaled over the image; a constant for gradients."""
    return slow_min_max([feature.detach().norm() for feature in features])


class SlowPair:
    """Eq. 1 to 9 for one anchor and one target (C, h, w), in float64, in the paper's symbols.

    f(p) are the anchor's features and g(q) the target's, p and q positions.
    """

    def __init__(self, anchor: Tensor, target: Tensor) -> None:
        positions = range(anchor.shape[1] * anchor.shape[2])
        f = [at(anchor.double(), p) for p in positions]
        g = [at(target.double(), q) for q in positions]
        mask = slow_mask(f)
        target_mask = slow_mask(g)
        self.anchor = f
        self.mask = mask
        self.similarity: list[list[Tensor]] = []  # C(p, q)
        self.matching: list[list[Tensor]] = []  # P(p, q)
        self.warp: list[Tensor] = []  # W(g)(p)
        self.reconstruction: list[Tensor] = []  # f^(p)
        intersection: list[Tensor] = []
        for p in positions:
            # Eq. 1
            similarity = [(f[p] @ g[q]) / (f[p].norm() * g[q].norm()) for q in positions]
            # Eq. 2
            exponentials = [torch.exp(BETA * c) for c in similarity]
            total = sum(exponentials)
            matching = [e / total for e in exponentials]
            # Eq. 4
            warp = sum(matching[q] * g[q] for q in positions)
            # Eq. 3
            reconstruction = mask[p] * warp + (1 - mask[p]) * f[p]
            # Eq. 9, before it is scaled; a constant for gradients
            warped_mask = sum(matching[q].detach() * target_mask[q] for q in positions)
            intersection.append(mask[p] * warped_mask)
            self.similarity.append(similarity)
            self.matching.append(matching)
            self.warp.append(warp)
            self.reconstruction.append(reconstruction)
        self.attention = slow_min_max(intersection)  # A(p)

    def distance(self, p: int) -> Tensor:
        """d(p), Eq. 11, of the anchor and its reconstruction."""
        return (self.anchor[p] - self.reconstruction[p] + 1e-6).norm()


def slow_triplet(anchors: Tensor, positives: Tensor, negatives: Tensor, alpha: float, weighting: str) -> Tensor:
    """Eq. 10 as a mean over images and positions: A(p) [d+(p) - d-(p) + alpha]_+."""
    positive_pairs = [SlowPair(anchor, positive) for anchor, positive in zip(anchors, positives, strict=True)]
    negative_pairs = [SlowPair(anchor, negative) for anchor, negative in zip(anchors, negatives, strict=True)]
    count = len(positive_pairs)
    positions = range(len(positive_pairs[0].anchor))
    total = torch.zeros((), dtype=torch.float64)
    for positive, negative in zip(positive_pairs, negative_pairs, strict=True):
        for p in positions:
            hinge = torch.clamp(positive.distance(p) - negative.distance(p) + alpha, min=0)
            if weighting == "per_image":
                attention = positive.attention[p]
            elif weighting == "batch_mean":
                attention = sum(pair.attention[p] for pair in positive_pairs) / count
            else:
                attention = 1.0
            total = total + attention * hinge
    return total / (count * len(positions))


def grid(values: list[Tensor]) -> Tensor:
    """(L,) or (L, C) by position -> (1, h, w) or (C, h, w)."""
    stacked = torch.stack([v.reshape(-1) for v in values], dim=1)
    return stacked.reshape(-1, *SHAPE[2:])


def fast_triplet(anchors: Tensor, positives: Tensor, negatives: Tensor, alpha: float, weighting: str) -> Tensor:
    positive = align(anchors, positives, BETA)
    negative = align(anchors, negatives, BETA)
    weights = co_attention(anchors, positives, positive.matching)
    if weighting == "batch_mean":
        weights = weights.mean(dim=0, keepdim=True)
    if weighting == "none":
        weights = torch.ones(1, 1, 1, 1)
    return dense_triplet(anchors, positive.reconstruction, negative.reconstruction, weights, alpha)


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
            "warp": (warp(alignment.matching, targets)[row], grid(slow.warp)),
            "mask": (person_masks(anchors)[row], grid(slow.mask)),
            "reconstruction": (alignment.reconstruction[row], grid(slow.reconstruction)),
            "co-attention": (attention[row], grid(slow.attention)),
        }
        for name, (fast, expected) in pairs.items():
            assert torch.allclose(fast, expected.float(), atol=2e-5), name


def test_gradients_of_a_reconstruction_equal_the_double_loop(maps) -> None:
    anchors, targets, weights = maps
    weights = weights.detach()
    fast = (align(anchors, targets, BETA).reconstruction * weights).sum()
    slow = torch.zeros((), dtype=torch.float64)
    for anchor, target, weight in zip(anchors, targets, weights, strict=True):
        slow = slow + (grid(SlowPair(anchor, target).reconstruction) * weight).sum()
    for one, two in zip(gradients(fast, anchors, targets), gradients(slow, anchors, targets), strict=True):
        assert one.norm() > 0.1
        assert torch.allclose(one, two, atol=1e-3 * float(two.abs().max()))


@pytest.mark.parametrize("weighting", ["per_image", "batch_mean", "none"])
def test_the_dense_triplet_and_its_gradients_equal_the_double_loop(maps, weighting: str) -> None:
    fast = fast_triplet(*maps, 0.3, weighting)
    slow = slow_triplet(*maps, 0.3, weighting)
    assert fast.item() == pytest.approx(slow.item(), rel=1e-4)
    assert fast.item() > 0.01
    for one, two in zip(gradients(fast, *maps), gradients(slow, *maps), strict=True):
        assert one.norm() > 1e-3
        assert torch.allclose(one, two, atol=1e-3 * float(two.abs().max()))


def test_the_mean_map_is_what_broadcasting_gives_and_differs_from_a_map_an_image(maps) -> None:
    anchors, positives, negatives = maps
    positive = align(anchors, positives, BETA)
    negative = align(anchors, negatives, BETA)
    attention = co_attention(anchors, positives, positive.matching)
    positive_distances = local_distances(anchors, positive.reconstruction)
    negative_distances = local_distances(anchors, negative.reconstruction)
    hinge = torch.relu(0.3 + positive_distances - negative_distances)
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


def partners_of(labels: list[int], infrared: list[bool], seed: int = 0):
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
    for rows in partners:
        assert (infrared[rows] != infrared).all()
    assert sorted(partners.positive.tolist()) == list(range(len(labels)))  # every image serves once
    for person in range(people):
        for flag in (False, True):
            anchors = (labels == person) & (infrared == flag)
            strangers = labels[partners.negative[anchors]].unique()
            assert len(strangers) == min(images, people - 1)


def test_partners_are_found_where_modalities_have_different_numbers() -> None:
    partners = partners_of([7, 7, 7, 9, 7, 9, 9], [False, False, False, False, True, True, True])
    assert partners.positive[:3].tolist() == [4, 4, 4]
    assert set(partners.positive.tolist()[5:]) == {3}
    assert set(partners.negative.tolist()[:3]) == {5, 6}


def test_partners_follow_from_the_generator() -> None:
    labels = [0, 0, 1, 1, 2, 2] * 2
    infrared = [False] * 6 + [True] * 6
    first = partners_of(labels, infrared, seed=1)
    again = partners_of(labels, infrared, seed=1)
    other = partners_of(labels, infrared, seed=2)
    assert torch.equal(torch.stack(first), torch.stack(again))
    assert not torch.equal(torch.stack(first), torch.stack(other))


@pytest.mark.parametrize("labels", [[0, 0], [0, 1]])
def test_images_without_partners_are_refused(labels: list[int]) -> None:
    with pytest.raises(ValueError, match="at least two identities"):
        partners_of(labels, [False, True])


# ---------------------------------------------------------------- matches for figures


def test_the_best_matches_come_first() -> None:
    matching = torch.tensor([[0.1, 0.7, 0.2], [0.4, 0.3, 0.3], [0.0, 0.1, 0.9]])
    assert top_matches(matching, 2).tolist() == [[2, 2], [0, 1]]
    assert top_matches(matching, 20).tolist() == [[2, 2], [0, 1], [1, 0]]
