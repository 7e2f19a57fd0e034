"""Settings of the one-stream network."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from crossreid.settings.fields import setting
from crossreid.settings.method import ClassificationConfig
from crossreid.settings.networks import BackboneConfig


@dataclass
class OneStreamConfig(ClassificationConfig):
    """Settings of the one-stream network; what is Wu et al.'s and what is ours stands in this folder's README."""

    name: ClassVar[str] = "onestream"
    module: ClassVar[str] = "crossreid.methods.onestream.module:OneStream"
    settled: ClassVar[dict[str, str]] = {"preset=official": "no code of the authors was at hand, so it is as the paper"}

    backbone: BackboneConfig = setting(BackboneConfig(last_stride=2), "the encoder")
    grey: bool = setting(True, "make visible images grey")
