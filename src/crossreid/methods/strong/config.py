"""Settings of the strong baseline."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from crossreid.settings.batches import ErasingConfig, StreamConfig, streams
from crossreid.settings.fields import setting
from crossreid.settings.method import RankingConfig
from crossreid.settings.networks import BackboneConfig
from crossreid.settings.optimization import EpochScheduleConfig, FeatureOptimizerConfig


@dataclass
class StrongConfig(RankingConfig):
    """Settings of the strong baseline: the bag of tricks (Luo et al., CVPR Workshops 2019)."""

    name: ClassVar[str] = "strong"
    module: ClassVar[str] = "crossreid.methods.strong.module:Strong"
    settled: ClassVar[dict[str, str]] = {
        "preset=official": "as the paper; the authors' code starts its warm-up at 0.01 of the rate, ours at 0.1 (one "
        "tenth an epoch) in both presets"
    }

    streams: dict[str, StreamConfig] = streams(identity=(8, 4, 256, 128))
    epochs: int = setting(120, "length of training", unit="epochs", at_least=1, ceiling=100_000)
    backbone: BackboneConfig = setting(BackboneConfig(size=[256, 128]), "the encoder")
    optimizer: FeatureOptimizerConfig = setting(
        FeatureOptimizerConfig(kind="adam", encoder_lr=3.5e-4, head_lr=3.5e-4),
        "one rate for the encoder, one (head_lr) for all else",
    )
    schedule: EpochScheduleConfig = setting(EpochScheduleConfig(steps=[40, 70]), "of the learning rates, by epoch")
    erasing: ErasingConfig = setting(ErasingConfig(ratio=[0.3, 3.33]), "random erasing of training images")
    label_smoothing: float = setting(0.1, "of the classification loss", at_least=0, below=1)
    margin: float = setting(0.3, "of the batch-hard triplets, in Euclidean distance", at_least=0, ceiling=1000)
