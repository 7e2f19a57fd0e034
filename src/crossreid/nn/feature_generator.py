"""AlignGAN's feature generator Gf: encoder, classifier and embedder, with its optimizer."""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor, nn
from torch.optim import Optimizer

from crossreid.nn.backbones import make_encoder, pool
from crossreid.nn.heads import BottleneckClassifier, Embedder
from crossreid.nn.optimization import make_feature_optimizer
from crossreid.settings.networks import BackboneConfig, HeadConfig
from crossreid.settings.optimization import FeatureOptimizerConfig


class Features(NamedTuple):
    """What the feature generator makes of B images.

    Attributes:
        map: M, (B, C, h, w), the last stage's map.
        vector: V, (B, C), its average.
        logits: (B, classes).
        embedding: (B, D), for the triplet loss.
    """

    map: Tensor
    vector: Tensor
    logits: Tensor
    embedding: Tensor


class FeatureGenerator(nn.Module):
    """Images (B, 3, h, w) in [0, 1] -> :class:`Features`.

    Args:
        backbone: the encoder.
        heads: classifier and embedder.
        classes: number of training identities.
    """

    def __init__(self, backbone: BackboneConfig, heads: HeadConfig, classes: int) -> None:
        super().__init__()
        self.encoder = make_encoder(backbone)
        channels = self.encoder.channels
        self.classifier = BottleneckClassifier(
            channels, classes, hidden=heads.hidden, dropout=heads.dropout, order=heads.order
        )
        self.embedder = Embedder(channels, heads.embedding, centre=heads.centre)

    def forward(self, images: Tensor) -> Features:
        """Images (B, 3, h, w) in [0, 1] -> map, vector, logits, embedding."""
        feature_map = self.encoder(images)  # M, which discriminators look at
        vector = pool(feature_map)  # V, which retrieval compares: neither head takes part in that
        return Features(feature_map, vector, self.classifier(vector), self.embedder(vector))

    def vectors(self, images: Tensor) -> Tensor:
        """Images (B, 3, h, w) in [0, 1] -> V (B, C), without the heads."""
        return pool(self.encoder(images))

    def make_optimizer(self, config: FeatureOptimizerConfig) -> Optimizer:
        """One rate for the encoder and one for the heads."""
        heads = [*self.classifier.parameters(), *self.embedder.parameters()]
        return make_feature_optimizer(config, self.encoder.parameters(), heads)
