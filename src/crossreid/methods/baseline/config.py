"""Settings of AlignGAN's Basel.: the defaults are AlignGAN's own (sec. 4.2), since the row has no numbers of its own."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from crossreid.errors import ConfigError
from crossreid.settings.batches import StreamConfig, streams
from crossreid.settings.fields import setting
from crossreid.settings.method import MethodConfig
from crossreid.settings.networks import BackboneConfig, HeadConfig, test_norm
from crossreid.settings.optimization import DecayConfig, FeatureOptimizerConfig


@dataclass
class BaselineConfig(MethodConfig):
    """Settings of the baseline."""

    name: ClassVar[str] = "baseline"
    module: ClassVar[str] = "crossreid.methods.baseline.module:Baseline"

    streams: dict[str, StreamConfig] = streams(identity=(18, 4, 128, 128))
    phases: dict[str, int] = setting(
        {"joint": 10000}, "length of training", unit="iterations", at_least=0, ceiling=1_000_000_000
    )
    iterations_per_epoch: int | None = setting(
        100, "iterations in an epoch of the trainer", at_least=1, ceiling=1_000_000
    )
    backbone: BackboneConfig = setting(BackboneConfig(size=[384, 192]), "the encoder")
    heads: HeadConfig = setting(HeadConfig(), "classifier and embedder")
    optimizer: FeatureOptimizerConfig = setting(
        FeatureOptimizerConfig(encoder_lr=0.02, head_lr=0.2),
        "of everything; head_lr is the rate of classifier and embedder",
    )
    decay: DecayConfig = setting(DecayConfig(), "of the learning rates, in iterations of the phase joint")
    lambda_id: float = setting(
        0.5,
        "weight of each classification term (an expectation over the union of both modalities)",
        at_least=0,
        ceiling=1e6,
    )
    lambda_triplet: float = setting(1.0, "weight of each triplet term", at_least=0, ceiling=1e6)
    margin: float = setting(1.0, "of the triplets, in cosine similarity", at_least=0, ceiling=1000)
    flip_test: bool = setting(False, "embed the image and its mirror image, and add")
    test_norm: str = test_norm()

    def phase_lengths(self) -> dict[str, int]:
        """``phases``."""
        return dict(self.phases)

    def check_together(self, place: str) -> None:
        """There is one phase."""
        super().check_together(place)
        if tuple(self.phases) != ("joint",):
            raise ConfigError(f"The baseline has one phase, joint, not {', '.join(self.phases) or 'none'}.")
