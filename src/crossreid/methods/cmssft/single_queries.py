"""Eq. 22 for every query by itself, many at a time.

The graph of one query and the gallery differs from that of another query in one row and one column. So the affinities of all
queries are one matrix product, and what is left for a query q and a gallery image i is

    y = relu(s_i z),  z = s_q w_qi (Z W)_q + sum over the k neighbours j of i in the gallery of A_ij s_j (Z W)_j,

with s = d^-1/2 of the graph of q, then Feat^t (Eq. 11) and a cosine. Feat^t with a batch norm, which is ``a y + b`` at test, is
never made: the cosine needs sums over its entries only, and s_i > 0 stands outside of the ReLU.

Affinities, degrees and the choice of neighbours are in float64, features in float32: cosines are within 1e-6 of those of
:class:`~crossreid.methods.cmssft.affinity.GroupGraph` with groups of one.

For each gallery image the sums of many queries are one product of small matrices, since its neighbours are the same for all
of them.

Letters: m queries, b of them at a time, G gallery images, r of them at a time, D' width after W, k neighbours.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from crossreid.methods.cmssft.affinity import AffinityRows, Nodes, unit_affinities
from crossreid.nn.feature_block import FeatureBlock
from crossreid.nn.neck import BatchNormNeck

_QUERIES = 1024  # whose affinities to the gallery are in memory at once
_TOGETHER = 64  # queries whose sums are made at once
_WEIGHTS = 128  # gallery images whose weights are made at once


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
        memory: numbers in a tensor of sums.
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
        # The column A^Gq is whole, without a choice of neighbours: there is one query only (Eq. 22).
        scale = (within + self.k * across).rsqrt()
        # In place, the last use of the affinities: (m, G) is the largest tensor here.
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
        result = torch.empty(len(own), len(gallery), dtype=torch.float64, device=gallery.device)
        for start in range(0, len(own), _TOGETHER):
            some = slice(start, start + _TOGETHER)
            compared = features.compared_with(transferred[some])
            for rows, summed in self._sums(graphs, some, gallery, own[some]):
                scale = graphs.scale[some, rows].T  # (r, b)
                result[some, rows] = compared(summed, scale).T
        return result

    def _sums(self, graphs: _Graphs, queries: slice, gallery: Tensor, own: Tensor) -> Iterator[tuple[slice, Tensor]]:
        """``relu(z)`` of b queries and r gallery images, (r, b, D') float32, and which images, a part at a time."""
        # Parts in parts: weights (p, b, k) are small beside the sums (r, b, D'), so more of them are made at once.
        at_once = max(1, self.memory // own.numel())
        for start in range(0, len(gallery), _WEIGHTS):
            part = slice(start, min(start + _WEIGHTS, len(gallery)))
            columns, values = self.within_gallery.select(part)  # (p, k)
            neighbour_scale = graphs.scale[queries][:, columns]  # s_j, (b, p, k)
            weights = (values * neighbour_scale).float().transpose(0, 1).contiguous()  # A_ij s_j, (p, b, k)
            own_weights = graphs.query_weights[queries, part].T.float()[:, :, None].contiguous()  # (p, b, 1)
            for first in range(0, len(weights), at_once):
                images = slice(first, first + at_once)
                of_query = own_weights[images] * own  # (r, b, D')
                # z of the formula above: (r, b, k) @ (r, k, D'), added to what the query brings.
                summed = of_query.baddbmm_(weights[images], gallery[columns[images]])
                rows = slice(start + first, start + first + len(summed))
                yield rows, summed.relu_()


# ---------------------------------------------------------------- Feat^t and the cosine


_Comparison = Callable[[Tensor, Tensor], Tensor]
"""What was summed (r, b, D') and its scale (r, b) to cosines (r, b) float64."""


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

    def compared_with(self, transferred: Tensor) -> _Comparison:
        """Cosines of b queries' T (b, D') with a y + b, where y is ``scale`` (r, b) times what was summed (r, b, D')."""
        signed = (transferred * self.sign).float()
        own_shift = transferred @ self.shift  # (b,)

        def cosines(summed: Tensor, scale: Tensor) -> Tensor:
            products = torch.linalg.vecdot(summed, signed)  # sum of a y T, without the scale
            with_shift = summed @ self.signed_shift
            length = torch.linalg.vector_norm(summed, dim=2)
            dots = scale * products + own_shift
            squared = (scale * length) ** 2 + 2 * scale * with_shift + self.squared_shift
            cosine: Tensor = dots / squared.sqrt().clamp(min=1e-12)  # as F.normalize
            return cosine

        return cosines


class _Whole:
    """Any other Feat^t: its features are made."""

    def __init__(self, block: FeatureBlock) -> None:
        assert isinstance(block.neck, torch.nn.Linear)
        self.weight, self.bias = block.neck.weight.float(), block.neck.bias.float()

    def weigh(self, projected: Tensor) -> Tensor:
        """What is to be summed, (N, D')."""
        return projected

    def compared_with(self, transferred: Tensor) -> _Comparison:
        """Cosines of b queries' T (b, D) with Feat^t of ``scale`` (r, b) times what was summed (r, b, D')."""
        unit = transferred.float()

        def cosines(summed: Tensor, scale: Tensor) -> Tensor:
            features = F.linear(summed * scale[:, :, None].float(), self.weight, self.bias)
            cosine: Tensor = torch.linalg.vecdot(F.normalize(features, dim=2), unit)
            return cosine.double()

        return cosines


_Features = _Affine | _Whole


def _features_of(block: FeatureBlock) -> _Features:
    """How cosines with the features of a block are made."""
    neck = block.neck
    if isinstance(neck, BatchNormNeck):
        assert neck.running_mean is not None
        assert neck.running_var is not None
        # The neck has no shift of its own: a (y - mean) is all there is.
        a = neck.weight * torch.rsqrt(neck.running_var + neck.eps)
        return _Affine(a, -neck.running_mean * a)
    if isinstance(neck, torch.nn.Identity):
        one = torch.ones(block.dim, dtype=torch.float64, device=block.classifier.weight.device)
        return _Affine(one, torch.zeros_like(one))
    return _Whole(block)
