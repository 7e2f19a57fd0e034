"""BDTR's top-ranking losses: in both directions, across modalities and inside each."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from crossreid.losses import exact_distances, nan_without_pairs, pairs_by_identity


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

    Returns:
        A scalar >= 0; nan where an anchor has no positive or no negative.
    """
    distance = unit_distances(anchors, others)  # (N, M)
    same, complete = pairs_by_identity(labels, other_labels)
    nearest_negative = distance.masked_fill(same, torch.inf).amin(1, keepdim=True)  # (N, 1)
    hinge = F.relu(margin + distance - nearest_negative)
    return nan_without_pairs(_mean_over(hinge, same), complete)


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

    Returns:
        A scalar >= 0; nan where an image has no positive or no negative.
    """
    distance_within = unit_distances(others, others)  # D(o_j, o_k), (M, M)
    same_within, has_negative = pairs_by_identity(other_labels, other_labels)  # each is its own positive
    nearest_negative = distance_within.masked_fill(same_within, torch.inf).amin(1)  # of each o_j, (M,)
    if positive == "within":
        itself = torch.eye(len(others), dtype=torch.bool, device=others.device)
        pairs = same_within & ~itself
        hinge = F.relu(margin + distance_within - nearest_negative[:, None])
        return nan_without_pairs(_mean_over(hinge, pairs), has_negative & pairs.any(1))
    distance_across = unit_distances(anchors, others)  # D(a_i, o_j), (N, M)
    same, complete = pairs_by_identity(labels, other_labels)
    hinge = F.relu(margin + distance_across - nearest_negative[None, :])
    return nan_without_pairs(_mean_over(hinge, same), complete & has_negative.all())


def bound_ranking(anchors: Tensor, others: Tensor, labels: Tensor, other_labels: Tensor, margin: float) -> Tensor:
    """The positive of an anchor and its nearest negative, both of the other modality, are farther apart than a constant.

    ``mean over pairs (i, j) of one identity of max(0, margin - D(o_j, o_k))``, k the image of another identity that is
    nearest to the anchor a_i (BDTR's authors' code); nan where an anchor has no positive or no negative.

    Args:
        anchors: as in :func:`across_ranking`.
        others: likewise.
        labels: likewise.
        other_labels: likewise.
        margin: in distance of unit vectors.
    """
    same, complete = pairs_by_identity(labels, other_labels)
    nearest = unit_distances(anchors, others).masked_fill(same, torch.inf).argmin(1)  # (N,), places among the others
    apart = unit_distances(others[nearest], others)  # (N, M), of each anchor's negative to all others
    return nan_without_pairs(_mean_over(F.relu(margin - apart), same), complete)


def _mean_over(values: Tensor, pairs: Tensor) -> Tensor:
    """Mean of those of the values (N, M) where ``pairs`` is True; to pick them out would wait for their number."""
    return torch.where(pairs, values, 0).sum() / pairs.sum()
