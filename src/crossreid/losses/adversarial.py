"""Adversarial losses."""

import torch
import torch.nn.functional as F
from torch import Tensor


def least_squares(logits: Tensor, target: float) -> Tensor:
    """Least-squares GAN loss (Mao et al., ICCV 2017): mean of (logits - target)^2 over batch and patches.

    Args:
        logits: discriminator output of any shape, without sigmoid.
        target: 1 for what should count as real, 0 for fake.

    Returns:
        A scalar >= 0, zero where every logit equals the target.
    """
    error = logits.float() - target
    return error.square().mean()


def binary_cross_entropy(logits: Tensor, target: float) -> Tensor:
    """Cross-entropy GAN loss (Goodfellow et al., NeurIPS 2014): mean over batch and patches.

    With target 1 on fakes this is the generator's non-saturating loss, ``-log D(fake)``.

    Args:
        logits: discriminator output of any shape, without sigmoid.
        target: 1 for what should count as real, 0 for fake.

    Returns:
        A scalar > 0.
    """
    # Of the logits' shape, whatever the image size: one target for every patch.
    targets = torch.full_like(logits, target).float()
    return F.binary_cross_entropy_with_logits(logits.float(), targets)
