"""DDAG: dynamic dual-attentive aggregation learning (Ye, Shen, Crandall, Shao, Luo, ECCV 2020).

A two-stream network whose feature is that of the whole image plus attended parts of it (IWPA), and, in training, graph
attention over the batch (CGSA), whose loss counts more as the others fall.

Example:
    ``python -m crossreid.train model=ddag``
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from crossreid.data.records import Modality
from crossreid.losses import euclidean_triplet, identity_loss
from crossreid.methods.ddag.config import DDAGConfig
from crossreid.methods.ddag.networks import DDAGNetwork, GraphClassifier
from crossreid.methods.players import Losses
from crossreid.methods.recognition import RecognitionModule, Views
from crossreid.nn.feature_block import BlockOutput


class DDAG(RecognitionModule[DDAGConfig]):
    """One network, one player.

    Attributes:
        part_losses: (2, 2) sum and number of the losses without the graph's, in the previous epoch and in this one; a buffer,
            so that a resumed run weighs the graph as an uninterrupted one. Processes agree: each loss is their mean.
    """

    CONFIG = DDAGConfig
    network: DDAGNetwork
    part_losses: Tensor

    def __init__(self, config: DDAGConfig | Mapping[str, Any], num_identities: int, seed: int = 0) -> None:
        super().__init__(config, num_identities, seed)
        cfg = self.config
        self.network = DDAGNetwork(cfg, num_identities)
        if cfg.graph:
            channels = self.network.encoder.channels
            self.graph = GraphClassifier(
                channels, cfg.graph_dim, cfg.heads, num_identities, cfg.graph_dropout, cfg.graph_start
            )
            self.register_buffer("part_losses", torch.zeros(2, 2))

    def encoder(self) -> nn.Module:
        """The two-stream ResNet."""
        return self.network.encoder

    def describe(self, images: Mapping[Modality, Tensor]) -> BlockOutput:
        """The vector of the whole image; feature and logits of whole and parts. No graph."""
        output = self.network(images)
        return BlockOutput(output.whole.vector, output.feature, output.logits)

    def add_losses(self, losses: Losses, views: Views) -> None:
        """``L_P + L_g / (1 + E)``, E the mean of L_P over the previous epoch."""
        cfg = self.config
        labels = views.labels
        output = self.network(views.images)
        vectors = output.whole.vector
        terms = {
            "id": identity_loss(output.whole.logits, labels, cfg.label_smoothing),
            "triplet": euclidean_triplet(vectors, vectors, labels, labels, cfg.margin),
            "parts": identity_loss(output.logits, labels, cfg.label_smoothing),
        }
        for name, value in terms.items():
            losses.add(name, value)
        if cfg.graph:
            part_loss = torch.stack(list(terms.values())).sum().detach().clone()  # L_P
            self._note(self.trainer.strategy.reduce(part_loss, reduce_op="mean"))
            # Training alone has labels for edges: retrieval goes without the graph.
            nodes = vectors if cfg.graph_input == "vector" else output.feature
            graph_loss = identity_loss(self.graph(nodes, labels), labels)  # L_g
            losses.add("graph", graph_loss, self.graph_weight())

    def _note(self, loss: Tensor) -> None:
        """Add this iteration's L_P to the sums; a new epoch makes them those of the previous one."""
        if self.iteration % self.config.known_epoch() == 0:
            self.part_losses[0] = self.part_losses[1]
            self.part_losses[1] = 0
        self.part_losses[1, 0] += loss
        self.part_losses[1, 1] += 1

    def graph_weight(self) -> Tensor:
        """``1 / (1 + E)``, a scalar; in the first epoch E is the mean so far, this iteration included, or the weight is 0."""
        # By `where` and not by `if`: nothing here waits for the device.
        previous_epoch, this_epoch = self.part_losses.double()
        first_is_over = previous_epoch[1] > 0
        total, count = torch.where(first_is_over, previous_epoch, this_epoch)
        weight: Tensor = 1 / (1 + total / count)
        if self.config.graph_first_epoch == "zero":
            weight = torch.where(first_is_over, weight, 0)
        return weight.float()
