"""Pooling of feature maps."""

from __future__ import annotations

import torch
from torch import Tensor

POWER = 3


def generalised_mean(feature_map: Tensor) -> Tensor:
    """GeM pooling (Radenovic et al., TPAMI 2018) with a fixed power, in float32: the cube overflows half precision.

    Args:
        feature_map: (B, C, h, w), not negative.

    Returns:
        ``(mean over positions of x^3 + 1e-12)^(1/3)``, (B, C), between mean and maximum; the small number keeps the
        gradient of an all-zero channel finite.
    """
    with torch.autocast(feature_map.device.type, enabled=False):
        return (feature_map.float().pow(POWER).mean(dim=(2, 3)) + 1e-12).pow(1 / POWER)
