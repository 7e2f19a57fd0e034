"""DDAG: dynamic dual-attentive aggregation learning (Ye, Shen, Crandall, Shao, Luo, ECCV 2020).

A two-stream network whose feature is that of the whole image plus attended parts of it (IWPA), and, in training, graph
attention over the batch (CGSA), whose loss counts more as the others fall.

Example:
    ``python -m crossreid.train model=ddag``
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from crossreid.data.records import Modality
from crossreid.errors import ConfigError
from crossreid.losses import euclidean_triplet, identity_loss
from crossreid.methods.ddag.networks import DDAGNetwork, GraphClassifier
from crossreid.methods.players import Losses
from crossreid.methods.recognition import RankingConfig, RecognitionModule, Views
from crossreid.nn.feature_block import Described


@dataclass
class DDAGConfig(RankingConfig):
    """Settings of DDAG.

    Attributes:
        parts: horizontal parts of a person, 2 or more.
        part_width: inner width of the attention between parts; null for half of the channels.
        heads: of the graph attention.
        graph_dim: width of a head.
        graph: train with graph attention over the batch too.
    """

    parts: int = 3
    part_width: int | None = None
    heads: int = 4
    graph_dim: int = 256
    graph: bool = True

    def check(self) -> None:
        """Raise :class:`ConfigError` in one sentence when settings cannot work together."""
        super().check()
        if self.parts < 2:
            raise ConfigError(f"model.parts is {self.parts}: attention between parts needs 2 or more.")
        if min(self.part_width or 1, self.heads, self.graph_dim) < 1 or self.part_width == 0:
            raise ConfigError("model.part_width (or null), model.heads and model.graph_dim are 1 or more.")


class DDAG(RecognitionModule[DDAGConfig]):
    """One network, one player.

    Attributes:
        part_losses: (2, 2) sum and number of the losses without the graph's, in the previous epoch and in this one; a buffer,
            so that a resumed run weighs the graph as an uninterrupted one. Processes agree: each loss is their mean.
    """

    CONFIG = DDAGConfig
    network: DDAGNetwork
    part_losses: Tensor

    def __init__(self, config: DDAGConfig, num_identities: int, seed: int) -> None:
        super().__init__(config, num_identities, seed)
        self.network = DDAGNetwork(config.backbone, num_identities, config.parts, config.part_width)
        if config.graph:
            channels = self.network.encoder.channels
            self.graph = GraphClassifier(channels, config.graph_dim, config.heads, num_identities)
            self.register_buffer("part_losses", torch.zeros(2, 2))

    def encoder(self) -> nn.Module:
        """The two-stream ResNet."""
        return self.network.encoder

    def describe(self, images: Mapping[Modality, Tensor]) -> Described:
        """The vector of the whole image; feature and logits of whole and parts. No graph."""
        seen = self.network(images)
        return Described(seen.whole.vector, seen.feature, seen.logits)

    def add_losses(self, losses: Losses, views: Views) -> None:
        """``L_P + L_g / (1 + E)``, E the mean of L_P over the previous epoch."""
        cfg, labels = self.config, views.labels
        seen = self.network(views.images)
        vectors = seen.whole.vector
        terms = {
            "id": identity_loss(seen.whole.logits, labels, cfg.label_smoothing),
            "triplet": euclidean_triplet(vectors, vectors, labels, labels, cfg.margin),
            "parts": identity_loss(seen.logits, labels, cfg.label_smoothing),
        }
        for name, value in terms.items():
            losses.add(name, value)
        if cfg.graph:
            noted = torch.stack(list(terms.values())).sum().detach().clone()
            self._note(self.trainer.strategy.reduce(noted, reduce_op="mean"))
            losses.add("graph", identity_loss(self.graph(seen.feature, labels), labels), self.graph_weight())

    def _note(self, loss: Tensor) -> None:
        """Add this iteration's L_P to the sums; a new epoch makes them those of the previous one."""
        if self.iteration % self.config.iterations_per_epoch == 0:
            self.part_losses[0] = self.part_losses[1]
            self.part_losses[1] = 0
        self.part_losses[1, 0] += loss
        self.part_losses[1, 1] += 1

    def graph_weight(self) -> float:
        """``1 / (1 + E)``; in the first epoch E is the mean so far, this iteration included."""
        previous, current = self.part_losses.tolist()
        total, count = previous if previous[1] else current
        return float(1 / (1 + total / count))
