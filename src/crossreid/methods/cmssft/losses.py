"""cm-SSFT's own losses: projection adversary, reconstruction (Eq. 15, 17), triplets (Eq. 3, 4).

All values are float32 whatever the training precision. The adversaries minimise :func:`projection_loss` and Eq. 14, which
is :func:`crossreid.losses.modality_loss`; the network subtracts what :mod:`crossreid.methods.cmssft.module` weighs of them.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from crossreid.data.records import MODALITIES, Modality
from crossreid.losses import euclidean_triplet

ByModality = dict[Modality, Tensor]


def within_modality(vectors: ByModality, pids: Tensor, margin: float) -> Tensor:
    """Eq. 3: batch-hard triplets inside each modality, the sum of two means; vectors (N, D), pids (N,)."""
    return torch.stack([euclidean_triplet(vectors[m], vectors[m], pids, pids, margin) for m in MODALITIES]).sum()


def across_modalities(vectors: ByModality, pids: Tensor, margin: float) -> Tensor:
    """Eq. 4: batch-hard triplets with anchors of one modality and the rest of the other, the sum of two means."""
    pairs = [(vectors["visible"], vectors["infrared"]), (vectors["infrared"], vectors["visible"])]
    return torch.stack([euclidean_triplet(one, other, pids, pids, margin) for one, other in pairs]).sum()


def projection_loss(guesses: ByModality, shared: ByModality, *, clip: float = 0.0) -> Tensor:
    """Eq. 15: L2 distance of Theta P and H, mean over the images of both modalities.

    Args:
        guesses: modality -> Theta P (N, D).
        shared: modality -> H (N, D).
        clip: largest error of an image that counts; beyond it an image has no gradient. 0 for no limit.
    """
    errors = torch.cat([(guesses[m].float() - shared[m].float()).norm(dim=1) for m in MODALITIES])
    return (errors.clamp(max=clip) if clip else errors).mean()


def reconstruction_loss(rebuilt: ByModality, images: ByModality) -> Tensor:
    """Eq. 17: mean squared error per element of normalised images (N, 3, h, w), mean over both modalities."""
    return torch.stack([F.mse_loss(rebuilt[m].float(), images[m].float()) for m in MODALITIES]).mean()
