"""AlignGAN's Basel. (Wang et al., ICCV 2019, sec. 4.5): real visible and infrared images through one encoder.

Loss (Eq. 5 with the fake infrared replaced by real visible): classification of both, and triplets across modalities,
``CE(rgb) + CE(ir) + tri(rgb, ir, ir) + tri(ir, rgb, rgb)``, weighted as in AlignGAN's feature module.

Example:
    ``python -m crossreid.train model=baseline``
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import torch.nn.functional as F
from torch import Tensor
from torch.optim import Optimizer

from crossreid.data.batches import TrainingBatch
from crossreid.data.records import Modality
from crossreid.losses import hardest_triplet, identity_loss
from crossreid.methods.base import CrossModalityModule, MethodConfig, Schedule
from crossreid.nn.backbones import BackboneConfig
from crossreid.nn.feature_generator import DecayConfig, FeatureGenerator, FeatureOptimizerConfig, HeadConfig


@dataclass
class BaselineConfig(MethodConfig):
    """Settings of the baseline.

    Attributes:
        backbone: the encoder.
        heads: classifier and embedder.
        optimizer: SGD of both.
        decay: of the learning rates.
        lambda_id: weight of each classification term.
        lambda_triplet: weight of each triplet term.
        margin: of the triplets, in cosine similarity.
        flip_test: embed the image and its mirror image, and add.
    """

    backbone: BackboneConfig = field(default_factory=BackboneConfig)
    heads: HeadConfig = field(default_factory=HeadConfig)
    optimizer: FeatureOptimizerConfig = field(default_factory=FeatureOptimizerConfig)
    decay: DecayConfig = field(default_factory=DecayConfig)
    lambda_id: float = 0.5
    lambda_triplet: float = 1.0
    margin: float = 1.0
    flip_test: bool = False

    def check(self) -> None:
        """Raise :class:`ConfigError` in one sentence when settings cannot work together."""
        super().check()
        self.backbone.check()
        self.heads.check()
        self.optimizer.check()


class Baseline(CrossModalityModule[BaselineConfig]):
    """One encoder, one player."""

    CONFIG = BaselineConfig
    OPTIMIZERS = ("feature",)

    def __init__(self, config: BaselineConfig, num_identities: int, seed: int) -> None:
        super().__init__(config, num_identities, seed)
        self.feature = FeatureGenerator(config.backbone, config.heads, num_identities)

    def make_optimizers(self) -> Mapping[str, Optimizer]:
        """SGD on everything."""
        return {"feature": self.feature.make_optimizer(self.config.optimizer)}

    def make_schedules(self, optimizers: Mapping[str, Optimizer]) -> Mapping[str, Schedule]:
        """Decay inside the one phase."""
        return {"feature": Schedule(self.config.decay.scheduler(optimizers["feature"]), ("joint",))}

    def training_step(self, batch: TrainingBatch) -> None:
        """Eq. 5 on real images."""
        cfg, stream = self.config, batch["identity"]
        with self.turn("feature") as losses:
            visible, infrared = self.feature(stream.visible), self.feature(stream.infrared)
            losses.add("id_visible", identity_loss(visible.logits, stream.pids), cfg.lambda_id)
            losses.add("id_infrared", identity_loss(infrared.logits, stream.pids), cfg.lambda_id)
            pairs = {"triplet_visible": (visible, infrared), "triplet_infrared": (infrared, visible)}
            for name, (anchors, others) in pairs.items():
                triplet = hardest_triplet(anchors.embedding, others.embedding, stream.pids, stream.pids, cfg.margin)
                losses.add(name, triplet, cfg.lambda_triplet)

    def embed(self, images: Tensor, modality: Modality) -> dict[str, Tensor]:
        """V (B, C) of the image, plus that of its mirror image with ``flip_test``; L2-normalised."""
        vectors = self.feature.vectors(images)
        if self.config.flip_test:
            vectors = vectors + self.feature.vectors(images.flip(-1))
        return {"main": F.normalize(vectors.float(), dim=1)}
