"""Deep zero-padding (Wu et al., RGB-Infrared Cross-Modality Person Re-Identification, ICCV 2017, sec. 4.3).

Each image is one grey channel; a visible one is put into the first of two input channels and an infrared one into the
second, and the other channel is zero. One network can so learn nodes of its own for each modality.

Example:
    ``python -m crossreid.train model=zeropadding``
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from crossreid.data.records import Modality
from crossreid.data.transforms import to_grey
from crossreid.methods.recognition import RecognitionModule
from crossreid.methods.zeropadding.config import ZeroPaddingConfig
from crossreid.nn.feature_block import BlockOutput
from crossreid.nn.recognition import OneStreamNetwork

CHANNEL: dict[Modality, int] = {"visible": 0, "infrared": 1}


class ZeroPadding(RecognitionModule[ZeroPaddingConfig]):
    """One network, one player."""

    CONFIG = ZeroPaddingConfig
    network: OneStreamNetwork

    def __init__(self, config: ZeroPaddingConfig | Mapping[str, Any], num_identities: int, seed: int = 0) -> None:
        super().__init__(config, num_identities, seed)
        self.network = OneStreamNetwork(self.config.backbone, num_identities, self.config.neck)

    def encoder(self) -> nn.Module:
        """The ResNet."""
        return self.network.encoder

    def describe(self, images: Mapping[Modality, Tensor]) -> BlockOutput:
        """All images as one batch, padded."""
        padded = [self.padded(part, modality) for modality, part in images.items()]
        return self.network.prepared(torch.cat(padded))

    def padded(self, images: Tensor, modality: Modality) -> Tensor:
        """Images (N, 3, h, w) in [0, 1] -> normalised (N, 3, H, W), all channels zero but the modality's.

        The third channel of a three-channel ResNet is zero for both, so its weights take no part.
        """
        channel = CHANNEL[modality]
        grey = self.network.encoder.prepare(to_grey(images))
        # Padded after normalising, so that an empty channel is 0 where the first convolution sees it.
        padded = torch.zeros_like(grey)
        padded[:, channel] = grey[:, channel]
        return padded
