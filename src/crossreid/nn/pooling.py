"""Pooling of feature maps."""

from __future__ import annotations

import torch
from torch import Tensor


def generalised_mean(feature_map: Tensor, power: float = 3.0) -> Tensor:
    """GeM pooling (Radenovic et al., TPAMI 2018) with a fixed power, in float32: the cube overflows half precision.

    Args:
        feature_map: (B, C, h, w), not negative.
        power: 1 is average pooling, large powers tend to max pooling.

    Returns:
        ``(mean over positions of x^power + 1e-12)^(1/power)``, (B, C); the small number keeps the gradient of an all-zero
        channel finite.
    """
    with torch.autocast(feature_map.device.type, enabled=False):
        return (feature_map.float().pow(power).mean(dim=(2, 3)) + 1e-12).pow(1 / power)
