"""Heat maps over images: where a network looked (Grad-CAM: Selvaraju et al., ICCV 2017)."""

from __future__ import annotations

import matplotlib
import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor

_STRENGTH = 0.55
"""Share of the colours of a heat map where it is hottest."""


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
    weights = gradients.mean(dim=(2, 3), keepdim=True)
    heat = F.relu((weights * maps).sum(dim=1, keepdim=True))
    heat = F.interpolate(heat, size=size, mode="bilinear", align_corners=False)[:, 0]
    largest = heat.amax(dim=(1, 2), keepdim=True)
    return torch.where(largest > 0, heat / largest.clamp(min=1e-30), torch.zeros_like(heat))


def laid_over(pixels: npt.NDArray[np.uint8], heat: npt.NDArray[np.floating]) -> npt.NDArray[np.uint8]:
    """An image (H, W, 3) with heat (H, W) in [0, 1] laid over it, the stronger the hotter."""
    colours = np.asarray(matplotlib.colormaps["inferno"](heat))[..., :3] * 255
    share = _STRENGTH * np.asarray(heat)[..., None]
    mixed = (1 - share) * pixels + share * colours
    return np.asarray(np.rint(mixed), dtype=np.uint8)
