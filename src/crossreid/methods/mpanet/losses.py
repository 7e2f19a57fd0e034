"""MPANet's own losses: apart patterns, centres of persons, and learning from the other modality's mean classifier."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from crossreid.losses import exact_distances, nan_without_pairs, pairs_by_identity


def separation_loss(masks: Tensor) -> Tensor:
    """Overlap of the patterns' masks: the inner product of two masks, mean over images and over pairs of patterns.

    Args:
        masks: (N, P, h, w) in [0, 1], P >= 2.

    Returns:
        A scalar in [0, h w].
    """
    with torch.autocast(masks.device.type, enabled=False):
        flat = masks.float().flatten(2)  # (N, P, h w)
        products = flat @ flat.transpose(1, 2)  # (N, P, P)
    images, patterns, _ = products.shape
    pairs = patterns * (patterns - 1) / 2
    # Above the diagonal: each pair once, and no mask with itself.
    return products.triu(diagonal=1).sum() / (images * pairs)


def centre_cluster_loss(vectors: Tensor, labels: Tensor, margin: float) -> Tensor:
    """Draws images to their person's centre, and centres apart.

    ``mean_i |f_i - c_y(i)| + mean_j mean_{k != j} [m - |c_j - c_k|]+`` over images i and persons j, k. A centre is the mean of
    all vectors of a person in the batch, of both modalities.

    Args:
        vectors: (N, D), before the neck, not normalised.
        labels: (N,) identities; there are at least two.
        margin: m, in Euclidean distance.

    Returns:
        A scalar >= 0; nan where there is no other person.
    """
    pairs = pairs_by_identity(labels, labels)
    with torch.autocast(vectors.device.type, enabled=False):
        same = pairs.same.to(vectors.dtype)  # (N, N)
        share = 1 / same.sum(dim=1)  # (N,): the rows of a person together weigh 1
        centres = (same @ vectors) * share[:, None]  # (N, D): of each image's person
        to_own = torch.linalg.vector_norm(vectors - centres, dim=1).mean()
        too_near = F.relu(margin - exact_distances(centres, centres)).masked_fill(pairs.same, 0.0)  # (N, N)
        persons = share.sum()
        # each pair of persons stands there once for each pair of their images
        between = share @ too_near @ share / (persons * (persons - 1)).clamp(min=1)
    return nan_without_pairs(to_own + between, pairs.complete)


def mutual_loss(logits: Tensor, mean_logits: Tensor) -> Tensor:
    """KL(own prediction || mean classifier's prediction), mean over images; its gradient is that of both.

    Args:
        logits: (N, classes) of the own modality's classifier.
        mean_logits: (N, classes) of the other modality's mean classifier on the same features.

    Returns:
        A scalar >= 0.
    """
    own = logits.float().log_softmax(dim=1)
    mean = mean_logits.float().log_softmax(dim=1)
    # kl_div(input, target) is KL(target || input): the mean classifier's prediction comes first.
    return F.kl_div(mean, own, reduction="batchmean", log_target=True)
