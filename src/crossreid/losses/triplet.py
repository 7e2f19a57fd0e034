"""Triplet losses with batch-hard mining across two sets of embeddings."""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

LARGEST_EXPONENT = 88.0
"""Its exponential is finite in float32; that of 89 is not."""

MASKED_SOFTMAX_EPSILON = 1e-6
"""Of the denominator of the softmax in AGW's code."""


def hardest_similarities(
    anchors: Tensor, others: Tensor, labels: Tensor, other_labels: Tensor
) -> tuple[Tensor, Tensor]:
    """Smallest cosine similarity to the same identity and largest to another one, for each anchor.

    Args:
        anchors: (N, D) embeddings, any norm but zero.
        others: (M, D) embeddings to mine from.
        labels: (N,) identities of the anchors.
        other_labels: (M,) identities of the others.

    Returns:
        Hardest positives (N,) and hardest negatives (N,), in [-1, 1]; nan for an anchor that lacks either.
    """
    with torch.autocast(anchors.device.type, enabled=False):  # it would take the product in half precision
        unit_anchors = F.normalize(anchors.float(), dim=1)
        unit_others = F.normalize(others.float(), dim=1)
        similarity = unit_anchors @ unit_others.T  # (N, M)
    pairs = pairs_by_identity(labels, other_labels)
    # an infinity stands where a pair is not of the kind, so that minimum and maximum pass over it
    hardest_positive = similarity.masked_fill(~pairs.same, torch.inf).amin(1)
    hardest_negative = similarity.masked_fill(pairs.same, -torch.inf).amax(1)
    incomplete = ~pairs.complete
    return hardest_positive.masked_fill(incomplete, torch.nan), hardest_negative.masked_fill(incomplete, torch.nan)


def hardest_triplet(
    anchors: Tensor, others: Tensor, labels: Tensor, other_labels: Tensor, margin: float = 1.0
) -> Tensor:
    """Batch-hard triplet loss on cosine similarity (AlignGAN, Eq. 3, D read as similarity).

    ``mean over anchors of max(0, margin + hardest negative - hardest positive)``: with dist = 1 - similarity this is the
    usual ``[margin + dist(a, p) - dist(a, n)]+``.

    Args:
        anchors: (N, D) embeddings.
        others: (M, D) embeddings that positives and negatives are taken from.
        labels: (N,) identities of the anchors.
        other_labels: (M,) identities of the others.
        margin: in similarity.

    Returns:
        A scalar in [0, margin + 2], zero only where every similarity gap is at least ``margin``; nan where an anchor has no
        positive or no negative.
    """
    hardest_positive, hardest_negative = hardest_similarities(anchors, others, labels, other_labels)
    # in similarity the negative comes first: it is the one that should be small
    violation = margin + hardest_negative - hardest_positive
    return F.relu(violation).mean()


def exact_distances(anchors: Tensor, others: Tensor) -> Tensor:
    """Euclidean distances (N, M) of the rows of (N, D) and (M, D), from differences and not from a matrix product.

    The distance of a row to itself is exactly 0, and its gradient there is 0 instead of NaN.
    """
    # |a|^2 + |b|^2 - 2 a.b of a matrix product is a rounding error on the diagonal, with a root of unbounded gradient.
    return torch.cdist(anchors, others, compute_mode="donot_use_mm_for_euclid_dist")


def euclidean_triplet(anchors: Tensor, others: Tensor, labels: Tensor, other_labels: Tensor, margin: float) -> Tensor:
    """Batch-hard triplet loss on Euclidean distance, vectors as they are (Hermans et al., 2017).

    ``mean over anchors of max(0, margin + farthest positive - nearest negative)``.

    Args:
        anchors: (N, D) vectors, not normalised.
        others: (M, D) vectors that positives and negatives are taken from; the anchors themselves, or another set.
        labels: (N,) identities of the anchors.
        other_labels: (M,) identities of the others.
        margin: in distance.

    Returns:
        A scalar >= 0 in float32, zero only where every gap is at least ``margin``; nan where an anchor has no positive or no
        negative.
    """
    distance = _float32_distances(anchors, others)
    pairs = pairs_by_identity(labels, other_labels)
    # An anchor that is among the others is its own positive, at distance 0: never the farthest where it has another one.
    farthest_positive = distance.masked_fill(~pairs.same, -torch.inf).amax(1)
    nearest_negative = distance.masked_fill(pairs.same, torch.inf).amin(1)
    violation = margin + farthest_positive - nearest_negative
    return nan_without_pairs(F.relu(violation).mean(), pairs.complete)


def random_triplet(
    anchors: Tensor,
    others: Tensor,
    labels: Tensor,
    other_labels: Tensor,
    margin: float,
    generator: torch.Generator,
) -> Tensor:
    """Triplet loss on Euclidean distance with a positive and a negative drawn for each anchor, vectors as they are.

    ``mean over anchors of max(0, margin + distance to the positive - distance to the negative)``. Unlike the hardest ones
    of :func:`euclidean_triplet`, drawn ones leave the loss below ``margin`` as soon as persons are apart on average.

    Args:
        anchors: (N, D) vectors.
        others: (M, D) vectors that positives and negatives are drawn from, without the anchors themselves.
        labels: (N,) identities of the anchors.
        other_labels: (M,) identities of the others.
        margin: in distance.
        generator: of the draws, on the CPU; all positives of an anchor are equally likely, and so are all negatives.

    Returns:
        A scalar >= 0 in float32; nan where an anchor has no positive or no negative.
    """
    distance = _float32_distances(anchors, others)
    pairs = pairs_by_identity(labels, other_labels)
    # The largest of independent uniform numbers is any of them with equal chance.
    lots = torch.rand(distance.shape, generator=generator).to(distance.device, non_blocking=True)
    positive = lots.masked_fill(~pairs.same, -1.0).argmax(1, keepdim=True)
    negative = lots.masked_fill(pairs.same, -1.0).argmax(1, keepdim=True)
    violation = margin + distance.gather(1, positive) - distance.gather(1, negative)
    return nan_without_pairs(F.relu(violation).mean(), pairs.complete)


def weighted_triplet(vectors: Tensor, labels: Tensor, masking: str = "left_out") -> Tensor:
    """Weighted regularised triplet loss (AGW: Ye et al., TPAMI 2021, Eq. 10 and 11), without a margin.

    ``mean over anchors of softplus(P - N)``, P the mean distance to positives weighted by their softmax, so that far ones
    count more, N that to negatives, so that near ones count more.

    Args:
        vectors: (N, D), not normalised.
        labels: (N,) identities; every anchor needs another image of its own where masking is ``left_out``.
        masking: what a softmax makes of pairs that are not of its kind: ``left_out`` (as printed,
            :func:`triplet_weights`) or ``zero`` (the authors' code, :func:`masked_triplet_weights`).

    Returns:
        A scalar > 0 in float32; nan where an anchor has no positive or no negative.
    """
    gap = _weighted_gap(vectors, labels, masking)
    return F.softplus(gap).mean()  # Eq. 10: softplus(x) = log(1 + exp(x))


def squared_weighted_triplet(vectors: Tensor, labels: Tensor, masking: str = "left_out") -> Tensor:
    """Weighted triplet loss on the squared gap (CAJ: Ye et al., ICCV 2021, and its authors' code).

    ``mean over anchors of softplus(-s min((P - N)^2, 88))``, P and N as in :func:`weighted_triplet`, s = 1 where P <= N
    and -1 elsewhere. The bound keeps the exponential finite in float32; where it holds there is no gradient.

    Args:
        vectors: as in :func:`weighted_triplet`, as the rest.
        labels: likewise.
        masking: likewise.
    """
    gap = _weighted_gap(vectors, labels, masking)
    # The square has lost the sign of the gap, which says whether the anchor is on the right side.
    bounded = gap.square().clamp(max=LARGEST_EXPONENT)
    signed = torch.where(gap <= 0, -bounded, bounded)
    return F.softplus(signed).mean()


def _weighted_gap(vectors: Tensor, labels: Tensor, masking: str) -> Tensor:
    """P - N of each anchor, (N,) in float32: its weighted distances to positives and to negatives."""
    weights = masked_triplet_weights if masking == "zero" else triplet_weights
    positive_weight, negative_weight = weights(vectors, labels)  # Eq. 11, (N, N) each
    # Weights keep their gradient, as in the authors' code: the loss is trained through the softmax too.
    distance = _float32_distances(vectors, vectors)
    to_positives = (positive_weight * distance).sum(1)
    to_negatives = (negative_weight * distance).sum(1)
    return to_positives - to_negatives


def masked_triplet_weights(vectors: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
    """Weights of positives and negatives as AGW's authors compute them, (N, N) each.

    Distances are multiplied by a mask of 0 and 1 before the softmax, an image is a positive of itself, and 1e-6 is added to
    the denominators. So the largest negated distance that the softmax of negatives subtracts is always the 0 of a masked
    entry: far negatives get weights whose sum is below 1, 0.2 at a distance of 20.
    """
    distance = _float32_distances(vectors, vectors)
    positive = (labels[:, None] == labels[None, :]).float()
    negative = 1 - positive
    return _masked_softmax(distance * positive, positive), _masked_softmax(-distance * negative, negative)


def _masked_softmax(values: Tensor, mask: Tensor) -> Tensor:
    """Softmax of the rows of (N, M) over the entries where ``mask`` is 1; the maximum is that of all entries."""
    largest = values.amax(1, keepdim=True)
    exponentials = (values - largest).exp() * mask
    return exponentials / (exponentials.sum(1, keepdim=True) + MASKED_SOFTMAX_EPSILON)


def triplet_weights(vectors: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
    """Weights of positives and negatives in :func:`weighted_triplet`, (N, N) each; rows sum to 1.

    An image is no positive of itself. The softmax leaves out what is not of its kind instead of giving it a distance of 0:
    so rows sum to 1 at any distance. The weights of an anchor without a positive, or without a negative, are nan.
    """
    distance = _float32_distances(vectors, vectors)
    same = labels[:, None] == labels[None, :]
    itself = torch.eye(len(labels), dtype=torch.bool, device=labels.device)
    positive = same & ~itself
    negative = ~same
    # exp(-inf) = 0: no weight for what is not of the kind
    positive_weight = distance.masked_fill(~positive, -torch.inf).softmax(1)
    negative_weight = (-distance).masked_fill(~negative, -torch.inf).softmax(1)
    return positive_weight, negative_weight


def _float32_distances(anchors: Tensor, others: Tensor) -> Tensor:
    """(N, M) Euclidean distances, in float32 under autocast too."""
    with torch.autocast(anchors.device.type, enabled=False):
        return exact_distances(anchors.float(), others.float())


class IdentityPairs(NamedTuple):
    """Which of N anchors and M others are of one identity.

    Attributes:
        same: (N, M) bool.
        complete: (N,) bool, the anchor has a positive and a negative among the others.
    """

    same: Tensor
    complete: Tensor


def pairs_by_identity(labels: Tensor, other_labels: Tensor) -> IdentityPairs:
    """Pairs of anchors with labels (N,) and others with labels (M,)."""
    same = labels[:, None] == other_labels[None, :]
    has_positive = same.any(1)
    has_negative = (~same).any(1)
    return IdentityPairs(same, has_positive & has_negative)


def nan_without_pairs(loss: Tensor, complete: Tensor) -> Tensor:
    """A loss, or nan unless all anchors are complete (N,).

    A training stops at nan, when its losses are looked at; to refuse the batch here would wait for the device in every step.
    """
    return loss.masked_fill(~complete.all(), torch.nan)
