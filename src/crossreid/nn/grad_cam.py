"""Grad-CAM (Selvaraju et al., ICCV 2017): which places of a feature map raise a score."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


def grad_cam(maps: Tensor, gradients: Tensor, size: tuple[int, int]) -> Tensor:
    """How much each place of an image raised a score.

    Args:
        maps: (B, C, h, w) feature maps.
        gradients: (B, C, h, w) of the score, by the maps.
        size: height and width of the result.

    Returns:
        (B, H, W) in [0, 1]: the maps' sum weighted by their channels' mean gradients, where it is positive (Eq. 1 and 2),
        divided by its largest value; 0 everywhere where nothing raised the score.
    """
    weights = gradients.mean(dim=(2, 3), keepdim=True)  # Eq. 1, (B, C, 1, 1)
    # Eq. 2; what lowers the score is left out by the ReLU
    heat = F.relu((weights * maps).sum(dim=1, keepdim=True))
    heat = F.interpolate(heat, size=size, mode="bilinear", align_corners=False)[:, 0]
    largest = heat.amax(dim=(1, 2), keepdim=True)
    return torch.where(largest > 0, heat / largest.clamp(min=1e-30), torch.zeros_like(heat))
