"""AlignGAN's own network: a discriminator that looks at feature maps alone.

The pixel generators and image discriminators are CycleGAN's (:mod:`crossreid.nn.gan`), the joint discriminator is shared
with TS-GAN (:mod:`crossreid.nn.joint_discriminator`), the feature generator with the baseline
(:mod:`crossreid.nn.feature_generator`).
"""

from __future__ import annotations

from torch import Tensor, nn

from crossreid.nn.gan import ConvStack, init_gan_weights
from crossreid.nn.joint_discriminator import MapReduction


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
        # Reduction and resizing come first, as in Dj, so that both see maps in the same way.
        self.reduce = MapReduction(map_channels, reduced)
        self.body = ConvStack(reduced, channels, layers, bare_first=False)
        self.out = nn.Conv2d(self.body.out_channels, 1, 3, padding=1, bias=False)
        init_gan_weights(self)

    def forward(self, feature_map: Tensor) -> Tensor:
        """Maps (B, C, h, w) -> patch logits (B, 1, h', w')."""
        logits: Tensor = self.out(self.body(self.reduce(feature_map, self.size)))
        return logits
