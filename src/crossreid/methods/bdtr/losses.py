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
    distance, same = unit_distances(anchors, others), _same(labels, other_labels)
    nearest = distance.masked_fill(same, torch.inf).amin(1, keepdim=True)
    return F.relu(margin + distance - nearest)[same].mean()


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
    inside, kin = unit_distances(others, others), _same(other_labels, other_labels)
    nearest = inside.masked_fill(kin, torch.inf).amin(1)  # (M,)
    if positive == "within":
        pairs = kin & ~torch.eye(len(kin), dtype=torch.bool, device=kin.device)
        if not bool(pairs.any(1).all()):
            raise ValueError("every image needs another one of its identity and modality")
        return F.relu(margin + inside - nearest[:, None])[pairs].mean()
    same = _same(labels, other_labels)
    return F.relu(margin + unit_distances(anchors, others) - nearest[None, :])[same].mean()


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
