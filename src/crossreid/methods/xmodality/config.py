"""Settings of the X modality."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from crossreid.settings.fields import setting
from crossreid.settings.method import RankingConfig


@dataclass
class XModalityConfig(RankingConfig):
    """Settings of the X modality; what is the paper's and what is ours stands in this folder's README."""

    name: ClassVar[str] = "xmodality"
    module: ClassVar[str] = "crossreid.methods.xmodality.module:XModality"
    settled: ClassVar[dict[str, str]] = {"preset=official": "no code of the authors was at hand, so it is as the paper"}

    margin: float = setting(
        0.3, "of triplets between X and infrared images, in Euclidean distance", at_least=0, ceiling=1000
    )
    w_gap: float = setting(
        1.0, "weight of triplets between X and infrared images (CMG), 0 to leave them out", at_least=0, ceiling=1e6
    )
    w_respective: float = setting(
        1.0, "weight of triplets inside each modality (MRG), 0 to leave them out", at_least=0, ceiling=1e6
    )
    margin_respective: float = setting(
        0.3, "of triplets inside each modality, in Euclidean distance", at_least=0, ceiling=1000
    )
    visible_feature: str = setting(
        "x",
        "what retrieval makes of a visible image: the feature of its X image (x), or its own (visible)",
        choices=("x", "visible"),
    )
