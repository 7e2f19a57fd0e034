"""AlignGAN's Basel. (Wang et al., ICCV 2019, sec. 4.5): real visible and infrared images through one encoder.

Loss (Eq. 5 with the fake infrared replaced by real visible): classification of both, and triplets across modalities,
``CE(rgb) + CE(ir) + tri(rgb, ir, ir) + tri(ir, rgb, rgb)``, weighted as in AlignGAN's feature module.

Example:
    ``python -m crossreid.train model=baseline``
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch.nn.functional as F
from torch import Tensor
from torch.optim import Optimizer

from crossreid.data.batches import TrainingBatch
from crossreid.data.records import Modality
from crossreid.losses import hardest_triplet, identity_loss
from crossreid.methods.base import CrossModalityModule, Schedule
from crossreid.methods.baseline.config import BaselineConfig
from crossreid.methods.embedding import check_images
from crossreid.nn.feature_generator import FeatureGenerator
from crossreid.nn.mirror import mirrored_sum
from crossreid.nn.normalisation import add_infrared_averages, averages_of
from crossreid.nn.optimization import decay_schedule


class Baseline(CrossModalityModule[BaselineConfig]):
    """One encoder, one player."""

    CONFIG = BaselineConfig
    OPTIMIZERS = ("feature",)

    def __init__(self, config: BaselineConfig | Mapping[str, Any], num_identities: int, seed: int = 0) -> None:
        super().__init__(config, num_identities, seed)
        self.feature = FeatureGenerator(self.config.backbone, self.config.heads, num_identities)
        self.norms_by_modality = self.config.test_norm == "per_modality"
        if self.norms_by_modality:
            add_infrared_averages(self.feature)

    def make_optimizers(self) -> Mapping[str, Optimizer]:
        """SGD on everything."""
        return {"feature": self.feature.make_optimizer(self.config.optimizer)}

    def make_schedules(self, optimizers: Mapping[str, Optimizer]) -> Mapping[str, Schedule]:
        """Decay inside the one phase."""
        return {"feature": Schedule(decay_schedule(self.config.decay, optimizers["feature"]), ("joint",))}

    def training_step(self, batch: TrainingBatch) -> None:
        """Eq. 5 on real images."""
        cfg = self.config
        stream = batch["identity"]
        pids = stream.pids
        with self.turn("feature") as losses:
            # Two forwards, as AlignGAN has of fake and real infrared: batch norms normalise each modality by itself.
            visible = self.feature(stream.visible)
            with averages_of(self.feature, "infrared"):
                infrared = self.feature(stream.infrared)
            losses.add("id_visible", identity_loss(visible.logits, pids), cfg.lambda_id)
            losses.add("id_infrared", identity_loss(infrared.logits, pids), cfg.lambda_id)
            # Both directions of Eq. 5: anchors of one modality, positives and negatives of the other.
            to_infrared = hardest_triplet(visible.embedding, infrared.embedding, pids, pids, cfg.margin)
            losses.add("triplet_visible", to_infrared, cfg.lambda_triplet)
            to_visible = hardest_triplet(infrared.embedding, visible.embedding, pids, pids, cfg.margin)
            losses.add("triplet_infrared", to_visible, cfg.lambda_triplet)

    def embed(self, images: Tensor, modality: Modality) -> dict[str, Tensor]:
        """V (B, C) of the image, plus that of its mirror image with ``flip_test``; L2-normalised."""
        check_images(images, modality)
        with averages_of(self.feature, modality):
            if self.config.flip_test:
                vectors = mirrored_sum(self.feature.vectors, images)
            else:
                vectors = self.feature.vectors(images)
        return {"main": F.normalize(vectors.float(), dim=1)}
