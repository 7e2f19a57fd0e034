"""Discriminators of (image, feature map) pairs, as AlignGAN introduced them (Wang et al., ICCV 2019) and TS-GAN took over."""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from crossreid.nn.gan import ConvStack, init_gan_weights, to_gan_range


class ImageMapPair(NamedTuple):
    """Images (B, 3, H, W) in [0, 1] and feature maps (B, C, h, w) of the same rows."""

    images: Tensor
    maps: Tensor

    def detach(self) -> ImageMapPair:
        """Without gradients."""
        return ImageMapPair(self.images.detach(), self.maps.detach())


class MapReduction(nn.Module):
    """Feature map (B, C, h, w) -> (B, reduced, H, W): 1x1 convolution, LeakyReLU(0.2), bilinear resize."""

    def __init__(self, channels: int, reduced: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, reduced, 1)

    def forward(self, feature_map: Tensor, size: torch.Size | tuple[int, int]) -> Tensor:
        """Maps (B, C, h, w) and a height and width -> (B, reduced, height, width)."""
        # Reduced before it is resized, so that few channels are resized.
        reduced = F.leaky_relu(self.conv(feature_map), 0.2)
        return F.interpolate(reduced, size=tuple(size), mode="bilinear", align_corners=False)


class JointDiscriminator(nn.Module):
    """Dj: (image (B, 3, H, W) in [0, 1], feature map (B, C, h, w)) -> patch logits (B, 1, h', w').

    Image branch of strided convolutions, feature branch resized to its map, channels concatenated, further convolutions,
    one output convolution (AlignGAN, Fig. 3; the reduction and the resize are its official code's). Any image size works:
    the feature branch follows the image branch.

    Args:
        map_channels: C.
        channels: width of the first layer of the image branch.
        image_layers: strided convolutions before joining.
        joint_layers: strided convolutions after it; 0 for one 3x3 convolution that keeps the map's size.
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
        self.reduce = MapReduction(map_channels, reduced)
        width = self.image.out_channels
        joined = width + reduced
        self.joint: nn.Sequential
        if joint_layers:  # AlignGAN; without strided layers after the joining, TS-GAN
            self.joint = ConvStack(joined, 2 * width, joint_layers, bare_first=False)
            width = self.joint.out_channels
        else:
            keep = nn.Conv2d(joined, width, 3, padding=1)
            self.joint = nn.Sequential(keep, nn.InstanceNorm2d(width), nn.LeakyReLU(0.2))
        self.out = nn.Conv2d(width, 1, 3, padding=1, bias=False)
        init_gan_weights(self)

    def forward(self, images: Tensor, feature_map: Tensor) -> Tensor:
        """Images (B, 3, H, W) in [0, 1] and maps (B, C, h, w) -> patch logits (B, 1, h', w')."""
        image_map = self.image(to_gan_range(images))
        reduced_map = self.reduce(feature_map, image_map.shape[-2:])
        logits: Tensor = self.out(self.joint(torch.cat([image_map, reduced_map], dim=1)))
        return logits
