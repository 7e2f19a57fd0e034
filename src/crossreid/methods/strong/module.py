"""A plain strong ResNet-50: the bag of tricks (Luo et al., CVPR Workshops 2019) on images of both modalities.

Last stride 1, batch-norm neck, label smoothing, batch-hard triplets over all images, flip, pad and crop, random erasing,
warm-up. Nothing in it knows of two modalities.

Example:
    ``python -m crossreid.train model=strong``
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from crossreid.data.records import Modality
from crossreid.losses import euclidean_triplet
from crossreid.methods.recognition import RankingConfig, RecognitionModule, Views
from crossreid.nn.feature_block import Described
from crossreid.nn.recognition import OneStreamNetwork


@dataclass
class StrongConfig(RankingConfig):
    """Settings of the strong baseline."""


class Strong(RecognitionModule[StrongConfig]):
    """One network, one player."""

    CONFIG = StrongConfig
    network: OneStreamNetwork

    def __init__(self, config: StrongConfig, num_identities: int, seed: int) -> None:
        super().__init__(config, num_identities, seed)
        self.network = OneStreamNetwork(config.backbone, num_identities, "bnneck")

    def encoder(self) -> nn.Module:
        """The ResNet."""
        return self.network.encoder

    def describe(self, images: Mapping[Modality, Tensor]) -> Described:
        """All images as one batch."""
        described: Described = self.network(torch.cat(list(images.values())))
        return described

    def ranking(self, described: Described, views: Views) -> Tensor:
        """Batch-hard triplets on the vectors before the neck, whatever the modality."""
        vectors, labels = described.vector, views.labels
        return euclidean_triplet(vectors, vectors, labels, labels, self.config.margin)
