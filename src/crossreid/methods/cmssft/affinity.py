"""Affinities and propagation of cm-SSFT (Eq. 6-8, 10, 22): dense for training batches, chunked and sparse for scoring.

Both give the same numbers, in float32 as long as no two candidates for the k-th place are nearly equal. The sparse form
keeps the k largest affinities of a row as indices and values, never makes more than a chunk of a block, and treats groups of
queries of any size n: n = 1 is Eq. 22, n = all is Eq. 8.

Letters: n queries in a group, b groups (more than one only where n = 1), G gallery images, D width of features, D' after
W, k neighbours.
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
    degrees = affinities.sum(1, keepdim=True)  # d_ii, (N, 1); above 0, since every image is its own neighbour
    scale = degrees.rsqrt()  # the diagonal of D^-1/2: a factor for each row
    neighbour_sum = affinities @ (scale * projected)  # A D^-1/2 Z W
    return scale * neighbour_sum


# ---------------------------------------------------------------- sparse, in chunks, without gradients


class AffinityRows(NamedTuple):
    """The largest affinities of each row of a block, N rows of b groups.

    Attributes:
        columns: (b, N, k) places in the row, of the k neighbours.
        values: (b, N, k) their affinities.
    """

    columns: Tensor
    values: Tensor

    def scaled(self, factor: float) -> AffinityRows:
        """All values times ``factor``."""
        return self._replace(values=self.values * factor)

    def split(self, groups: int) -> AffinityRows:
        """(1, b * n, k) -> (b, n, k): rows of all groups become those of each."""
        n = self.columns.shape[1] // groups
        return AffinityRows(self.columns.view(groups, n, -1), self.values.view(groups, n, -1))

    def repeat(self, groups: int) -> AffinityRows:
        """(1, N, k) -> (b, N, k): the same rows in every group, without a copy."""
        return AffinityRows(self.columns.expand(groups, -1, -1), self.values.expand(groups, -1, -1))

    def select(self, rows: slice) -> AffinityRows:
        """(b, N, k) -> (b, r, k)."""
        return AffinityRows(self.columns[:, rows], self.values[:, rows])


class GraphRows(NamedTuple):
    """Rows of A (Eq. 8, 22), whose columns are the queries of a group and the gallery.

    Attributes:
        to_queries: neighbours among the queries.
        to_gallery: neighbours in the gallery.
    """

    to_queries: AffinityRows
    to_gallery: AffinityRows

    def degrees(self) -> Tensor:
        """d_ii of Eq. 10, the sums of the rows: (b, N)."""
        return self.to_queries.values.sum(2) + self.to_gallery.values.sum(2)

    def select(self, rows: slice) -> GraphRows:
        """r of the N rows of each group."""
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

    def select(self, index: Tensor) -> Nodes:
        """The images at ``index`` (M,)."""
        return Nodes(self.shared[index], self.specific[index], self.projected[index])


def nearest(rows: Tensor, columns: Tensor, k: int, *, groups: int = 1, same: bool = False, chunk: int) -> AffinityRows:
    """The k largest affinities of each row in each group of columns, ``chunk`` rows at a time.

    Args:
        rows: (N, D) unit vectors.
        columns: (groups * M, D) unit vectors, group by group.
        k: neighbours, at most M are given.
        groups: number of groups of columns.
        same: rows and columns are the same images: their affinity to themselves is exactly 1.
        chunk: rows of a block in memory.

    Returns:
        Indices inside the group and values, each (groups, N, min(k, M)).
    """
    indices = []
    values = []
    neighbours = min(k, len(columns) // groups)
    for start in range(0, len(rows), chunk):
        part = rows[start : start + chunk]
        # Unit vectors: |a - b|^2 = 2 - 2 a.b, made in place, since a block is the largest tensor here. Rounding may
        # leave it below 0.
        squared = torch.matmul(part, columns.T).mul_(-2).add_(2).clamp_(min=0)
        if same:
            row_of_part = torch.arange(len(part))
            squared[row_of_part, start + row_of_part] = 0
        affinities = squared.sqrt_().mul_(-0.5).add_(1)  # Eq. 7, (rows of the part, groups * M)
        largest = affinities.view(len(part), groups, -1).topk(neighbours, dim=2)
        indices.append(largest.indices)
        values.append(largest.values)
    # (N, groups, k) -> (groups, N, k)
    return AffinityRows(torch.cat(indices).transpose(0, 1), torch.cat(values).transpose(0, 1))


class GroupGraph:
    """The graph of the gallery and a group of queries, or of several groups at once if they are single.

    The columns of a group of n < k queries are scaled by k / n: Eq. 22 for n = 1, Eq. 8 from n = k on. Degrees follow
    from the scaled rows, so each group has gallery features of its own.

    Args:
        queries: b * n images of one modality, group by group.
        gallery: G images of the other modality.
        within_gallery: ``nearest`` of the gallery in itself, which does not depend on the queries.
        k: neighbours.
        groups: b; more than one needs n = 1.
        chunk: rows of a block in memory.
    """

    def __init__(
        self, queries: Nodes, gallery: Nodes, within_gallery: AffinityRows, k: int, *, groups: int, chunk: int
    ) -> None:
        n = len(queries.shared) // groups
        if groups > 1 and n > 1:
            raise ValueError("several groups at once are for single queries")
        # The four blocks of A: specific features inside a modality, shared ones across (Eq. 6).
        if n == 1:
            among_queries = _only_itself(queries.shared, groups)
        else:
            among_queries = nearest(queries.specific, queries.specific, k, same=True, chunk=chunk)
        queries_to_gallery = nearest(queries.shared, gallery.shared, k, chunk=chunk)
        gallery_to_queries = nearest(gallery.shared, queries.shared, k, groups=groups, chunk=chunk)
        # A row finds at most n neighbours among n < k queries, and k in the gallery: the factor evens them out (Eq. 22).
        balance = max(1.0, k / n)
        self.query_rows = GraphRows(among_queries.scaled(balance), queries_to_gallery.split(groups))
        self.gallery_rows = GraphRows(gallery_to_queries.scaled(balance), within_gallery.repeat(groups))
        self.query_scale = self.query_rows.degrees().rsqrt()  # diagonal of D^-1/2, (b, n)
        self.gallery_scale = self.gallery_rows.degrees().rsqrt()  # (b, G)
        self.projected_queries = queries.projected  # (b * n, D')
        self.projected_gallery = gallery.projected  # (G, D')
        self.n = n

    def queries(self) -> Tensor:
        """Eq. 10 before the ReLU, for the queries: (b, n, D')."""
        return self.query_scale[:, :, None] * self._neighbour_sum(self.query_rows)

    def gallery(self, rows: slice) -> Tensor:
        """Eq. 10 before the ReLU, for the r gallery images of ``rows``: (b, r, D')."""
        return self.gallery_scale[:, rows, None] * self._neighbour_sum(self.gallery_rows.select(rows))

    def _neighbour_sum(self, rows: GraphRows) -> Tensor:
        """``A D^-1/2 Z W`` of N rows: what comes from the queries, and what from the gallery, (b, N, D')."""
        # Each group has queries of its own; the gallery is that of all groups.
        from_queries = _weighted_sum(rows.to_queries, self.query_scale, self.projected_queries, group_rows=self.n)
        from_gallery = _weighted_sum(rows.to_gallery, self.gallery_scale, self.projected_gallery, group_rows=0)
        return from_queries.add_(from_gallery)


def _only_itself(queries: Tensor, groups: int) -> AffinityRows:
    """A^qq of Eq. 22: a single query is its own only neighbour among the queries, with affinity 1; (b, 1, 1)."""
    columns = torch.zeros(groups, 1, 1, dtype=torch.long, device=queries.device)
    return AffinityRows(columns, torch.ones_like(columns, dtype=queries.dtype))


def _weighted_sum(neighbours: AffinityRows, scale: Tensor, projected: Tensor, *, group_rows: int) -> Tensor:
    """Sum over the k neighbours j of row i of ``A_ij d_jj^-1/2 (Z W)_j``: (b, N, D').

    Args:
        neighbours: (b, N, k), in columns 0 to M - 1 of their group.
        scale: (b, M), d_jj^-1/2 of each group's columns.
        projected: ``Z W`` (b * M, D') of all groups one after the other, or (M, D') that all groups share.
        group_rows: M where the groups stand one after the other, 0 where they share the rows.
    """
    b, rows, k = neighbours.columns.shape
    neighbour_scale = scale.gather(1, neighbours.columns.reshape(b, -1)).view(b, rows, k)
    weights = neighbours.values * neighbour_scale
    first_rows = group_rows * torch.arange(b, device=projected.device)  # of each group in ``projected``, (b,)
    places = neighbours.columns + first_rows[:, None, None]  # (b, N, k)
    # embedding_bag adds up weighted rows without a tensor (b, N, k, D').
    bags = places.reshape(-1, k)  # one bag of k rows for each of the b * N images
    sums = F.embedding_bag(bags, projected, per_sample_weights=weights.reshape(-1, k), mode="sum")
    return sums.view(b, rows, -1)
