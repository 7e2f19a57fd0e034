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
    recomputable: ClassVar[tuple[str, ...]] = ("encoder", "generators")

    generator_values: str = setting(
        "pixels",
        "what the generator sees: pixels, and starts as their mean; or normalised values (the authors' code), and starts as a "
        "third of the positive part of theirs",
        choices=("pixels", "normalised"),
    )
    gap: str = setting(
        "triplets",
        "what brings modalities together (CMG): batch-hard triplets between X and infrared images, or centres of persons, of "
        "infrared and X and of infrared and visible images (the authors' code)",
        choices=("triplets", "centres"),
    )
    margin: float = setting(0.3, "of CMG, in Euclidean distance", at_least=0, ceiling=1000)
    w_id: float = setting(1.0, "weight of classification, the mean over three modalities", above=0, ceiling=1e6)
    w_gap: float = setting(1.0, "weight of CMG, 0 to leave it out", at_least=0, ceiling=1e6)
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
    test_feature: str = setting(
        "neck",
        "what retrieval compares: the feature after the neck, or the pooled vector before it (the authors' code)",
        choices=("neck", "pooled"),
    )
