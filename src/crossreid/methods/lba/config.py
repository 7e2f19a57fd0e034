"""Settings of LbA and its ablation rows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from crossreid.settings.fields import setting
from crossreid.settings.method import EpochsConfig
from crossreid.settings.networks import BackboneConfig
from crossreid.settings.optimization import EpochScheduleConfig, FeatureOptimizerConfig


@dataclass
class LbAConfig(EpochsConfig):
    """Settings of LbA; the defaults are what the paper prints (sec. 4.1), and our choice where it prints nothing."""

    name: ClassVar[str] = "lba"
    module: ClassVar[str] = "crossreid.methods.lba.module:LbA"
    resnet_because: ClassVar[str] = "has a stem for each modality and compares maps of two stages"

    epochs: int = setting(80, "length of training", unit="epochs", at_least=1, ceiling=100_000)
    backbone: BackboneConfig = setting(BackboneConfig(), "the two-stream ResNet")
    specific_stages: int = setting(
        0,
        "residual stages with a copy for each modality besides the stem; 1: the paper's text, literally",
        choices=(0, 1, 2),
    )
    optimizer: FeatureOptimizerConfig = setting(
        FeatureOptimizerConfig(), "SGD; head_lr is the rate of neck and classifier"
    )
    schedule: EpochScheduleConfig = setting(EpochScheduleConfig(), "of the learning rates, by epoch")
    layers: list[int] = setting(
        [3, 4],
        "residual stages whose maps are aligned (the paper's conv4, conv5)",
        choices=(3, 4),
        distinct=True,
        filled=True,
    )
    beta: float = setting(50.0, "factor of similarities in the matching probabilities (Eq. 2)", above=0, ceiling=1e6)
    coattention: str = setting(
        "per_image",
        "what weighs the dense triplet loss: the map of each image (per_image, Eq. 10), the mean map of the batch "
        "(batch_mean, what the official code computes), or 1 (none)",
        choices=("per_image", "batch_mean", "none"),
    )
    dt_reduction: str = setting(
        "mean",
        "of the dense triplet loss: mean over images and positions (official code), or sum over positions and "
        "modalities (Eq. 10)",
        choices=("mean", "sum"),
    )
    margin: float = setting(0.3, "of the batch-hard triplet loss, in Euclidean distance", at_least=0, ceiling=1000)
    alpha: float = setting(
        0.3, "margin of the dense triplet loss (Eq. 10), in Euclidean distance", at_least=0, ceiling=1000
    )
    w_ic: float = setting(1.0, "weight of the ID-consistency loss (Eq. 8), 0 to leave it out", at_least=0, ceiling=1e6)
    w_dt: float = setting(0.5, "weight of the dense triplet loss (Eq. 8), 0 to leave it out", at_least=0, ceiling=1e6)
