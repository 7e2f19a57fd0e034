"""LbA's network: a two-stream ResNet, GeM pooling, and a neck and classifier that only training uses."""

from __future__ import annotations

from torch import Tensor, nn

from crossreid.nn.neck import BatchNormNeck
from crossreid.nn.pooling import generalised_mean
from crossreid.nn.two_stream import StageMaps, TwoStreamResNet
from crossreid.settings.networks import BackboneConfig


class LbANetwork(nn.Module):
    """Images (B, 3, h, w) in [0, 1] -> maps, vectors and identity logits.

    Args:
        backbone: the two-stream ResNet.
        specific_stages: residual stages with a copy for each modality besides the stem.
        classes: number of training identities.
    """

    def __init__(self, backbone: BackboneConfig, specific_stages: int, classes: int) -> None:
        super().__init__()
        self.encoder = TwoStreamResNet(backbone, specific_stages)
        channels = self.encoder.channels
        # One classifier for images and reconstructions of both modalities (sec. 3.3), initialised as in the authors' code.
        self.neck = BatchNormNeck(channels)
        nn.init.normal_(self.neck.weight, 1.0, 0.01)
        self.classifier = nn.Linear(channels, classes, bias=False)
        nn.init.normal_(self.classifier.weight, 0.0, 0.001)

    def maps(self, visible: Tensor, infrared: Tensor) -> StageMaps:
        """Images (B, 3, h, w) of each modality -> maps (2 B, ...), visible rows first."""
        maps: StageMaps = self.encoder({"visible": visible, "infrared": infrared})
        return maps

    def vectors(self, images: Tensor, modality: str) -> Tensor:
        """Images (B, 3, h, w) of one modality -> GeM vectors (B, C) before the neck, what retrieval uses."""
        return generalised_mean(self.encoder({modality: images}).layer4)

    def logits(self, layer4: Tensor) -> Tensor:
        """Maps of the last stage (N, C, h, w), of images or reconstructed -> identity logits (N, classes)."""
        return self.classify(generalised_mean(layer4))

    def classify(self, vectors: Tensor) -> Tensor:
        """GeM vectors (N, C) -> identity logits (N, classes)."""
        logits: Tensor = self.classifier(self.neck(vectors))
        return logits
