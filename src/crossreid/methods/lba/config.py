"""Settings of LbA; the presets fill in what the paper prints or what the official code has."""

from __future__ import annotations

from dataclasses import dataclass, field

from crossreid.errors import ConfigError
from crossreid.methods.base import MethodConfig
from crossreid.nn.backbones import BackboneConfig
from crossreid.nn.feature_generator import FeatureOptimizerConfig
from crossreid.nn.schedules import EpochScheduleConfig

COATTENTIONS = ("per_image", "batch_mean", "none")
REDUCTIONS = ("mean", "sum")


@dataclass
class LbAConfig(MethodConfig):
    """Settings of LbA and its ablation rows.

    Attributes:
        epochs: length of training; ``phases`` holds one phase, ``joint``, of epochs x iterations_per_epoch.
        backbone: the two-stream ResNet.
        specific_stages: residual stages with a copy for each modality besides the stem, 0 to 2.
        optimizer: SGD; ``head_lr`` is the rate of neck and classifier.
        schedule: of the learning rates.
        layers: residual stages whose maps are aligned, out of 3 and 4 (the paper's 4 and 5).
        beta: factor of similarities in the matching probabilities (Eq. 2).
        coattention: what weighs the dense triplet loss: the map of each image (``per_image``, Eq. 10), the mean map of the
            batch (``batch_mean``, what the official code computes), or 1 (``none``).
        dt_reduction: ``mean`` over images and positions (official code), or ``sum`` over positions and modalities (Eq. 10).
        margin: of the batch-hard triplet loss, in Euclidean distance.
        alpha: margin of the dense triplet loss (Eq. 10), likewise.
        w_ic: weight of the ID-consistency loss (Eq. 8), 0 to leave it out.
        w_dt: weight of the dense triplet loss (Eq. 8), 0 to leave it out.
    """

    epochs: int = 80
    backbone: BackboneConfig = field(default_factory=BackboneConfig)
    specific_stages: int = 0
    optimizer: FeatureOptimizerConfig = field(default_factory=FeatureOptimizerConfig)
    schedule: EpochScheduleConfig = field(default_factory=EpochScheduleConfig)
    layers: list[int] = field(default_factory=lambda: [3, 4])
    beta: float = 50.0
    coattention: str = "per_image"
    dt_reduction: str = "mean"
    margin: float = 0.3
    alpha: float = 0.3
    w_ic: float = 1.0
    w_dt: float = 0.5

    def check(self) -> None:
        """Raise :class:`ConfigError` in one sentence when settings cannot work together."""
        super().check()
        self.backbone.check()
        self.optimizer.check()
        self.schedule.check()
        if dict(self.phases) != {"joint": self.epochs * self.iterations_per_epoch}:
            raise ConfigError(
                "LbA has one phase, joint, of model.epochs x model.iterations_per_epoch iterations: set these two, not "
                "model.phases."
            )
        if set(self.streams) != {"identity"}:
            raise ConfigError(f"LbA has one stream, identity, not {', '.join(self.streams)}.")
        if not self.layers or not set(self.layers) <= {3, 4} or len(set(self.layers)) < len(self.layers):
            raise ConfigError(f"model.layers is {self.layers}: choose from 3 and 4, each once.")
        if self.specific_stages not in (0, 1, 2):
            raise ConfigError(f"model.specific_stages is {self.specific_stages}: choose 0, 1 or 2.")
        for key, value, allowed in (
            ("coattention", self.coattention, COATTENTIONS),
            ("dt_reduction", self.dt_reduction, REDUCTIONS),
        ):
            if value not in allowed:
                raise ConfigError(f"model.{key} is '{value}': choose from {', '.join(allowed)}.")
        if min(self.w_ic, self.w_dt, self.margin, self.alpha) < 0 or self.beta <= 0:
            raise ConfigError(
                "model.w_ic, model.w_dt, model.margin and model.alpha are 0 or more, and model.beta is above 0."
            )
