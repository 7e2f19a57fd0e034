"""Settings of MPANet and its rows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from crossreid.errors import ConfigError
from crossreid.settings.batches import ErasingConfig, StreamConfig, streams
from crossreid.settings.fields import setting
from crossreid.settings.method import RecognitionConfig
from crossreid.settings.networks import BackboneConfig
from crossreid.settings.optimization import EpochScheduleConfig, FeatureOptimizerConfig


@dataclass
class MPANetConfig(RecognitionConfig):
    """Settings of MPANet, as its authors' code has them for SYSU-MM01; ``conf/recipe/mpanet`` has what is other for RegDB."""

    name: ClassVar[str] = "mpanet"
    module: ClassVar[str] = "crossreid.methods.mpanet.module:MPANet"
    resnet_because: ClassVar[str] = "has parts between stages"
    settled: ClassVar[dict[str, str]] = {"preset=official": "its settings are those of the authors' code"}

    streams: dict[str, StreamConfig] = streams(identity=(16, 4, 384, 128))
    epochs: int = setting(140, "length of training", unit="epochs", at_least=1, ceiling=100_000)
    backbone: BackboneConfig = setting(BackboneConfig(size=[384, 128]), "the ResNet of both modalities")
    optimizer: FeatureOptimizerConfig = setting(
        FeatureOptimizerConfig(kind="adam", encoder_lr=3.5e-4, head_lr=3.5e-4),
        "one rate for the encoder, one (head_lr) for all else",
    )
    schedule: EpochScheduleConfig = setting(
        EpochScheduleConfig(warmup=0, steps=[80, 120]), "of the learning rates, by epoch"
    )
    erasing: ErasingConfig = setting(
        ErasingConfig(probability=0.5, area=[0.02, 0.33], ratio=[0.3, 3.3]), "random erasing of training images"
    )
    alleviation_stages: list[int] = setting(
        [3, 4],
        "residual stages behind which modality alleviation stands",
        choices=(1, 2, 3, 4),
        distinct=True,
        ascending=True,
    )
    reduction: int = setting(16, "how much narrower modality alleviation's hidden layer is", at_least=1, ceiling=2048)
    parts: int = setting(
        6, "patterns whose features are aligned, besides the whole image's; 0 for none", at_least=0, ceiling=64
    )
    margin: float = setting(0.7, "between persons' centres, in Euclidean distance", at_least=0, ceiling=1000)
    w_centre: float = setting(1.0, "weight of the centre cluster loss, 0 to leave it out", at_least=0, ceiling=1e6)
    w_separation: float = setting(
        0.5, "weight of the overlap of two patterns' masks, 0 to leave it out", at_least=0, ceiling=1e6
    )
    w_modality_identity: float = setting(
        1.0,
        "weight of the classification of each modality by a classifier of its own, 0 for no such classifiers; the authors' "
        "code has 0.5 and adds the loss twice",
        at_least=0,
        ceiling=1e6,
    )
    w_mutual: float = setting(
        2.5, "weight of learning from the other modality's mean classifier, 0 to leave it out", at_least=0, ceiling=1e6
    )
    mean_rate: float = setting(
        0.2,
        "share of a classifier's weights that its mean takes over at each step; from epoch 100 on times 100 / (epoch + 1)",
        above=0,
        at_most=1,
    )

    def check_together(self, place: str) -> None:
        """Losses have what they compare."""
        super().check_together(place)
        if self.w_separation and self.parts < 2:
            raise ConfigError(
                f"{place}.w_separation is of two patterns, and {place}.parts is {self.parts}: set {place}.w_separation=0."
            )
        if self.w_mutual and not self.w_modality_identity:
            raise ConfigError(
                f"{place}.w_mutual needs classifiers that {place}.w_modality_identity trains, which is 0: set "
                f"{place}.w_mutual=0 too."
            )
