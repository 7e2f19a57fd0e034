"""One-stream network (Wu et al., RGB-Infrared Cross-Modality Person Re-Identification, ICCV 2017, sec. 4).

Images of both modalities, visible ones made grey, go through one ResNet that is trained by classification alone.

Example:
    ``python -m crossreid.train model=onestream``
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from crossreid.data.records import Modality
from crossreid.data.transforms import to_grey
from crossreid.methods.onestream.config import OneStreamConfig
from crossreid.methods.recognition import RecognitionModule
from crossreid.nn.feature_block import BlockOutput
from crossreid.nn.recognition import OneStreamNetwork


class OneStream(RecognitionModule[OneStreamConfig]):
    """One network, one player."""

    CONFIG = OneStreamConfig
    network: OneStreamNetwork

    def __init__(self, config: OneStreamConfig | Mapping[str, Any], num_identities: int, seed: int = 0) -> None:
        super().__init__(config, num_identities, seed)
        self.network = OneStreamNetwork(self.config.backbone, num_identities, self.config.neck)

    def encoder(self) -> nn.Module:
        """The ResNet."""
        return self.network.encoder

    def describe(self, images: Mapping[Modality, Tensor]) -> BlockOutput:
        """All images as one batch."""
        both = torch.cat(list(images.values()))
        if self.config.grey:
            both = to_grey(both)
        output: BlockOutput = self.network(both)
        return output
