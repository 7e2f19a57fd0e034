"""Settings of deep zero-padding."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from crossreid.settings.fields import setting
from crossreid.settings.method import ClassificationConfig
from crossreid.settings.networks import BackboneConfig


@dataclass
class ZeroPaddingConfig(ClassificationConfig):
    """Settings of deep zero-padding; what is Wu et al.'s and what is ours stands in this folder's README."""

    name: ClassVar[str] = "zeropadding"
    module: ClassVar[str] = "crossreid.methods.zeropadding.module:ZeroPadding"
    settled: ClassVar[dict[str, str]] = {"preset=official": "no code of the authors was at hand, so it is as the paper"}

    backbone: BackboneConfig = setting(BackboneConfig(last_stride=2), "the encoder")
