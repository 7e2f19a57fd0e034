"""cmGAN (Dai, Ji, Wang, Wu, Huang: Cross-Modality Person Re-Identification with Generative Adversarial Training, IJCAI 2018).

A ResNet makes features of images of both modalities (the generator) and is trained by classification, triplets across
modalities, and against a perceptron that tells the modality of a feature (the discriminator). They move in turns.

Example:
    ``python -m crossreid.train model=cmgan``
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.optim import Adam, Optimizer

from crossreid.data.batches import TrainingBatch
from crossreid.data.records import Modality
from crossreid.losses import euclidean_triplet, identity_loss, modality_doubt, modality_loss, random_triplet
from crossreid.methods.cmgan.config import CMGANConfig
from crossreid.methods.players import Losses
from crossreid.methods.recognition import RecognitionModule, Views
from crossreid.nn.feature_block import BlockOutput
from crossreid.nn.modality_discriminator import ModalityDiscriminator
from crossreid.nn.optimization import make_feature_optimizer
from crossreid.nn.recognition import OneStreamNetwork
from crossreid.randomness import torch_generator


class CMGAN(RecognitionModule[CMGANConfig]):
    """A feature generator against a modality discriminator; two players."""

    CONFIG = CMGANConfig
    OPTIMIZERS = ("generator", "discriminator")
    network: OneStreamNetwork

    def __init__(self, config: CMGANConfig | Mapping[str, Any], num_identities: int, seed: int = 0) -> None:
        super().__init__(config, num_identities, seed)
        self.network = OneStreamNetwork(self.config.backbone, num_identities, "bnneck")
        self.discriminator = ModalityDiscriminator(self.network.block.dim, self.config.discriminator_widths)

    def encoder(self) -> nn.Module:
        """The ResNet."""
        return self.network.encoder

    def describe(self, images: Mapping[Modality, Tensor]) -> BlockOutput:
        """All images as one batch."""
        output: BlockOutput = self.network(torch.cat(list(images.values())))
        return output

    def make_optimizers(self) -> Mapping[str, Optimizer]:
        """Encoder and head of the generator with a rate each, and Adam for the discriminator."""
        cfg = self.config
        encoder = self.encoder().parameters()
        head = self.network.block.parameters()
        return {
            "generator": make_feature_optimizer(cfg.optimizer, encoder, head),
            "discriminator": Adam(self.discriminator.parameters(), lr=cfg.discriminator_lr),
        }

    def training_step(self, batch: TrainingBatch) -> None:
        """The generator's turn, then the discriminator's where it is due, on the features that the generator has just made."""
        cfg = self.config
        views = self.augmented(batch["identity"])
        with self.turn("generator") as losses:
            output = self.describe(views.images)
            self._add_feature_losses(losses, output, views)
            visible, infrared = views.split(output.feature)
            # The discriminator is fixed in this turn: gradients pass through it to the features.
            visible_logits = self.discriminator(visible)
            infrared_logits = self.discriminator(infrared)
            if cfg.modality_generator == "minimax":
                losses.add("modality", modality_loss(visible_logits, infrared_logits), -cfg.modality)
            else:
                losses.add("modality", modality_doubt(visible_logits, infrared_logits), cfg.modality)
        if (self.iteration + 1) % cfg.generator_steps:
            return
        # Min and max are apart, each with its optimizer: public re-implementations step one optimizer on both, and diverge.
        visible, infrared = views.split(output.feature.detach())
        for _ in range(cfg.discriminator_steps):
            with self.turn("discriminator") as losses:
                visible_logits = self.discriminator(visible)
                infrared_logits = self.discriminator(infrared)
                losses.add("modality", modality_loss(visible_logits, infrared_logits))

    def _add_feature_losses(self, losses: Losses, output: BlockOutput, views: Views) -> None:
        """Classification, and triplets with anchors of each modality and the rest of the other."""
        losses.add("id", identity_loss(output.logits, views.labels, self.config.label_smoothing))
        if self.config.w_triplet:
            compared = output.feature
            if self.config.triplet_vectors == "unit":
                compared = F.normalize(compared, dim=1)
            visible, infrared = views.split(compared)
            visible_pids = views.pids["visible"]
            infrared_pids = views.pids["infrared"]
            triplet = self._triplet()
            there = triplet(visible, infrared, visible_pids, infrared_pids)
            back = triplet(infrared, visible, infrared_pids, visible_pids)
            losses.add("triplet", there + back, self.config.w_triplet)

    def _triplet(self) -> Callable[[Tensor, Tensor, Tensor, Tensor], Tensor]:
        """The loss of anchors, others and the labels of both."""
        margin = self.config.margin
        if self.config.triplet_partners == "hardest":
            return partial(euclidean_triplet, margin=margin)
        generator = torch_generator(self.seed, "triplets/cmgan", self.iteration, self.global_rank)
        return partial(random_triplet, margin=margin, generator=generator)
