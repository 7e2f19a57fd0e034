"""Affinities and propagation of cm-SSFT (Eq. 6-8, 10, 22): dense for training batches, chunked and sparse for scoring.

Both give the same numbers, in float32 as long as no two candidates for the k-th place are nearly equal. The sparse form
keeps the k largest affinities of a row as indices and values, never makes more than a chunk of a block, and treats groups of
queries of any size n: n = 1 is Eq. 22 (many such groups at once: :mod:`crossreid.methods.cmssft.single_queries`), n = all is
Eq. 8.

Letters: n queries in a group, G gallery images, D width of features, D' after W, k neighbours.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from crossreid.losses import exact_distances

# ---------------------------------------------------------------- dense, with gradients


def affinity(a: Tensor, b: Tensor) -> Tensor:
    """d(a, b) of Eq. 7, a similarity: 1 - half the distance of unit vectors, (N, D) and (M, D) -> (N, M) in [0, 1].

    An image's affinity to itself is exactly 1, with gradient 0: by a matrix product its distance would be the root of a
    rounding error, whose gradient has no bounds.
    """
    distances = exact_distances(F.normalize(a, dim=1), F.normalize(b, dim=1))
    return 1 - 0.5 * distances


def keep_largest(block: Tensor, k: int) -> Tensor:
    """T(., k) of Eq. 8: the k largest values of each row (all, where there are fewer), zeros elsewhere.

    What is kept stays differentiable, the choice does not.
    """
    neighbours = min(k, block.shape[1])
    # By rows and in each block alone, so that every image has k neighbours in its own modality and k in the other.
    columns = block.detach().topk(neighbours, dim=1).indices  # (N, k)
    mask = torch.zeros_like(block).scatter_(1, columns, 1.0)  # 1 at the neighbours of each row
    return block * mask


def dense_affinities(visible: tuple[Tensor, Tensor], infrared: tuple[Tensor, Tensor], k: int) -> Tensor:
    """Eq. 6 and 8: A of visible, then infrared images.

    Args:
        visible: shared and specific features, each (N, D).
        infrared: the same of the infrared images, each (M, D).
        k: values kept in each row of each of the four blocks.

    Returns:
        (N + M, N + M): from specific features inside a modality, from shared ones across. Not symmetric.
    """
    visible_shared, visible_specific = visible
    infrared_shared, infrared_specific = infrared
    across = affinity(visible_shared, infrared_shared)  # A^RI; d is symmetric, so A^IR is its transpose
    within_visible = affinity(visible_specific, visible_specific)
    within_infrared = affinity(infrared_specific, infrared_specific)
    visible_rows = torch.cat([keep_largest(within_visible, k), keep_largest(across, k)], dim=1)  # (N, N + M)
    infrared_rows = torch.cat([keep_largest(across.T, k), keep_largest(within_infrared, k)], dim=1)  # (M, N + M)
    return torch.cat([visible_rows, infrared_rows])


def propagate(affinities: Tensor, projected: Tensor) -> Tensor:
    """Eq. 10 before the ReLU: ``D^-1/2 A D^-1/2 (Z W)`` with D the row sums of A; (N, N) and (N, D) -> (N, D)."""
    # Row sums on both sides, as printed, though A is not symmetric after Eq. 8.
    degrees = affinities.sum(1, keepdim=True)  # d_ii, (N, 1); above 0, since every image is its own neighbour
    scale = degrees.rsqrt()  # the diagonal of D^-1/2: a factor for each row
    neighbour_sum = affinities @ (scale * projected)  # A D^-1/2 Z W
    return scale * neighbour_sum


# ---------------------------------------------------------------- sparse, in chunks, without gradients


class AffinityRows(NamedTuple):
    """The largest affinities of each row of a block of N rows.

    Attributes:
        columns: (N, k) places in the row, of the k neighbours.
        values: (N, k) their affinities.
    """

    columns: Tensor
    values: Tensor

    def scaled(self, factor: float) -> AffinityRows:
        """All values times ``factor``."""
        return self._replace(values=self.values * factor)

    def select(self, rows: slice) -> AffinityRows:
        """(N, k) -> (r, k)."""
        return AffinityRows(self.columns[rows], self.values[rows])


class GraphRows(NamedTuple):
    """Rows of A (Eq. 8, 22), whose columns are the queries of a group and the gallery.

    Attributes:
        to_queries: neighbours among the queries.
        to_gallery: neighbours in the gallery.
    """

    to_queries: AffinityRows
    to_gallery: AffinityRows

    def degrees(self) -> Tensor:
        """d_ii of Eq. 10, the sums of the rows: (N,)."""
        return self.to_queries.values.sum(1) + self.to_gallery.values.sum(1)

    def select(self, rows: slice) -> GraphRows:
        """r of the N rows."""
        return GraphRows(self.to_queries.select(rows), self.to_gallery.select(rows))


class Nodes(NamedTuple):
    """Images of one modality, ready for propagation.

    Attributes:
        shared: (N, D) unit vectors.
        specific: (N, D) unit vectors.
        projected: (N, D') their ``Z W``.
    """

    shared: Tensor
    specific: Tensor
    projected: Tensor

    def select(self, index: Tensor | slice) -> Nodes:
        """The images at ``index`` (M,)."""
        return Nodes(self.shared[index], self.specific[index], self.projected[index])


def nearest(rows: Tensor, columns: Tensor, k: int, *, same: bool = False, chunk: int) -> AffinityRows:
    """The k largest affinities of each row, ``chunk`` rows at a time.

    Args:
        rows: (N, D) unit vectors.
        columns: (M, D) unit vectors.
        k: neighbours, at most M are given.
        same: rows and columns are the same images: their affinity to themselves is exactly 1.
        chunk: rows of a block in memory.

    Returns:
        Places and values, each (N, min(k, M)).
    """
    indices = []
    values = []
    neighbours = min(k, len(columns))
    for start in range(0, len(rows), chunk):
        part = rows[start : start + chunk]
        itself_at = start if same else None  # row i of this part is the image of column start + i
        affinities = unit_affinities(part, columns, itself_at=itself_at)
        largest = affinities.topk(neighbours, dim=1)
        indices.append(largest.indices)
        values.append(largest.values)
    return AffinityRows(torch.cat(indices), torch.cat(values))


def unit_affinities(rows: Tensor, columns: Tensor, *, itself_at: int | None = None) -> Tensor:
    """Eq. 7 of unit vectors (N, D) and (M, D), without gradients: (N, M).

    Args:
        rows: what the rows are.
        columns: what the columns are.
        itself_at: the column that is the image of the first row, where columns ``itself_at`` and following are the rows.
    """
    # |a - b|^2 = 2 - 2 a b, made in place, since a block is the largest tensor here. Rounding may leave it below 0.
    squared = torch.matmul(rows, columns.T).mul_(-2).add_(2).clamp_(min=0)
    if itself_at is not None:
        place = torch.arange(len(rows))
        squared[place, itself_at + place] = 0
    return squared.sqrt_().mul_(-0.5).add_(1)


class GroupGraph:
    """The graph of the gallery and a group of queries.

    The columns of a group of n < k queries are scaled by k / n: Eq. 22 for n = 1, Eq. 8 from n = k on. Degrees follow
    from the scaled rows, so each group has gallery features of its own.

    Args:
        queries: n images of one modality.
        gallery: G images of the other modality.
        within_gallery: ``nearest`` of the gallery in itself, which does not depend on the queries.
        k: neighbours.
        chunk: rows of a block in memory.
    """

    def __init__(self, queries: Nodes, gallery: Nodes, within_gallery: AffinityRows, k: int, *, chunk: int) -> None:
        # The four blocks of A: specific features inside a modality, shared ones across (Eq. 6).
        among_queries = nearest(queries.specific, queries.specific, k, same=True, chunk=chunk)
        queries_to_gallery = nearest(queries.shared, gallery.shared, k, chunk=chunk)
        gallery_to_queries = nearest(gallery.shared, queries.shared, k, chunk=chunk)
        # A row finds at most n neighbours among n < k queries, and k in the gallery: the factor evens them out (Eq. 22).
        balance = max(1.0, k / len(queries.shared))
        self.query_rows = GraphRows(among_queries.scaled(balance), queries_to_gallery)
        self.gallery_rows = GraphRows(gallery_to_queries.scaled(balance), within_gallery)
        # Of the scaled rows, for queries and gallery both: Eq. 22 normalises the graph of each group anew.
        self.query_scale = self.query_rows.degrees().rsqrt()  # diagonal of D^-1/2, (n,)
        self.gallery_scale = self.gallery_rows.degrees().rsqrt()  # (G,)
        self.projected_queries = queries.projected  # (n, D')
        self.projected_gallery = gallery.projected  # (G, D')

    def queries(self) -> Tensor:
        """Eq. 10 before the ReLU, for the queries: (n, D')."""
        return self.query_scale[:, None] * self._neighbour_sum(self.query_rows)

    def gallery(self, rows: slice) -> Tensor:
        """Eq. 10 before the ReLU, for the r gallery images of ``rows``: (r, D')."""
        return self.gallery_scale[rows, None] * self._neighbour_sum(self.gallery_rows.select(rows))

    def _neighbour_sum(self, rows: GraphRows) -> Tensor:
        """``A D^-1/2 Z W`` of N rows: what comes from the queries, and what from the gallery, (N, D')."""
        from_queries = _weighted_sum(rows.to_queries, self.query_scale, self.projected_queries)
        from_gallery = _weighted_sum(rows.to_gallery, self.gallery_scale, self.projected_gallery)
        return from_queries.add_(from_gallery)


def _weighted_sum(neighbours: AffinityRows, scale: Tensor, projected: Tensor) -> Tensor:
    """Sum over the k neighbours j of row i of ``A_ij d_jj^-1/2 (Z W)_j``: (N, D').

    Args:
        neighbours: (N, k), in columns 0 to M - 1.
        scale: (M,), d_jj^-1/2 of the columns.
        projected: ``Z W`` (M, D') of the columns.
    """
    weights = neighbours.values * scale[neighbours.columns]
    # embedding_bag adds up weighted rows without a tensor (N, k, D').
    return F.embedding_bag(neighbours.columns, projected, per_sample_weights=weights, mode="sum")
