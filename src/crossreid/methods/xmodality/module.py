"""X modality (Li, Wei, Hong, Gong: Infrared-Visible Cross-Modal Person Re-Identification with an X Modality, AAAI 2020).

A very small generator turns visible images into images of a third modality, X; one recognition network learns from visible,
X and infrared images together, with triplets between X and infrared and inside each modality.

Example:
    ``python -m crossreid.train model=xmodality``
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from crossreid.data.records import Modality
from crossreid.losses import euclidean_triplet, identity_loss
from crossreid.methods.players import Losses
from crossreid.methods.recognition import RecognitionModule, Views
from crossreid.methods.xmodality.config import XModalityConfig
from crossreid.methods.xmodality.networks import XGenerator
from crossreid.nn.feature_block import BlockOutput
from crossreid.nn.recognition import OneStreamNetwork


class XModality(RecognitionModule[XModalityConfig]):
    """Generator and network learn together; one player."""

    CONFIG = XModalityConfig
    network: OneStreamNetwork

    def __init__(self, config: XModalityConfig | Mapping[str, Any], num_identities: int, seed: int = 0) -> None:
        super().__init__(config, num_identities, seed)
        self.network = OneStreamNetwork(self.config.backbone, num_identities, "bnneck")
        self.generator = XGenerator()

    def encoder(self) -> nn.Module:
        """The ResNet, and the generator before it: both train at ``encoder_lr``."""
        return nn.ModuleList([self.generator, self.network.encoder])

    def describe(self, images: Mapping[Modality, Tensor]) -> BlockOutput:
        """All images as one batch, visible ones as they are."""
        output: BlockOutput = self.network(torch.cat(list(images.values())))
        return output

    def features(self, images: Tensor, modality: Modality) -> Tensor:
        """(N, 3, h, w) -> (N, D); a visible image by way of X, unless ``visible_feature`` says otherwise."""
        if modality == "visible" and self.config.visible_feature == "x":
            images = self.generator(images)
        return super().features(images, modality)

    def add_losses(self, losses: Losses, views: Views) -> None:
        """Classification of images of three modalities, CMG and MRG."""
        cfg = self.config
        visible = views.images["visible"]
        infrared = views.images["infrared"]
        visible_pids = views.pids["visible"]
        infrared_pids = views.pids["infrared"]
        output = self.network(torch.cat([visible, self.generator(visible), infrared]))
        labels = torch.cat([visible_pids, visible_pids, infrared_pids])
        losses.add("id", identity_loss(output.logits, labels, cfg.label_smoothing))
        counts = [len(visible), len(visible), len(infrared)]
        visible_vectors, x_vectors, infrared_vectors = output.vector.split(counts)
        if cfg.w_gap:
            there = euclidean_triplet(x_vectors, infrared_vectors, visible_pids, infrared_pids, cfg.margin)
            back = euclidean_triplet(infrared_vectors, x_vectors, infrared_pids, visible_pids, cfg.margin)
            losses.add("gap", (there + back) / 2, cfg.w_gap)
        if cfg.w_respective:
            terms = []
            for vectors, pids in (
                (visible_vectors, visible_pids),
                (x_vectors, visible_pids),
                (infrared_vectors, infrared_pids),
            ):
                terms.append(euclidean_triplet(vectors, vectors, pids, pids, cfg.margin_respective))
            losses.add("respective", torch.stack(terms).mean(), cfg.w_respective)

    def translate(self, visible: Tensor, infrared: Tensor) -> dict[str, Tensor]:
        """Visible images, what the generator makes of them, and infrared images."""
        return {"real visible": visible, "X": self.generator(visible).clamp(0, 1), "real infrared": infrared}
