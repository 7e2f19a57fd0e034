"""JSIA-ReID's own losses: pure functions in float32. How its equations are read stands in this folder's README."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from crossreid.losses import least_squares
from crossreid.methods.jsia.generation import Latent

GUARD = 1e-8
"""What the authors' code adds to probabilities in a divergence."""


def feature_l1(features: Tensor, targets: Tensor) -> Tensor:
    """Mean absolute difference of contents or styles, a scalar; neither side is detached (authors' code)."""
    return (features.float() - targets.float()).abs().mean()


def acceptance(logits: Sequence[Tensor]) -> Tensor:
    """Eq. 7 for the generator: how far each scale is from taking fakes for real; sum over scales."""
    each_scale = [least_squares(scale, 1.0) for scale in logits]
    return torch.stack(each_scale).sum()


def rejection(real: Sequence[Tensor], fake: Sequence[Tensor]) -> Tensor:
    """Eq. 7 for the discriminator: real to 1, fake to 0; sum over scales, not halved; 0 for a perfect one."""
    real_loss = acceptance(real)
    each_scale = [least_squares(scale, 0.0) for scale in fake]
    return real_loss + torch.stack(each_scale).sum()


def modality_confusion(visible: Tensor, infrared: Tensor) -> Tensor:
    """The encoder's side of the degraded set-level alignment: the modality discriminator can tell nothing (0.5)."""
    return least_squares(visible, 0.5) + least_squares(infrared, 0.5)


def modality_discrimination(visible: Tensor, infrared: Tensor) -> Tensor:
    """The discriminator's side: visible to 1, infrared to 0."""
    return least_squares(visible, 1.0) + least_squares(infrared, 0.0)


def divergence(first: Tensor, second: Tensor) -> Tensor:
    """KL(p || q) of softmax predictions, mean over the batch.

    Args:
        first: (B, classes) logits of p.
        second: (B, classes) logits of q.
    """
    log_p = F.log_softmax(first.float(), dim=1)
    log_q = F.log_softmax(second.float(), dim=1)
    # kl_div(input, target) is KL(target || input): q comes first.
    return F.kl_div(log_q, log_p, reduction="batchmean", log_target=True)


def guarded_divergence(first: Tensor, second: Tensor) -> Tensor:
    """KL(p || q) as the authors compute it, mean over the batch: ``sum of p log(1e-8 + p / (q + 1e-8))``.

    Args:
        first: (B, classes) logits of p.
        second: (B, classes) logits of q.
    """
    p = first.float().softmax(1)
    q = second.float().softmax(1)
    ratio = p / (q + GUARD)
    return (p * (GUARD + ratio).log()).sum(1).mean()


def paired_divergence(fixed: Tensor, moved: Tensor, *, fixed_is_infrared: bool, kind: str) -> Tensor:
    """Eq. 11 for one kind of pair: the predictions of ``moved`` follow those of ``fixed``, which get no gradient.

    Args:
        fixed: (B, classes) logits of the real images.
        moved: (B, classes) logits of their pairs of the other modality.
        fixed_is_infrared: which member of the pair is infrared.
        kind: ``printed`` is KL(infrared member || visible member); ``symmetric`` is both directions, summed;
            ``official`` the same of :func:`guarded_divergence`.
    """
    if fixed_is_infrared:
        infrared = fixed.detach()
        visible = moved
    else:
        infrared = moved
        visible = fixed.detach()
    if kind == "official":
        return guarded_divergence(infrared, visible) + guarded_divergence(visible, infrared)
    loss = divergence(infrared, visible)
    if kind == "symmetric":
        loss = loss + divergence(visible, infrared)
    return loss


def alignment(fixed: Sequence[Sequence[Tensor]], moved: Sequence[Sequence[Tensor]], kind: str) -> Tensor:
    """Eq. 11, and Eq. 12 with one entry a stripe: the sum over both kinds of pair, mean over the entries.

    Args:
        fixed: logits (B, classes) of real visible and of real infrared images.
        moved: logits of visible images that follow the infrared ones, and of infrared ones that follow the visible ones.
        kind: see :func:`paired_divergence`.
    """
    fixed_visible, fixed_infrared = fixed
    moved_visible, moved_infrared = moved
    to_infrared_images = _mean_divergence(fixed_infrared, moved_visible, fixed_is_infrared=True, kind=kind)
    to_visible_images = _mean_divergence(fixed_visible, moved_infrared, fixed_is_infrared=False, kind=kind)
    return to_infrared_images + to_visible_images


def _mean_divergence(fixed: Sequence[Tensor], moved: Sequence[Tensor], *, fixed_is_infrared: bool, kind: str) -> Tensor:
    """:func:`paired_divergence`, mean over the entries."""
    each_entry = []
    for fixed_logits, moved_logits in zip(fixed, moved, strict=True):
        each_entry.append(paired_divergence(fixed_logits, moved_logits, fixed_is_infrared=fixed_is_infrared, kind=kind))
    return torch.stack(each_entry).mean()


class VariationTerms(NamedTuple):
    """The three terms of Eq. 10, scalars."""

    reconstruction: Tensor
    mean: Tensor
    deviation: Tensor


def variation_terms(maps: Tensor, rebuilt: Tensor, latent: Latent, norms: str) -> VariationTerms:
    """Eq. 10: V rebuilds maps from latents that look standard normal.

    Args:
        maps: M, (B, C, h, w).
        rebuilt: D_v(z), as ``maps``.
        latent: u and tau.
        norms: ``mean`` for the mean L1 of the map and mean squares of u and tau - 1; ``plain`` for the printed norms of
            each image, averaged over the batch.
    """
    difference = (maps.float() - rebuilt.float()).abs()
    mean = latent.mean.float()  # u
    excess = latent.deviation.float() - 1  # tau - 1
    if norms == "mean":
        return VariationTerms(difference.mean(), mean.square().mean(), excess.square().mean())
    return VariationTerms(
        difference.sum(dim=(1, 2, 3)).mean(),
        mean.flatten(1).norm(dim=1).mean(),
        excess.flatten(1).norm(dim=1).mean(),
    )


def mix(one: Tensor, two: Tensor, ratio: Tensor) -> Tensor:
    """Eq. 14: ratio * one + (1 - ratio) * two.

    Args:
        one: (B, ...).
        two: as ``one``.
        ratio: (B,) in [0, 1], one a row.
    """
    ones = [1] * (one.dim() - 1)
    ratio = ratio.view(-1, *ones)  # (B,) -> (B, 1, ..., 1)
    return ratio * one + (1 - ratio) * two


def unseen_divergence(logits: Tensor, target: Tensor, direction: str) -> Tensor:
    """Eq. 15: predictions of mixed images against the mix of two probabilities, mean over the batch.

    Args:
        logits: (B, classes) of the mixed images.
        target: (B, classes) probabilities, without gradient.
        direction: ``target_first`` is KL(target || prediction), cross-entropy up to a constant; ``printed`` is
            KL(prediction || target), with the target kept above 1e-8.
    """
    log_prediction = F.log_softmax(logits.float(), dim=1)
    if direction == "target_first":
        return F.kl_div(log_prediction, target.float(), reduction="batchmean")
    log_target = target.float().clamp_min(1e-8).log()  # a one-hot target has zeros
    return F.kl_div(log_target, log_prediction, reduction="batchmean", log_target=True)
