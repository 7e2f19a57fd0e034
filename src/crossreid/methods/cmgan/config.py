"""Settings of cmGAN."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from crossreid.settings.fields import setting
from crossreid.settings.method import RankingConfig


@dataclass
class CMGANConfig(RankingConfig):
    """Settings of cmGAN; what is the paper's and what is ours stands in this folder's README."""

    name: ClassVar[str] = "cmgan"
    module: ClassVar[str] = "crossreid.methods.cmgan.module:CMGAN"
    settled: ClassVar[dict[str, str]] = {"preset=official": "no code of the authors was at hand, so it is as the paper"}

    margin: float = setting(1.4, "of triplets across modalities, in Euclidean distance", at_least=0, ceiling=1000)
    triplet_vectors: str = setting(
        "unit",
        "what the triplets compare: features scaled to length 1, or as they are (plain)",
        choices=("unit", "plain"),
    )
    triplet_partners: str = setting(
        "hardest",
        "an anchor's positive and negative of the other modality: the hardest of the batch, or any (random)",
        choices=("hardest", "random"),
    )
    w_triplet: float = setting(
        1.0, "weight of the triplets across modalities, 0 to leave them out", at_least=0, ceiling=1e6
    )
    modality: float = setting(
        0.2,
        "weight of the modality term in the generator's turn; with 0 the discriminator only watches",
        at_least=0,
        ceiling=1e6,
    )
    modality_generator: str = setting(
        "minimax",
        "the generator maximises the discriminator's loss (minimax), or pulls its answers to one half (uniform), which "
        "is bounded",
        choices=("minimax", "uniform"),
    )
    discriminator_widths: list[int] = setting(
        [1024, 512], "widths of the modality discriminator's hidden layers", at_least=1, ceiling=16_384
    )
    discriminator_steps: int = setting(
        1, "turns of the discriminator in a row, when it has its turn", at_least=1, ceiling=100
    )
    generator_steps: int = setting(
        1, "turns of the generator, one an iteration, before the discriminator has its own", at_least=1, ceiling=100
    )
    discriminator_lr: float = setting(
        1e-3, "Adam's rate for the discriminator; it follows the schedule of the others", above=0, ceiling=100
    )
