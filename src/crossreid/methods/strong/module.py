"""A plain strong ResNet-50: the bag of tricks (Luo et al., CVPR Workshops 2019) on images of both modalities.

Last stride 1, batch-norm neck, label smoothing, batch-hard triplets over all images, flip, pad and crop, random erasing,
warm-up. Nothing in it knows of two modalities.

Example:
    ``python -m crossreid.train model=strong``
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from crossreid.data.records import Modality
from crossreid.losses import euclidean_triplet
from crossreid.methods.recognition import RecognitionModule, Views
from crossreid.methods.strong.config import StrongConfig
from crossreid.nn.feature_block import BlockOutput
from crossreid.nn.recognition import OneStreamNetwork


class Strong(RecognitionModule[StrongConfig]):
    """One network, one player."""

    CONFIG = StrongConfig
    network: OneStreamNetwork

    def __init__(self, config: StrongConfig | Mapping[str, Any], num_identities: int, seed: int = 0) -> None:
        super().__init__(config, num_identities, seed)
        self.network = OneStreamNetwork(self.config.backbone, num_identities, "bnneck")

    def encoder(self) -> nn.Module:
        """The ResNet."""
        return self.network.encoder

    def describe(self, images: Mapping[Modality, Tensor]) -> BlockOutput:
        """All images as one batch."""
        output: BlockOutput = self.network(torch.cat(list(images.values())))
        return output

    def ranking(self, output: BlockOutput, views: Views) -> Tensor:
        """Batch-hard triplets on the vectors before the neck, whatever the modality."""
        vectors = output.vector
        labels = views.labels
        return euclidean_triplet(vectors, vectors, labels, labels, self.config.margin)
