"""AlignGAN's feature generator Gf: encoder, classifier and embedder, with its optimizer."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

from torch import Tensor, nn
from torch.optim import SGD, Adam, Optimizer
from torch.optim.lr_scheduler import MultiStepLR

from crossreid.errors import ConfigError
from crossreid.nn.backbones import BackboneConfig, ResNetEncoder, pool
from crossreid.nn.heads import CLASSIFIER_ORDERS, BottleneckClassifier, Embedder


@dataclass
class HeadConfig:
    """Classifier and embedder.

    Attributes:
        order: layers of the classifier as ``paper`` prints them or as the ``official`` code has them.
        dropout: probability in the classifier, in [0, 1].
        hidden: width of the classifier's hidden layer.
        embedding: D, dimension of the triplet embedding.
        centre: batch-normalise V before the embedder, for training from random weights.
    """

    order: str = "official"
    dropout: float = 0.5
    hidden: int = 256
    embedding: int = 256
    centre: bool = False

    def check(self) -> None:
        """Raise :class:`ConfigError` for an unknown order or numbers that cannot be."""
        if self.order not in CLASSIFIER_ORDERS or not 0 <= self.dropout < 1 or min(self.hidden, self.embedding) < 1:
            raise ConfigError(
                f"model.heads takes order {' or '.join(CLASSIFIER_ORDERS)}, dropout in [0, 1) and positive widths, not "
                f"{self.order}, {self.dropout}, {self.hidden} and {self.embedding}."
            )


@dataclass
class FeatureOptimizerConfig:
    """Optimizer of an encoder and its heads.

    Attributes:
        kind: ``sgd`` (the paper's), or ``adam``, which learns faster where there are no pre-trained weights.
        encoder_lr: learning rate of the encoder.
        head_lr: learning rate of classifier and embedder.
        momentum: of SGD.
        nesterov: Nesterov's momentum of SGD.
        weight_decay: L2 weight.
    """

    kind: str = "sgd"
    encoder_lr: float = 0.02
    head_lr: float = 0.2
    momentum: float = 0.9
    nesterov: bool = True
    weight_decay: float = 5e-4

    def check(self) -> None:
        """Raise :class:`ConfigError` for an unknown kind."""
        if self.kind not in ("sgd", "adam"):
            raise ConfigError(f"The encoder's optimizer is 'sgd' or 'adam', not '{self.kind}'.")

    def make(self, encoder: Iterable[nn.Parameter], heads: Iterable[nn.Parameter]) -> Optimizer:
        """One rate for the encoder's parameters and one for those of the heads."""
        groups = [{"params": list(encoder), "lr": self.encoder_lr}, {"params": list(heads), "lr": self.head_lr}]
        if self.kind == "adam":
            return Adam(groups, weight_decay=self.weight_decay)
        return SGD(groups, momentum=self.momentum, nesterov=self.nesterov, weight_decay=self.weight_decay)


@dataclass
class DecayConfig:
    """Learning-rate decay: every rate times ``factor`` once ``after`` iterations of the last phase are done."""

    after: int = 5000
    factor: float = 0.1

    def scheduler(self, optimizer: Optimizer) -> MultiStepLR:
        """A schedule to be stepped once an iteration."""
        return MultiStepLR(optimizer, milestones=[self.after], gamma=self.factor)


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
        self.encoder = ResNetEncoder(backbone)
        channels = self.encoder.channels
        self.classifier = BottleneckClassifier(
            channels, classes, hidden=heads.hidden, dropout=heads.dropout, order=heads.order
        )
        self.embedder = Embedder(channels, heads.embedding, centre=heads.centre)

    def forward(self, images: Tensor) -> Features:
        """Images (B, 3, h, w) in [0, 1] -> map, vector, logits, embedding."""
        feature_map = self.encoder(images)
        vector = pool(feature_map)
        return Features(feature_map, vector, self.classifier(vector), self.embedder(vector))

    def vectors(self, images: Tensor) -> Tensor:
        """Images (B, 3, h, w) in [0, 1] -> V (B, C), without the heads."""
        return pool(self.encoder(images))

    def make_optimizer(self, config: FeatureOptimizerConfig) -> Optimizer:
        """One rate for the encoder and one for the heads."""
        heads = [*self.classifier.parameters(), *self.embedder.parameters()]
        return config.make(self.encoder.parameters(), heads)
