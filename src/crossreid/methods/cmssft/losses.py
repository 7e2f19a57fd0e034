"""cm-SSFT's own losses: triplets (Eq. 3, 4), projection adversary (Eq. 15), reconstruction (Eq. 17).

All values are float32 whatever the training precision. Classification (Eq. 2, 12) is
:func:`crossreid.losses.identity_loss`, modality adaptation (Eq. 14) :func:`crossreid.losses.modality_loss`. Weights and
signs (Eq. 18 to 20) stand in :mod:`crossreid.methods.cmssft.module`.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from crossreid.data.records import Modality
from crossreid.losses import euclidean_triplet

ByModality = dict[Modality, Tensor]


def within_modality(vectors: ByModality, pids: Tensor, margin: float) -> Tensor:
    """Eq. 3: batch-hard triplets inside each modality, the sum of two means; vectors (N, D), pids (N,).

    Means, though the paper prints sums: only then is 0.5 of two terms (Eq. 18) as heavy as the classification.
    """
    visible = euclidean_triplet(vectors["visible"], vectors["visible"], pids, pids, margin)
    infrared = euclidean_triplet(vectors["infrared"], vectors["infrared"], pids, pids, margin)
    return torch.stack([visible, infrared]).sum()


def across_modalities(vectors: ByModality, pids: Tensor, margin: float) -> Tensor:
    """Eq. 4: batch-hard triplets with anchors of one modality and the rest of the other, the sum of two means."""
    visible_anchors = euclidean_triplet(vectors["visible"], vectors["infrared"], pids, pids, margin)
    infrared_anchors = euclidean_triplet(vectors["infrared"], vectors["visible"], pids, pids, margin)
    return torch.stack([visible_anchors, infrared_anchors]).sum()


def projection_loss(guesses: ByModality, shared: ByModality, *, clip: float = 0.0) -> Tensor:
    """Eq. 15: L2 distance of Theta P and H, mean over the images of both modalities.

    Args:
        guesses: modality -> Theta P (N, D), what the specific feature says of the shared one.
        shared: modality -> H (N, D).
        clip: largest error of an image that counts; beyond it an image has no gradient. 0 for no limit.
    """
    visible_errors = (guesses["visible"].float() - shared["visible"].float()).norm(dim=1)  # (N,)
    infrared_errors = (guesses["infrared"].float() - shared["infrared"].float()).norm(dim=1)  # (N,)
    errors = torch.cat([visible_errors, infrared_errors])
    if clip:
        errors = errors.clamp(max=clip)
    return errors.mean()


def reconstruction_loss(reconstructions: ByModality, images: ByModality) -> Tensor:
    """Eq. 17: mean squared error per element of normalised images (N, 3, h, w), mean over both modalities."""
    visible = F.mse_loss(reconstructions["visible"].float(), images["visible"].float())
    infrared = F.mse_loss(reconstructions["infrared"].float(), images["infrared"].float())
    return torch.stack([visible, infrared]).mean()
