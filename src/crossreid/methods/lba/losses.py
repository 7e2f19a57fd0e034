"""LbA's dense triplet loss (Eq. 10 and 11); its other losses are shared ones."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

_OFFSET = 1e-6  # added to every difference, as in PyTorch's pairwise distance: no NaN where two maps are equal


def local_distances(one: Tensor, two: Tensor) -> Tensor:
    """Eq. 11: Euclidean distance over channels at every position, (N, C, h, w) twice -> (N, h, w), in float32."""
    with torch.autocast(one.device.type, enabled=False):
        distances: Tensor = torch.linalg.vector_norm(one.float() - two.float() + _OFFSET, dim=1)
    return distances


def dense_triplet(
    anchors: Tensor, positives: Tensor, negatives: Tensor, weights: Tensor, alpha: float, reduction: str = "mean"
) -> Tensor:
    """Eq. 10: an anchor's map is nearer to its reconstruction from a positive than to that from a negative.

    Args:
        anchors: (N, C, h, w) maps of both modalities.
        positives: reconstructions from images of the same identity.
        negatives: reconstructions from images of other identities.
        weights: (N, 1, h, w) co-attention of the anchors, or any shape that broadcasts to it.
        alpha: margin in distance.
        reduction: ``mean`` over images and positions, or ``sum`` over positions and the two modalities, mean over the pairs
            of images (half of the anchors are of each modality).

    Returns:
        A scalar >= 0.
    """
    to_positives = local_distances(anchors, positives)  # (N, h, w)
    to_negatives = local_distances(anchors, negatives)
    hinge = F.relu(alpha + to_positives - to_negatives)
    weighted = weights.squeeze(1) * hinge
    if reduction == "mean":
        return weighted.mean()
    return 2 * weighted.sum(dim=(1, 2)).mean()
