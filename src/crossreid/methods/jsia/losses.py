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
    loss_real = acceptance(real)  # the same target of 1 that the generator wants for its fakes
    each_scale = [least_squares(scale, 0.0) for scale in fake]
    loss_fake = torch.stack(each_scale).sum()
    return loss_real + loss_fake


def modality_confusion(visible: Tensor, infrared: Tensor) -> Tensor:
    """The encoder's side of the degraded set-level alignment: the modality discriminator can tell nothing (0.5)."""
    return least_squares(visible, 0.5) + least_squares(infrared, 0.5)


def modality_discrimination(visible: Tensor, infrared: Tensor) -> Tensor:
    """The discriminator's side: visible to 1, infrared to 0."""
    return least_squares(visible, 1.0) + least_squares(infrared, 0.0)


def divergence(p_logits: Tensor, q_logits: Tensor) -> Tensor:
    """KL(p || q) of softmax predictions, mean over the batch; both are logits (B, classes)."""
    log_p = F.log_softmax(p_logits.float(), dim=1)
    log_q = F.log_softmax(q_logits.float(), dim=1)
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
    # In float32: half precision rounds 1e-8 to 0.
    ratio = p / (q + GUARD)
    return (p * (GUARD + ratio).log()).sum(1).mean()


def alignment(real: Sequence[Sequence[Tensor]], pairs: Sequence[Sequence[Tensor]], kind: str) -> Tensor:
    """Eq. 11, and Eq. 12 where there are several regions: the predictions of ``pairs`` follow those of ``real``.

    The real side gets no gradient: a fake is to be recognised as the real image is, and not the other way round. Degraded
    LR calls it with real images on both sides.

    Args:
        real: logits of real visible and of real infrared images, each a (B, classes) for every region: the whole image
            (Eq. 11), or n stripes (Eq. 12).
        pairs: logits of the visible images that are paired with the real infrared ones (X_ir2rgb), and of the infrared
            ones that are paired with the real visible ones (X_rgb2ir).
        kind: ``printed`` is KL(infrared member || visible member); ``symmetric`` is both directions, summed;
            ``official`` the same of :func:`guarded_divergence`.

    Returns:
        A scalar >= 0: the sum over both lines of the equation, each the mean over regions and rows.
    """
    real_visible, real_infrared = real
    paired_visible, paired_infrared = pairs
    # Which member is the real one changes from line to line, and with it which one is held fast.
    first_line = []  # (x1, x2) in (X_ir, X_ir2rgb)
    for infrared, visible in zip(real_infrared, paired_visible, strict=True):
        first_line.append(pair_divergence(infrared.detach(), visible, kind))
    second_line = []  # (x1, x2) in (X_rgb2ir, X_rgb)
    for infrared, visible in zip(paired_infrared, real_visible, strict=True):
        second_line.append(pair_divergence(infrared, visible.detach(), kind))
    return torch.stack(first_line).mean() + torch.stack(second_line).mean()


def pair_divergence(infrared: Tensor, visible: Tensor, kind: str) -> Tensor:
    """KL(p1 || p2) of Eq. 11, whose p1 is the infrared member of the pair in both lines.

    Args:
        infrared: (B, classes) logits of the infrared members.
        visible: (B, classes) logits of the visible ones.
        kind: see :func:`alignment`.
    """
    if kind == "official":
        return guarded_divergence(infrared, visible) + guarded_divergence(visible, infrared)
    loss = divergence(infrared, visible)
    if kind == "symmetric":
        loss = loss + divergence(visible, infrared)
    return loss


class VariationTerms(NamedTuple):
    """The three terms of Eq. 10, scalars."""

    reconstruction: Tensor
    mean: Tensor
    deviation: Tensor


def variation_terms(maps: Tensor, reconstruction: Tensor, latent: Latent, norms: str) -> VariationTerms:
    """Eq. 10: V reconstructs maps from latents that look standard normal.

    Args:
        maps: M, (B, C, h, w).
        reconstruction: M^rcon = D_v(z), as ``maps``.
        latent: u and tau.
        norms: ``mean`` for the mean L1 of the map and mean squares of u and tau - 1; ``plain`` for the printed norms of
            each image, averaged over the batch.
    """
    difference = (maps.float() - reconstruction.float()).abs()
    u = latent.mean.float()
    tau_excess = latent.deviation.float() - 1  # a standard normal has u = 0 and tau = 1
    if norms == "mean":
        # the printed norms grow with the sizes of map and latent, so their weights would belong to one image size
        return VariationTerms(difference.mean(), u.square().mean(), tau_excess.square().mean())
    return VariationTerms(
        difference.sum(dim=(1, 2, 3)).mean(),  # || M - M^rcon ||_1
        u.flatten(1).norm(dim=1).mean(),  # || u ||_2
        tau_excess.flatten(1).norm(dim=1).mean(),  # || tau - 1 ||_2
    )


def mix(one: Tensor, two: Tensor, ratio: Tensor) -> Tensor:
    """Eq. 14: alpha * one + (1 - alpha) * two.

    Args:
        one: (B, ...).
        two: as ``one``.
        ratio: alpha, (B,) in [0, 1], one a row.
    """
    further_dimensions = [1] * (one.dim() - 1)
    alpha = ratio.view(-1, *further_dimensions)  # (B, 1, ..., 1)
    return alpha * one + (1 - alpha) * two


def unseen_divergence(logits: Tensor, target: Tensor, direction: str) -> Tensor:
    """Eq. 15: predictions of mixed images against the mix of two probabilities, mean over the batch.

    Args:
        logits: (B, classes) of the mixed images.
        target: (B, classes) probabilities, without gradient.
        direction: ``target_first`` is KL(target || prediction), cross-entropy up to a constant; ``printed`` is
            KL(prediction || target), with the target kept above 1e-8.
    """
    log_prediction = F.log_softmax(logits.float(), dim=1)
    # kl_div(input, target) is KL(target || input)
    if direction == "target_first":
        return F.kl_div(log_prediction, target.float(), reduction="batchmean")
    log_target = target.float().clamp_min(1e-8).log()  # a confident prediction has probabilities that round to 0
    return F.kl_div(log_target, log_prediction, reduction="batchmean", log_target=True)
