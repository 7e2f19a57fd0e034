"""BDTR's top-ranking losses: in both directions, across modalities and inside each."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from crossreid.losses import exact_distances


def unit_distances(one: Tensor, two: Tensor) -> Tensor:
    """Euclidean distances (N, M) of L2-normalised rows, in [0, 2] and float32."""
    with torch.autocast(one.device.type, enabled=False):
        return exact_distances(F.normalize(one.float(), dim=1), F.normalize(two.float(), dim=1))


def across_ranking(anchors: Tensor, others: Tensor, labels: Tensor, other_labels: Tensor, margin: float) -> Tensor:
    """Every positive of the other modality is nearer to the anchor than the nearest negative there.

    ``mean over pairs (i, j) of one identity of max(0, margin + D(a_i, o_j) - min_k D(a_i, o_k))``, k of other identities.

    Args:
        anchors: (N, D) features of one modality, any norm but zero.
        others: (M, D) features of the other.
        labels: (N,) identities of the anchors.
        other_labels: (M,) identities of the others.
        margin: in distance of unit vectors.

    Raises:
        ValueError: an anchor has no positive or no negative.
    """
    distance = unit_distances(anchors, others)  # (N, M)
    same = _same(labels, other_labels)
    nearest_negative = distance.masked_fill(same, torch.inf).amin(1, keepdim=True)  # (N, 1)
    hinge = F.relu(margin + distance - nearest_negative)
    return hinge[same].mean()


def intra_ranking(
    anchors: Tensor, others: Tensor, labels: Tensor, other_labels: Tensor, margin: float, positive: str = "across"
) -> Tensor:
    """Positives are nearer than the nearest negative of their own modality.

    ``across``: ``mean over pairs (i, j) of one identity of max(0, margin + D(a_i, o_j) - min_k D(o_j, o_k))``, k of other
    identities: the negatives are those of the positive, in its own modality. ``within``: the pairs are those of the others
    among themselves, an image with itself left out; the anchors take no part.

    Args:
        anchors: as in :func:`across_ranking`.
        others: likewise.
        labels: likewise.
        other_labels: likewise.
        margin: in distance of unit vectors.
        positive: ``across`` or ``within``.

    Raises:
        ValueError: an image has no positive or no negative.
    """
    distance_within = unit_distances(others, others)  # D(o_j, o_k), (M, M)
    same_within = _same(other_labels, other_labels)
    nearest_negative = distance_within.masked_fill(same_within, torch.inf).amin(1)  # of each o_j, (M,)
    if positive == "within":
        itself = torch.eye(len(others), dtype=torch.bool, device=others.device)
        pairs = same_within & ~itself
        if not bool(pairs.any(1).all()):
            raise ValueError("every image needs another one of its identity and modality")
        hinge = F.relu(margin + distance_within - nearest_negative[:, None])
        return hinge[pairs].mean()
    distance_across = unit_distances(anchors, others)  # D(a_i, o_j), (N, M)
    hinge = F.relu(margin + distance_across - nearest_negative[None, :])
    return hinge[_same(labels, other_labels)].mean()


def bound_ranking(anchors: Tensor, others: Tensor, labels: Tensor, other_labels: Tensor, margin: float) -> Tensor:
    """The positive of an anchor and its nearest negative, both of the other modality, are farther apart than a constant.

    ``mean over pairs (i, j) of one identity of max(0, margin - D(o_j, o_k))``, k the image of another identity that is
    nearest to the anchor a_i (BDTR's authors' code).

    Args:
        anchors: as in :func:`across_ranking`.
        others: likewise.
        labels: likewise.
        other_labels: likewise.
        margin: in distance of unit vectors.

    Raises:
        ValueError: an anchor has no positive or no negative.
    """
    same = _same(labels, other_labels)
    nearest = unit_distances(anchors, others).masked_fill(same, torch.inf).argmin(1)  # (N,), places among the others
    apart = unit_distances(others[nearest], others)  # (N, M), of each anchor's negative to all others
    return F.relu(margin - apart)[same].mean()


def _same(labels: Tensor, other_labels: Tensor) -> Tensor:
    """(N, M) bool; every row has a positive and a negative."""
    same = labels[:, None] == other_labels[None, :]
    if not bool((same.any(1) & (~same).any(1)).all()):
        raise ValueError("every anchor needs a positive and a negative: batches hold at least two identities")
    return same
