"""Settings of the toolbox's own method."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from crossreid.settings.batches import ErasingConfig, StreamConfig, streams
from crossreid.settings.fields import setting
from crossreid.settings.method import RecognitionConfig
from crossreid.settings.networks import BackboneConfig
from crossreid.settings.optimization import EpochScheduleConfig, FeatureOptimizerConfig


@dataclass
class BestConfig(RecognitionConfig):
    """Settings of the toolbox's own method: what others found, put together. No paper prints them."""

    name: ClassVar[str] = "best"
    module: ClassVar[str] = "crossreid.methods.best.module:Best"
    settled: ClassVar[dict[str, str]] = {
        "preset=official": "it is this package's own, and its settings are what is meant"
    }

    streams: dict[str, StreamConfig] = streams(identity=(8, 4, 288, 144))
    epochs: int = setting(80, "length of training", unit="epochs", at_least=1, ceiling=100_000)
    optimizer: FeatureOptimizerConfig = setting(
        FeatureOptimizerConfig(kind="adam", encoder_lr=3.5e-4, head_lr=3.5e-4),
        "one rate for the encoder, one (head_lr) for all else",
    )
    schedule: EpochScheduleConfig = setting(
        EpochScheduleConfig(curve="cosine", steps=[]), "of the learning rates, by epoch"
    )
    backbone: BackboneConfig = setting(BackboneConfig(), "the encoder")
    erasing: ErasingConfig = setting(
        ErasingConfig(probability=0.5, ratio=[0.3, 3.33]), "random erasing of training images"
    )
    exchanged_view: bool = setting(
        True, "train on a second copy of each visible image with one channel in all three (CAJ's joint learning)"
    )
    label_smoothing: float = setting(0.1, "of the classification loss", at_least=0, below=1)
    flip_test: bool = setting(True, "embed the image and its mirror image, and add")
    grey: bool = setting(
        False, "make all images grey before the network, after channels were exchanged: clothes have no colour at night"
    )
    pooling: str = setting("GeM", "of the last feature maps", choices=("GeM", "average"))
    norms: str = setting(
        "joint",
        "batch norms normalise all images together (joint), or each modality by itself, with averages of its own at test: "
        "the neck's alone (neck), or all (per_modality)",
        choices=("joint", "neck", "per_modality"),
    )
    weight_average: float = setting(
        0.999,
        "decay of the exponential moving average of weights that is scored and used; after iteration t it is at most "
        "t / (t + 9), so that a short training is not held to where it began; 0: the weights themselves",
        at_least=0,
        below=1,
    )

    def why_resnet(self) -> str:
        """GeM takes roots, so that a map may have no negative values; a ResNet ends in a ReLU."""
        if self.pooling == "GeM":
            return "pools by GeM, whose roots need a map without negative values (model.pooling=average takes any encoder),"
        return ""
