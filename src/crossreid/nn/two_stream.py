"""A ResNet whose first layers have a copy for each modality and whose remaining stages are shared."""

from __future__ import annotations

from collections.abc import Mapping
from copy import deepcopy
from typing import NamedTuple

import torch
from torch import Tensor, nn

from crossreid.nn.backbones import BODY, PretrainedParts, ResNetEncoder, gather_parts
from crossreid.settings.networks import BackboneConfig

STEM_LAYERS = 4  # convolution, batch norm, ReLU, max-pool


class StageMaps(NamedTuple):
    """Maps of the last two stages, not negative, N images.

    Attributes:
        layer3: (N, C / 2, H/16, W/16), the paper's conv4.
        layer4: (N, C, H/16, W/16), the paper's conv5.
    """

    layer3: Tensor
    layer4: Tensor


class TwoStreamResNet(PretrainedParts):
    """Images of both modalities in [0, 1] -> :class:`StageMaps`; resizes and normalises inside.

    Args:
        config: the ResNet; both copies start from the same weights.
        specific_stages: residual stages that have a copy for each modality besides the stem, 0 to 2.

    Attributes:
        channels: C, 512 for ResNet-18 and -34, 2048 for ResNet-50 and deeper.
    """

    def __init__(self, config: BackboneConfig, specific_stages: int = 0) -> None:
        super().__init__()
        encoder = ResNetEncoder(config)
        split = STEM_LAYERS + specific_stages
        self.channels = encoder.channels
        self.prepare = encoder.prepare
        visible = encoder.body[:split]
        infrared = deepcopy(visible)
        # Copies of one part of one network, and not parts of three networks: all parameters are used.
        self.streams = nn.ModuleDict({"visible": visible, "infrared": infrared})
        self.middle = encoder.body[split:-1]
        self.last = encoder.body[-1]
        self.backbone = config
        self.pretrained_parts = gather_parts(
            zip(BODY, encoder.body, strict=True), zip(BODY[:split], infrared, strict=True)
        )

    def forward(self, images: Mapping[str, Tensor]) -> StageMaps:
        """``visible`` and ``infrared`` images (B, 3, h, w), or one of them -> maps, rows in the order given.

        The shared stages see all rows as one batch.
        """
        layer3 = self.middle(self.stems(images))
        return StageMaps(layer3, self.last(layer3))

    def stems(self, images: Mapping[str, Tensor]) -> Tensor:
        """Images as of :meth:`forward` -> what the layers with a copy for each modality make of them, rows in that order."""
        stream_maps = []
        # Each stem's batch norms see their own modality alone.
        for modality, part in images.items():
            stream_maps.append(self.streams[modality](self.prepare(part)))
        return torch.cat(stream_maps)

    def leave_out_last_stage(self) -> None:
        """From here on the last stage has no weights and gives back what it gets."""
        self.last = nn.Identity()
        del self.pretrained_parts["layer4"]
