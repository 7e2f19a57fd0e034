"""Settings of DDAG."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from crossreid.errors import ConfigError
from crossreid.settings.fields import setting
from crossreid.settings.method import RankingConfig
from crossreid.settings.optimization import EpochScheduleConfig


@dataclass
class DDAGConfig(RankingConfig):
    """Settings of DDAG; what is the paper's and what is ours stands in this folder's README."""

    name: ClassVar[str] = "ddag"
    module: ClassVar[str] = "crossreid.methods.ddag.module:DDAG"
    resnet_because: ClassVar[str] = "has a stem for each modality"

    epochs: int = setting(80, "length of training", unit="epochs", at_least=1, ceiling=100_000)
    schedule: EpochScheduleConfig = setting(EpochScheduleConfig(steps=[30, 50]), "of the learning rates, by epoch")
    margin: float = setting(0.3, "of batch-hard triplets, in Euclidean distance", at_least=0, ceiling=1000)
    parts: int = setting(3, "horizontal parts of a person, between which there is attention", at_least=2, ceiling=100)
    part_attention: str = setting(
        "scaled",
        "attention between parts: scaled (products over the root of their width, no biases, a batch norm of the sum of parts), "
        "or full (the authors' code: layers as wide as the map with biases, plain products, a softmax of the parts' weights, "
        "a batch norm of whole and parts together)",
        choices=("scaled", "full"),
    )
    part_width: int | None = setting(
        None, "inner width of part_attention=scaled; null: half of the channels", at_least=1, ceiling=16_384
    )
    shared_classifier: bool = setting(
        False, "one classifier for the feature of the whole image and for that of whole and parts"
    )
    heads: int = setting(4, "heads of the graph attention", at_least=1, ceiling=1024)
    graph_dim: int = setting(256, "width of a head of the graph attention", at_least=1, ceiling=16_384)
    graph: bool = setting(True, "train with graph attention over the batch too")
    graph_input: str = setting(
        "feature",
        "what the graph's nodes are: the feature of whole and parts, or the pooled vector before the neck",
        choices=("feature", "vector"),
    )
    graph_dropout: float = setting(0.0, "probability of dropout on nodes and weights of the graph", at_least=0, below=1)
    graph_start: str = setting(
        "joint",
        "initial weights of the graph, Xavier's: of all heads together (joint), or of each head, times 1.414 (gat)",
        choices=("joint", "gat"),
    )
    graph_first_epoch: str = setting(
        "mean_so_far",
        "weight of the graph in the first epoch: by the mean of the other losses so far, or zero",
        choices=("mean_so_far", "zero"),
    )

    def check_together(self, place: str) -> None:
        """Full attention has the width of the map."""
        super().check_together(place)
        if self.part_attention == "full" and self.part_width is not None:
            raise ConfigError(
                f"{place}.part_width is of part_attention=scaled; {place}.part_attention=full is as wide as the map: leave "
                "it out."
            )
