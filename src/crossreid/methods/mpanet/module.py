"""MPANet: Discover Cross-Modality Nuances for Visible-Infrared Person Re-Identification (Wu et al., CVPR 2021).

One ResNet for both modalities. Modality alleviation takes the statistics of channels away that tell the modalities apart;
pattern alignment pools six patterns that the network finds by itself; each modality's classifier learns from the mean
classifier of the other one (mutual mean learning). What paper and official code are known to say: this folder's README.

Example:
    ``python -m crossreid.train model=mpanet``
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from crossreid.data.batches import TrainingBatch
from crossreid.data.records import Modality
from crossreid.losses import identity_loss
from crossreid.methods.mpanet.config import MPANetConfig
from crossreid.methods.mpanet.losses import centre_cluster_loss, mutual_loss, separation_loss
from crossreid.methods.mpanet.networks import ModalityClassifiers, MPANetNetwork
from crossreid.methods.players import Losses
from crossreid.methods.recognition import RecognitionModule, Views
from crossreid.nn.feature_block import BlockOutput
from crossreid.nn.recomputation import encoder_blocks

FULL_RATE_EPOCHS = 100
"""As long the mean classifiers follow at the full rate."""


class MPANet(RecognitionModule[MPANetConfig]):
    """One network, one player, and the mean classifiers."""

    CONFIG = MPANetConfig
    erased = (0.0, 0.0, 0.0)  # torchvision's erasing fills normalised images with 0: the mean colour
    padding = 127 / 255
    network: MPANetNetwork

    def __init__(self, config: MPANetConfig | Mapping[str, Any], num_identities: int, seed: int = 0) -> None:
        super().__init__(config, num_identities, seed)
        self.network = MPANetNetwork(self.config, num_identities)
        self.classifiers: ModalityClassifiers | None = None
        if self.config.w_modality_identity:
            self.classifiers = ModalityClassifiers(self.network.block.dim, num_identities)

    def encoder(self) -> nn.Module:
        """The ResNet with modality alleviation."""
        return self.network.encoder

    def recomputable(self) -> dict[str, list[nn.Module]]:
        """The residual blocks, and each modality alleviation."""
        return {"encoder": encoder_blocks(self) + list(self.network.encoder.alleviations.values())}

    def describe(self, images: Mapping[Modality, Tensor]) -> BlockOutput:
        """All images as one batch."""
        output: BlockOutput = self.network(torch.cat(list(images.values()))).output
        return output

    def training_step(self, batch: TrainingBatch) -> None:
        """The mean classifiers follow, where they are learned from, then one step on all losses together."""
        # Before the step, so that mean classifiers follow those of the last one; the authors' order is not known.
        if self.classifiers is not None and self.config.w_mutual:
            epoch = self.iteration // self.config.known_epoch()
            self.classifiers.follow(self.config.mean_rate * min(1.0, FULL_RATE_EPOCHS / (epoch + 1)))
        super().training_step(batch)

    def add_losses(self, losses: Losses, views: Views) -> None:
        """Identity, centre cluster, separation of patterns, identity by modality, mutual mean learning."""
        cfg = self.config
        # One batch for both modalities, which share all of the network and its batch norms.
        output, masks = self.network(torch.cat(list(views.images.values())))
        losses.add("id", identity_loss(output.logits, views.labels, cfg.label_smoothing))
        if cfg.w_centre:
            losses.add("centre", centre_cluster_loss(output.vector, views.labels, cfg.margin), cfg.w_centre)
        if cfg.w_separation:
            losses.add("separation", separation_loss(masks), cfg.w_separation)
        if self.classifiers is not None:
            self._add_modality_losses(losses, self.classifiers, output.feature, views)

    def _add_modality_losses(
        self, losses: Losses, classifiers: ModalityClassifiers, features: Tensor, views: Views
    ) -> None:
        """Each modality's features (N, D) by its own classifier, and what the other one's mean classifier says of them."""
        cfg = self.config
        visible, infrared = views.split(features)
        with torch.autocast(features.device.type, enabled=False):
            logits = torch.cat([classifiers.own["visible"](visible), classifiers.own["infrared"](infrared)])
            # Crossed: what the classifier of infrared images would say of visible ones, and the reverse.
            with torch.no_grad():
                of_other = torch.cat([classifiers.mean["infrared"](visible), classifiers.mean["visible"](infrared)])
        losses.add("modality_id", identity_loss(logits, views.labels, cfg.label_smoothing), cfg.w_modality_identity)
        if cfg.w_mutual:
            losses.add("mutual", mutual_loss(logits, of_other), cfg.w_mutual)
