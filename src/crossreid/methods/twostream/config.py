"""Settings of the two-stream network."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from crossreid.settings.fields import setting
from crossreid.settings.method import ClassificationConfig
from crossreid.settings.networks import BackboneConfig


@dataclass
class TwoStreamConfig(ClassificationConfig):
    """Settings of the two-stream network; what is Wu et al.'s and what is ours stands in this folder's README."""

    name: ClassVar[str] = "twostream"
    module: ClassVar[str] = "crossreid.methods.twostream.module:TwoStream"
    resnet_because: ClassVar[str] = "has a stem for each modality"
    settled: ClassVar[dict[str, str]] = {"preset=official": "no code of the authors was at hand, so it is as the paper"}

    backbone: BackboneConfig = setting(BackboneConfig(last_stride=2), "the encoder")
    specific_stages: int = setting(
        1, "residual stages with a copy for each modality besides the stem", choices=(0, 1, 2)
    )
