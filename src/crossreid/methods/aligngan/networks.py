"""AlignGAN's own networks: discriminators that look at feature maps.

The pixel generators and image discriminators are CycleGAN's (:mod:`crossreid.nn.gan`), the feature generator is shared
with the baseline (:mod:`crossreid.nn.feature_generator`).
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from crossreid.nn.gan import ConvStack, init_gan_weights, to_gan_range


class _MapReduction(nn.Module):
    """Feature map (B, C, h, w) -> (B, reduced, H, W): 1x1 convolution, LeakyReLU(0.2), bilinear resize."""

    def __init__(self, channels: int, reduced: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, reduced, 1)

    def forward(self, feature_map: Tensor, size: torch.Size | tuple[int, int]) -> Tensor:
        reduced = F.leaky_relu(self.conv(feature_map), 0.2)
        return F.interpolate(reduced, size=tuple(size), mode="bilinear", align_corners=False)


class JointDiscriminator(nn.Module):
    """Dj: (image (B, 3, H, W) in [0, 1], feature map (B, C, h, w)) -> patch logits (B, 1, h', w').

    Image branch of strided convolutions, feature branch resized to its map, channels concatenated, strided convolutions,
    one output convolution (Fig. 3; the reduction and the resize are the official code's). Any image size works: the
    feature branch follows the image branch.

    Args:
        map_channels: C.
        channels: width of the first layer of the image branch.
        image_layers: strided convolutions before joining.
        joint_layers: strided convolutions after it.
        reduced: channels of the feature branch.
    """

    def __init__(
        self,
        map_channels: int,
        channels: int = 64,
        image_layers: int = 3,
        joint_layers: int = 2,
        reduced: int = 64,
    ) -> None:
        super().__init__()
        self.image = ConvStack(3, channels, image_layers)
        self.reduce = _MapReduction(map_channels, reduced)
        joined = self.image.out_channels
        self.joint = ConvStack(joined + reduced, 2 * joined, joint_layers, bare_first=False)
        self.out = nn.Conv2d(self.joint.out_channels, 1, 3, padding=1, bias=False)
        init_gan_weights(self)

    def forward(self, images: Tensor, feature_map: Tensor) -> Tensor:
        """Images (B, 3, H, W) in [0, 1] and maps (B, C, h, w) -> patch logits (B, 1, h', w')."""
        seen = self.image(to_gan_range(images))
        logits: Tensor = self.out(self.joint(torch.cat([seen, self.reduce(feature_map, seen.shape[-2:])], dim=1)))
        return logits


class FeatureDiscriminator(nn.Module):
    """Feature map (B, C, h, w) -> patch logits: Dj without its image branch (Fig. 2a, 2b).

    Args:
        map_channels: C.
        size: height and width that maps are resized to, those of Dj's image branch.
        channels: width of the first strided convolution.
        layers: strided convolutions.
        reduced: channels after the 1x1 convolution.
    """

    def __init__(
        self, map_channels: int, size: tuple[int, int], channels: int = 512, layers: int = 2, reduced: int = 64
    ) -> None:
        super().__init__()
        self.size = size
        self.reduce = _MapReduction(map_channels, reduced)
        self.body = ConvStack(reduced, channels, layers, bare_first=False)
        self.out = nn.Conv2d(self.body.out_channels, 1, 3, padding=1, bias=False)
        init_gan_weights(self)

    def forward(self, feature_map: Tensor) -> Tensor:
        """Maps (B, C, h, w) -> patch logits (B, 1, h', w')."""
        logits: Tensor = self.out(self.body(self.reduce(feature_map, self.size)))
        return logits
