"""LbA's dense triplet loss (Eq. 10 and 11); its other losses are shared ones."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

_OFFSET = 1e-6  # added to every difference, as in PyTorch's pairwise distance: no NaN where two maps are equal


def local_distances(anchors: Tensor, reconstructions: Tensor) -> Tensor:
    """Eq. 11: Euclidean distance over channels at every position, (N, C, h, w) twice -> (N, h, w), in float32."""
    with torch.autocast(anchors.device.type, enabled=False):
        differences = anchors.float() - reconstructions.float() + _OFFSET
        distances: Tensor = torch.linalg.vector_norm(differences, dim=1)
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
        alpha: margin in distance, lambda in the printed equation.
        reduction: ``mean`` over images and positions, or ``sum`` over positions and the two modalities, mean over the pairs
            of images (half of the anchors are of each modality).

    Returns:
        A scalar >= 0.
    """
    positive_distances = local_distances(anchors, positives)  # d+, (N, h, w)
    negative_distances = local_distances(anchors, negatives)  # d-
    hinge = F.relu(alpha + positive_distances - negative_distances)
    # Without the squeeze (N, 1, h, w) x (N, h, w) is (N, N, h, w): every map weighs every image.
    weighted = weights.squeeze(1) * hinge
    if reduction == "mean":
        return weighted.mean()
    image_sums = weighted.sum(dim=(1, 2))  # (N,)
    # The mean over all N is half the sum of the two modalities' means.
    return 2 * image_sums.mean()
