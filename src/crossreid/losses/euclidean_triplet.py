"""Batch-hard triplet loss on Euclidean distances (Hermans et al., 2017)."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


def exact_distances(anchors: Tensor, others: Tensor) -> Tensor:
    """Euclidean distances (N, M) of the rows of (N, D) and (M, D), from differences and not from a matrix product.

    The distance of a row to itself is exactly 0, and its gradient there is 0 instead of NaN.
    """
    return torch.cdist(anchors, others, compute_mode="donot_use_mm_for_euclid_dist")


def euclidean_triplet(anchors: Tensor, others: Tensor, labels: Tensor, other_labels: Tensor, margin: float) -> Tensor:
    """``mean over anchors of max(0, margin + farthest positive - nearest negative)``, Euclidean, features as they are.

    Args:
        anchors: (N, D) features.
        others: (M, D) features that positives and negatives are taken from; the anchors themselves, or another set.
        labels: (N,) identities of the anchors.
        other_labels: (M,) identities of the others.
        margin: in distance.

    Returns:
        A scalar >= 0 in float32.

    Raises:
        ValueError: an anchor has no positive or no negative.
    """
    with torch.autocast(anchors.device.type, enabled=False):
        distance = exact_distances(anchors.float(), others.float())
    same = labels[:, None] == other_labels[None, :]
    if not bool((same.any(1) & (~same).any(1)).all()):
        raise ValueError("every anchor needs a positive and a negative: batches hold at least two identities")
    positive = distance.masked_fill(~same, float("-inf")).amax(1)
    negative = distance.masked_fill(same, float("inf")).amin(1)
    return F.relu(margin + positive - negative).mean()
