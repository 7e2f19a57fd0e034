"""Distances between images."""

from torch import Tensor


def pixel_l1(images: Tensor, targets: Tensor) -> Tensor:
    """Mean absolute difference in the range [-1, 1] that generators work in.

    Args:
        images: (B, 3, H, W) in [0, 1].
        targets: as ``images``.

    Returns:
        A scalar in [0, 2]: twice the difference in [0, 1], so that published weights keep their meaning.
    """
    return 2 * (images.float() - targets.float()).abs().mean()
