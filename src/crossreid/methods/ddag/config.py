"""Settings of DDAG."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from crossreid.settings.fields import setting
from crossreid.settings.method import RankingConfig
from crossreid.settings.optimization import EpochScheduleConfig


@dataclass
class DDAGConfig(RankingConfig):
    """Settings of DDAG; what is the paper's and what is ours stands in this folder's README."""

    name: ClassVar[str] = "ddag"
    module: ClassVar[str] = "crossreid.methods.ddag.module:DDAG"
    settled: ClassVar[dict[str, str]] = {"preset=official": "no code of the authors was at hand, so it is as the paper"}

    epochs: int = setting(80, "length of training", unit="epochs", at_least=1, ceiling=100_000)
    schedule: EpochScheduleConfig = setting(EpochScheduleConfig(steps=[30, 50]), "of the learning rates, by epoch")
    margin: float = setting(0.3, "of batch-hard triplets, in Euclidean distance", at_least=0, ceiling=1000)
    parts: int = setting(3, "horizontal parts of a person, between which there is attention", at_least=2, ceiling=100)
    part_width: int | None = setting(
        None, "inner width of the attention between parts; null: half of the channels", at_least=1, ceiling=16_384
    )
    heads: int = setting(4, "heads of the graph attention", at_least=1, ceiling=1024)
    graph_dim: int = setting(256, "width of a head of the graph attention", at_least=1, ceiling=16_384)
    graph: bool = setting(True, "train with graph attention over the batch too")
