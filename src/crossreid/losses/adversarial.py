"""Adversarial losses."""

from torch import Tensor


def least_squares(logits: Tensor, target: float) -> Tensor:
    """Least-squares GAN loss (Mao et al., ICCV 2017): mean of (logits - target)^2 over batch and patches.

    Args:
        logits: discriminator output of any shape, without sigmoid.
        target: 1 for what should count as real, 0 for fake.

    Returns:
        A scalar >= 0, zero where every logit equals the target.
    """
    return (logits.float() - target).square().mean()
