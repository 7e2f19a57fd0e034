"""Eq. 22 for every query by itself, many at a time.

The graph of one query and the gallery differs from that of another query in one row and one column. So the affinities of all
queries are one matrix product, and what is left for a query q and a gallery image i is

    y = relu(s_i z),  z = s_q w_qi (Z W)_q + sum over the k neighbours j of i in the gallery of A_ij s_j (Z W)_j,

with s = d^-1/2 of the graph of q, then Feat^t (Eq. 11) and a cosine. Feat^t with a batch norm, which is ``a y + b`` at test, is
never made: the cosine needs sums over its entries only, and s_i > 0 stands outside of the ReLU.

Affinities, degrees and the choice of neighbours are in float64, features in float32: cosines are within 1e-6 of those of
:class:`~crossreid.methods.cmssft.affinity.GroupGraph` with groups of one.

Letters: m queries, G gallery images, r of them at a time, D' width after W, k neighbours.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from crossreid.methods.cmssft.affinity import AffinityRows, Nodes, unit_affinities
from crossreid.nn.feature_block import FeatureBlock
from crossreid.nn.neck import BatchNormNeck

_QUERIES = 1024  # whose affinities to the gallery are in memory at once


class _Graphs(NamedTuple):
    """Graphs of m single queries and the gallery.

    Attributes:
        query_weights: (m, G) what a query adds to each gallery image, ``s_q w_qi``.
        scale: (m, G) s of the gallery images.
        neighbours: (m, k) of the queries in the gallery, and their affinities.
        query_scale: (m,) s of the queries.
    """

    query_weights: Tensor
    scale: Tensor
    neighbours: AffinityRows
    query_scale: Tensor


@dataclass
class SingleQueries:
    """Cosines of T of single queries and of the gallery beside them.

    Args:
        block: Feat^t, in eval mode.
        gallery: G images of one modality, float64.
        within_gallery: their neighbours among themselves, (G, k).
        k: neighbours.
        memory: numbers in a tensor of gallery features.
    """

    block: FeatureBlock
    gallery: Nodes
    within_gallery: AffinityRows
    k: int
    memory: int

    def __call__(self, queries: Nodes) -> Iterator[tuple[slice, Tensor]]:
        """Which queries, and their cosines (m, G) float64."""
        features = _features_of(self.block)
        for start in range(0, len(queries.shared), _QUERIES):
            part = slice(start, start + _QUERIES)
            some = queries.select(part)
            graphs = self._graphs(some)
            yield part, self._cosines(some, graphs, features)

    def _graphs(self, queries: Nodes) -> _Graphs:
        across = unit_affinities(queries.shared, self.gallery.shared)  # Eq. 7, (m, G)
        nearest = across.topk(min(self.k, across.shape[1]), dim=1)
        # A query is its own only neighbour among the queries, with affinity 1; the factor k evens that out (Eq. 22).
        query_scale = (self.k + nearest.values.sum(1)).rsqrt()
        within = self.within_gallery.values.sum(1)  # (G,)
        scale = (within + self.k * across).rsqrt()
        weights = across.mul_(self.k).mul_(query_scale[:, None])
        return _Graphs(weights, scale, AffinityRows(nearest.indices, nearest.values), query_scale)

    def _query_features(self, queries: Nodes, graphs: _Graphs) -> Tensor:
        """T of the queries, (m, D) float64."""
        neighbours = graphs.neighbours
        weights = neighbours.values * graphs.scale.gather(1, neighbours.columns)
        from_gallery = F.embedding_bag(
            neighbours.columns, self.gallery.projected, per_sample_weights=weights, mode="sum"
        )
        from_itself = (self.k * graphs.query_scale)[:, None] * queries.projected
        propagated = graphs.query_scale[:, None] * (from_gallery + from_itself)
        return F.normalize(self.block.features(F.relu(propagated)), dim=1)

    def _cosines(self, queries: Nodes, graphs: _Graphs, features: _Features) -> Tensor:
        """Of m queries and the gallery, (m, G) float64."""
        transferred = self._query_features(queries, graphs)
        gallery = features.weigh(self.gallery.projected).float()
        own = features.weigh(queries.projected).float()
        count, size, width = len(own), len(gallery), gallery.shape[1]
        result = torch.empty(count, size, dtype=torch.float64, device=gallery.device)
        rows_at_once = max(1, min(size, self.memory // width))
        queries_at_once = max(1, self.memory // (width * rows_at_once))
        for start in range(0, count, queries_at_once):
            some = slice(start, start + queries_at_once)
            table = torch.cat([gallery, own[some]])  # what rows are summed from: the gallery, then the queries
            for first in range(0, size, rows_at_once):
                rows = slice(first, first + rows_at_once)
                summed = self._sums(graphs, some, rows, table)  # (b, r, D')
                scale = graphs.scale[some, rows]
                result[some, rows] = features.cosines(summed, scale, transferred[some])
        return result

    def _sums(self, graphs: _Graphs, queries: slice, rows: slice, table: Tensor) -> Tensor:
        """``relu(z)`` of b queries and r gallery images, (b, r, D') float32."""
        columns, values = self.within_gallery.select(rows)  # (r, k)
        from_gallery = values * graphs.scale[queries][:, columns]  # A_ij s_j, (b, r, k)
        weights = torch.cat([from_gallery, graphs.query_weights[queries, rows, None]], dim=2).float()
        b, r, terms = weights.shape
        own_row = len(self.gallery.shared) + torch.arange(b, device=columns.device)
        places = torch.cat([columns.expand(b, -1, -1), own_row[:, None, None].expand(b, r, 1)], dim=2)
        summed = F.embedding_bag(
            places.reshape(-1, terms), table, per_sample_weights=weights.reshape(-1, terms), mode="sum"
        )
        return summed.relu_().view(b, r, -1)


# ---------------------------------------------------------------- Feat^t and the cosine


class _Affine:
    """Feat^t of a batch norm in eval mode, ``a y + b``; or of no neck at all, a = 1 and b = 0.

    With |a| put into what is summed, and the sign of a into what it is compared with, a y + b is never made.
    """

    def __init__(self, a: Tensor, b: Tensor) -> None:
        self.size = a.abs()
        self.sign = a.sign()
        self.shift = b
        self.signed_shift = (self.sign * b).float()
        self.squared_shift = float(b @ b)

    def weigh(self, projected: Tensor) -> Tensor:
        """What is to be summed, (N, D')."""
        return projected * self.size

    def cosines(self, summed: Tensor, scale: Tensor, transferred: Tensor) -> Tensor:
        """Of b queries' T (b, D') with a y + b, where y is ``scale`` (b, r) times what was summed (b, r, D')."""
        compared = (transferred * self.sign).float()
        products = torch.bmm(summed, compared[:, :, None])[:, :, 0]  # sum of a y T, without the scale
        with_shift = summed @ self.signed_shift
        length = torch.linalg.vector_norm(summed, dim=2)
        dots = scale * products + (transferred @ self.shift)[:, None]
        squared = (scale * length) ** 2 + 2 * scale * with_shift + self.squared_shift
        cosines: Tensor = dots / squared.sqrt().clamp(min=1e-12)  # as F.normalize
        return cosines


class _Whole:
    """Any other Feat^t: its features are made."""

    def __init__(self, block: FeatureBlock) -> None:
        assert isinstance(block.neck, torch.nn.Linear)
        self.weight, self.bias = block.neck.weight.float(), block.neck.bias.float()

    def weigh(self, projected: Tensor) -> Tensor:
        """What is to be summed, (N, D')."""
        return projected

    def cosines(self, summed: Tensor, scale: Tensor, transferred: Tensor) -> Tensor:
        """Of b queries' T (b, D) with Feat^t of ``scale`` (b, r) times what was summed (b, r, D')."""
        features = F.linear(summed * scale[:, :, None].float(), self.weight, self.bias)
        cosines = torch.bmm(F.normalize(features, dim=2), transferred.float()[:, :, None])
        return cosines[:, :, 0].double()


_Features = _Affine | _Whole


def _features_of(block: FeatureBlock) -> _Features:
    """How cosines with the features of a block are made."""
    neck = block.neck
    if isinstance(neck, BatchNormNeck):
        assert neck.running_mean is not None
        assert neck.running_var is not None
        a = neck.weight * torch.rsqrt(neck.running_var + neck.eps)
        return _Affine(a, -neck.running_mean * a)
    if isinstance(neck, torch.nn.Identity):
        one = torch.ones(block.dim, dtype=torch.float64, device=block.classifier.weight.device)
        return _Affine(one, torch.zeros_like(one))
    return _Whole(block)
