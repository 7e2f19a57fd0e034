"""One-stream network (Wu et al., RGB-Infrared Cross-Modality Person Re-Identification, ICCV 2017, sec. 4).

Images of both modalities, visible ones made grey, go through one ResNet that is trained by classification alone.

Example:
    ``python -m crossreid.train model=onestream``
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from crossreid.data.records import Modality
from crossreid.data.transforms import to_grey
from crossreid.methods.recognition import ClassificationConfig, RecognitionModule
from crossreid.nn.feature_block import Described
from crossreid.nn.recognition import OneStreamNetwork


@dataclass
class OneStreamConfig(ClassificationConfig):
    """Settings of the one-stream network.

    Attributes:
        grey: visible images are made grey.
    """

    grey: bool = True


class OneStream(RecognitionModule[OneStreamConfig]):
    """One network, one player."""

    CONFIG = OneStreamConfig
    network: OneStreamNetwork

    def __init__(self, config: OneStreamConfig, num_identities: int, seed: int) -> None:
        super().__init__(config, num_identities, seed)
        self.network = OneStreamNetwork(config.backbone, num_identities, config.neck)

    def encoder(self) -> nn.Module:
        """The ResNet."""
        return self.network.encoder

    def describe(self, images: Mapping[Modality, Tensor]) -> Described:
        """All images as one batch."""
        both = torch.cat(list(images.values()))
        described: Described = self.network(to_grey(both) if self.config.grey else both)
        return described
