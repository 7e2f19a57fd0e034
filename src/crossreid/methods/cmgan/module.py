"""cmGAN (Dai, Ji, Wang, Wu, Huang: Cross-Modality Person Re-Identification with Generative Adversarial Training, IJCAI 2018).

A ResNet makes features of images of both modalities (the generator) and is trained by classification, triplets across
modalities, and against a perceptron that tells the modality of a feature (the discriminator). They move in turns.

Example:
    ``python -m crossreid.train model=cmgan``
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.optim import Adam, Optimizer

from crossreid.data.batches import TrainingBatch
from crossreid.data.records import Modality
from crossreid.errors import ConfigError
from crossreid.losses import euclidean_triplet, identity_loss, modality_doubt, modality_loss
from crossreid.methods.players import Losses
from crossreid.methods.recognition import RankingConfig, RecognitionModule, Views
from crossreid.nn.feature_block import Described
from crossreid.nn.modality_discriminator import ModalityDiscriminator
from crossreid.nn.recognition import OneStreamNetwork

GENERATORS = ("minimax", "uniform")


@dataclass
class CMGANConfig(RankingConfig):
    """Settings of cmGAN; ``margin`` is that of the triplets, in distance of unit vectors.

    Attributes:
        w_triplet: weight of the triplets across modalities, 0 to leave them out.
        modality: weight of the modality term in the generator's turn; with 0 the discriminator only watches.
        modality_generator: the generator maximises the discriminator's loss (``minimax``), or pulls its answers to one half
            (``uniform``), which is bounded.
        discriminator_widths: hidden layers of the modality discriminator.
        discriminator_steps: turns of the discriminator after each one of the generator.
        discriminator_lr: Adam's rate; it follows the schedule of the others.
    """

    margin: float = 1.4
    w_triplet: float = 1.0
    modality: float = 0.2
    modality_generator: str = "minimax"
    discriminator_widths: list[int] = field(default_factory=lambda: [1024, 512])
    discriminator_steps: int = 1
    discriminator_lr: float = 1e-3

    def check(self) -> None:
        """Raise :class:`ConfigError` in one sentence when settings cannot work together."""
        super().check()
        if self.modality_generator not in GENERATORS:
            raise ConfigError(
                f"model.modality_generator is '{self.modality_generator}': choose from {', '.join(GENERATORS)}."
            )
        if min(self.w_triplet, self.modality) < 0 or min(self.discriminator_widths, default=1) < 1:
            raise ConfigError(
                "model.w_triplet and model.modality are 0 or more, and model.discriminator_widths are 1 or more."
            )
        if self.discriminator_steps < 1 or self.discriminator_lr <= 0:
            raise ConfigError("model.discriminator_steps is 1 or more, and model.discriminator_lr is above 0.")


class CMGAN(RecognitionModule[CMGANConfig]):
    """A feature generator against a modality discriminator; two players."""

    CONFIG = CMGANConfig
    OPTIMIZERS = ("generator", "discriminator")
    network: OneStreamNetwork

    def __init__(self, config: CMGANConfig, num_identities: int, seed: int) -> None:
        super().__init__(config, num_identities, seed)
        self.network = OneStreamNetwork(config.backbone, num_identities, "bnneck")
        self.discriminator = ModalityDiscriminator(self.network.block.dim, config.discriminator_widths)

    def encoder(self) -> nn.Module:
        """The ResNet."""
        return self.network.encoder

    def describe(self, images: Mapping[Modality, Tensor]) -> Described:
        """All images as one batch."""
        described: Described = self.network(torch.cat(list(images.values())))
        return described

    def make_optimizers(self) -> Mapping[str, Optimizer]:
        """Encoder and head of the generator with a rate each, and Adam for the discriminator."""
        cfg = self.config
        return {
            "generator": cfg.optimizer.make(self.encoder().parameters(), self.network.block.parameters()),
            "discriminator": Adam(self.discriminator.parameters(), lr=cfg.discriminator_lr),
        }

    def training_step(self, batch: TrainingBatch) -> None:
        """The generator's turn, then the discriminator's, on the features that the generator has just made."""
        views = self.augmented(batch["identity"])
        with self.turn("generator") as losses:
            described = self.describe(views.images)
            self._add_feature_losses(losses, described, views)
            logits = [self.discriminator(part) for part in views.split(described.feature)]
            if self.config.modality_generator == "minimax":
                losses.add("modality", modality_loss(*logits), -self.config.modality)
            else:
                losses.add("modality", modality_doubt(*logits), self.config.modality)
        features = views.split(described.feature.detach())
        for _ in range(self.config.discriminator_steps):
            with self.turn("discriminator") as losses:
                losses.add("modality", modality_loss(*(self.discriminator(part) for part in features)))

    def _add_feature_losses(self, losses: Losses, described: Described, views: Views) -> None:
        """Classification, and batch-hard triplets of unit vectors with anchors of each modality and the rest of the other."""
        losses.add("id", identity_loss(described.logits, views.labels, self.config.label_smoothing))
        if self.config.w_triplet:
            visible, infrared = views.split(F.normalize(described.feature, dim=1))
            pids, others = views.pids["visible"], views.pids["infrared"]
            margin = self.config.margin
            there = euclidean_triplet(visible, infrared, pids, others, margin)
            back = euclidean_triplet(infrared, visible, others, pids, margin)
            losses.add("triplet", there + back, self.config.w_triplet)
