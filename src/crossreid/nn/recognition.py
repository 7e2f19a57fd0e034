"""Recognition networks of the baselines: an encoder, pooling, and a feature block."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from torch import Tensor, nn

from crossreid.nn.backbones import make_encoder, pool
from crossreid.nn.feature_block import BlockOutput, FeatureBlock
from crossreid.nn.two_stream import TwoStreamResNet
from crossreid.settings.networks import BackboneConfig

Pooling = Callable[[Tensor], Tensor]


class OneStreamNetwork(nn.Module):
    """Images (N, 3, h, w) in [0, 1] of any modality -> :class:`BlockOutput`, all through one encoder.

    Args:
        backbone: the encoder.
        classes: number of training identities.
        neck: ``bnneck``, or ``none`` for a classifier on the pooled vector.
        pooling: (N, C, h, w) -> (N, C).
    """

    def __init__(self, backbone: BackboneConfig, classes: int, neck: str, pooling: Pooling = pool) -> None:
        super().__init__()
        self.encoder = make_encoder(backbone)
        self.pooling = pooling
        self.block = FeatureBlock(self.encoder.channels, classes, neck, self.encoder.channels)

    def forward(self, images: Tensor) -> BlockOutput:
        """Images (N, 3, h, w) in [0, 1] -> vectors, features, logits."""
        return self.prepared(self.encoder.prepare(images))

    def prepared(self, images: Tensor) -> BlockOutput:
        """As :meth:`forward`, for images that are resized and normalised (N, 3, H, W)."""
        output: BlockOutput = self.block(self.pooled(images))
        return output

    def pooled(self, images: Tensor) -> Tensor:
        """Resized and normalised images (N, 3, H, W) -> what the block takes, pooled maps (N, C)."""
        return self.pooling(self.encoder.body(images))


class TwoStreamNetwork(nn.Module):
    """Images of both modalities in [0, 1] -> :class:`BlockOutput`: first layers of their own, the others shared.

    Args:
        backbone: the ResNet.
        classes: number of training identities.
        neck: as in :class:`OneStreamNetwork`.
        pooling: as in :class:`OneStreamNetwork`.
        specific_stages: residual stages that have a copy for each modality besides the stem, 0 to 2.
    """

    def __init__(
        self, backbone: BackboneConfig, classes: int, neck: str, pooling: Pooling = pool, specific_stages: int = 0
    ) -> None:
        super().__init__()
        self.encoder = TwoStreamResNet(backbone, specific_stages)
        self.pooling = pooling
        # Behind the shared stages, so that neck and classifier are one for both modalities.
        self.block = FeatureBlock(self.encoder.channels, classes, neck, self.encoder.channels)

    def forward(self, images: Mapping[str, Tensor]) -> BlockOutput:
        """``visible`` and ``infrared`` images (N, 3, h, w), or one of them; rows in the order given."""
        output: BlockOutput = self.block(self.pooling(self.encoder(images).layer4))
        return output
