"""DDAG's networks: attention between the parts of a person, and between the images of a batch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from crossreid.methods.ddag.config import DDAGConfig
from crossreid.nn.backbones import pool
from crossreid.nn.feature_block import BlockOutput, FeatureBlock
from crossreid.nn.neck import BatchNormNeck
from crossreid.nn.two_stream import TwoStreamResNet

SLOPE = 0.2  # of the leaky ReLU in graph attention
GAT_GAIN = 1.414
"""What the authors of graph attention multiply Xavier's initial weights by."""


def horizontal_stripes(feature_map: Tensor, parts: int) -> Tensor:
    """(N, C, h, w) -> means of p stripes (N, p, C), from the top; they overlap where h is no multiple of p."""
    return F.adaptive_avg_pool2d(feature_map, (parts, 1)).squeeze(-1).transpose(1, 2)


class PartAttention(nn.Module):
    """Maps (N, C, h, w) -> weighted sums of attended parts (N, C): what IWPA adds to the feature of the whole image.

    The map is averaged over ``parts`` horizontal stripes. Every part becomes the mean of all parts' values, weighted by the
    softmax of query and key products over the root of their width; a learned weight for each place sums them, and the sum is
    batch-normalised.

    Args:
        channels: C.
        parts: number of stripes.
        width: inner width of queries and keys; None for C // 2.
    """

    def __init__(self, channels: int, parts: int, width: int | None) -> None:
        super().__init__()
        inner = width or channels // 2
        self.query = nn.Linear(channels, inner, bias=False)
        self.key = nn.Linear(channels, inner, bias=False)
        self.value = nn.Linear(channels, channels, bias=False)
        self.weights = nn.Parameter(torch.full((parts,), 1 / parts))  # starts as the mean of the parts
        self.norm = BatchNormNeck(channels)

    def stripes(self, feature_map: Tensor) -> Tensor:
        """(N, C, h, w) -> parts (N, p, C), from the top; stripes overlap where h is no multiple of p."""
        return horizontal_stripes(feature_map, len(self.weights))

    def attention(self, parts: Tensor) -> Tensor:
        """Parts (N, p, C) -> weights of part j for part i (N, p, p), rows sum to 1."""
        query = self.query(parts)
        key = self.key(parts)
        scores: Tensor = query @ key.transpose(1, 2) / query.shape[2] ** 0.5
        return scores.softmax(2)

    def forward(self, feature_map: Tensor) -> Tensor:
        """(N, C, h, w) -> (N, C), in float32 whatever the training precision."""
        with torch.autocast(feature_map.device.type, enabled=False):
            parts = self.stripes(feature_map.float())
            attended = self.attention(parts) @ self.value(parts)
            summed: Tensor = self.norm(torch.einsum("p,npc->nc", self.weights, attended))
            return summed


class FullPartAttention(nn.Module):
    """Maps (N, C, h, w) -> weighted sums of attended parts (N, C), as in the authors' code.

    As :class:`PartAttention`, but queries, keys and values are C wide and have biases, products are not scaled, the weights
    of the parts go through a softmax, and the sum is not batch-normalised: the feature that it is added to is.

    Args:
        channels: C.
        parts: number of stripes.
    """

    def __init__(self, channels: int, parts: int) -> None:
        super().__init__()
        self.query = nn.Linear(channels, channels)
        self.key = nn.Linear(channels, channels)
        self.value = nn.Linear(channels, channels)
        self.weights = nn.Parameter(torch.full((parts,), 1 / parts))

    def forward(self, feature_map: Tensor) -> Tensor:
        """(N, C, h, w) -> (N, C), in float32 whatever the training precision."""
        with torch.autocast(feature_map.device.type, enabled=False):
            parts = horizontal_stripes(feature_map.float(), len(self.weights))
            scores = self.query(parts) @ self.key(parts).transpose(1, 2)
            attended = scores.softmax(2) @ self.value(parts)
            summed: Tensor = torch.einsum("p,npc->nc", self.weights.softmax(0), attended)
            return summed


class Aggregated(NamedTuple):
    """What the network makes of N images.

    Attributes:
        whole: of the pooled map.
        feature: (N, C) of the whole and its parts, what retrieval compares.
        logits: (N, classes) of ``feature``.
    """

    whole: BlockOutput
    feature: Tensor
    logits: Tensor


class DDAGNetwork(nn.Module):
    """Images of both modalities in [0, 1] -> :class:`Aggregated`.

    Args:
        config: of the method.
        classes: number of training identities.
    """

    def __init__(self, config: DDAGConfig, classes: int) -> None:
        super().__init__()
        self.encoder = TwoStreamResNet(config.backbone)
        channels = self.encoder.channels
        self.block = FeatureBlock(channels, classes, "bnneck", channels)
        self.parts: nn.Module
        self.norm: nn.Module
        if config.part_attention == "full":
            self.parts = FullPartAttention(channels, config.parts)
            self.norm = BatchNormNeck(channels)
        else:
            self.parts = PartAttention(channels, config.parts, config.part_width)
            self.norm = nn.Identity()  # the sum of parts has a batch norm of its own
        if not config.shared_classifier:
            self.classifier = nn.Linear(channels, classes, bias=False)
            nn.init.normal_(self.classifier.weight, 0.0, 0.001)
        self.shared_classifier = config.shared_classifier

    def forward(self, images: Mapping[str, Tensor]) -> Aggregated:
        """``visible`` and ``infrared`` images (N, 3, h, w), or one of them; rows in the order given."""
        feature_map = self.encoder(images).layer4
        whole: BlockOutput = self.block(pool(feature_map))
        # The authors' code classifies whole and parts by one classifier.
        classifier = self.block.classifier if self.shared_classifier else self.classifier
        with torch.autocast(feature_map.device.type, enabled=False):
            feature = self.norm(whole.feature + self.parts(feature_map))
            return Aggregated(whole, feature, classifier(feature))


def same_identity(labels: Tensor) -> Tensor:
    """Labels (N,) -> adjacency (N, N), bool: images of one identity, of any modality, and each with itself."""
    return labels[:, None] == labels[None, :]


class GraphAttention(nn.Module):
    """Nodes (N, C) -> (N, heads x dim): each the mean of its neighbours, weighted by attention (GAT, ICLR 2018).

    Args:
        channels: C.
        dim: width of a head.
        heads: number of heads.
        dropout: probability, on the weights of the neighbours.
        start: initial weights: ``joint``, Xavier's of all heads together; or ``gat``, of each head, times
            :data:`GAT_GAIN`, its two score vectors taken for one.
    """

    def __init__(self, channels: int, dim: int, heads: int, dropout: float = 0.0, start: str = "joint") -> None:
        super().__init__()
        self.heads = heads
        self.dropout = nn.Dropout(dropout)
        self.project = nn.Linear(channels, heads * dim, bias=False)
        self.one = nn.Parameter(torch.empty(heads, dim))
        self.other = nn.Parameter(torch.empty(heads, dim))
        for weight in (self.project.weight, self.one, self.other):
            nn.init.xavier_uniform_(weight)
        if start == "gat":
            for weight, fans in (
                (self.project.weight, channels + dim),
                (self.one, 2 * dim + 1),
                (self.other, 2 * dim + 1),
            ):
                bound = GAT_GAIN * (6 / fans) ** 0.5  # Xavier's: fans are inputs plus outputs
                nn.init.uniform_(weight, -bound, bound)

    def attention(self, projected: Tensor, adjacency: Tensor) -> Tensor:
        """Projected nodes (N, heads, dim) -> weights of node j for node i (heads, N, N), 0 where they are no neighbours."""
        one = (projected * self.one).sum(2).T  # (heads, N)
        other = (projected * self.other).sum(2).T
        # a . [h_i, h_j] of GAT is a sum of two products, so that no pair (i, j) of vectors is ever made
        scores = F.leaky_relu(one[:, :, None] + other[:, None, :], SLOPE)
        return scores.masked_fill(~adjacency, -torch.inf).softmax(2)

    def forward(self, nodes: Tensor, adjacency: Tensor) -> Tensor:
        """Nodes (N, C) and neighbours (N, N), bool, one or more for each -> (N, heads x dim)."""
        projected = self.project(nodes).unflatten(1, (self.heads, -1))
        weights = self.dropout(self.attention(projected, adjacency))
        gathered = torch.einsum("hij,jhd->ihd", weights, projected)
        return gathered.flatten(1)


class GraphClassifier(nn.Module):
    """Features of a batch (N, C) and their labels -> logits (N, classes): CGSA, two layers of graph attention with ELU.

    Args:
        channels: C.
        dim: width of a head of the first layer.
        heads: of the first layer; the second has one.
        classes: number of training identities.
        dropout: probability, on features, on what the first layer makes of them, and on weights of neighbours.
        start: as in :class:`GraphAttention`.
    """

    def __init__(
        self, channels: int, dim: int, heads: int, classes: int, dropout: float = 0.0, start: str = "joint"
    ) -> None:
        super().__init__()
        self.dropout = nn.Dropout(dropout)
        self.first = GraphAttention(channels, dim, heads, dropout, start)
        self.second = GraphAttention(heads * dim, classes, 1, dropout, start)

    def forward(self, features: Tensor, labels: Tensor) -> Tensor:
        """(N, C), (N,) -> (N, classes), in float32 whatever the training precision."""
        adjacency = same_identity(labels)
        with torch.autocast(features.device.type, enabled=False):
            hidden = F.elu(self.first(self.dropout(features.float()), adjacency))
            return F.elu(self.second(self.dropout(hidden), adjacency))
