"""Affinities and propagation of cm-SSFT (Eq. 6-8, 10, 22): dense for training batches, chunked and sparse for scoring.

Both give the same numbers, in float32 as long as no two candidates for the k-th place are nearly equal. The sparse form
keeps the k largest affinities of a row as indices and values, never makes more than a chunk of a block, and treats groups of
queries of any size n: n = 1 is Eq. 22, n = all is Eq. 8.

Letters: n queries in a group, b groups (more than one only where n = 1), G gallery images, D width, k neighbours.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from crossreid.losses import exact_distances

# ---------------------------------------------------------------- dense, with gradients


def affinity(one: Tensor, two: Tensor) -> Tensor:
    """Eq. 7: 1 - half the distance of the unit vectors, (N, D) and (M, D) -> (N, M) in [0, 1]; 1 where they agree."""
    return 1 - 0.5 * exact_distances(F.normalize(one, dim=1), F.normalize(two, dim=1))


def keep_largest(block: Tensor, k: int) -> Tensor:
    """T(., k) of Eq. 8: the k largest values of each row (all, where there are fewer), zeros elsewhere.

    What is kept stays differentiable, the choice does not.
    """
    chosen = block.detach().topk(min(k, block.shape[1]), dim=1).indices
    return block * torch.zeros_like(block).scatter_(1, chosen, 1.0)


def dense_affinities(visible: tuple[Tensor, Tensor], infrared: tuple[Tensor, Tensor], k: int) -> Tensor:
    """Eq. 6 and 8: A of visible, then infrared images.

    Args:
        visible: shared and specific features, each (N, D).
        infrared: the same of the infrared images, each (M, D).
        k: values kept in each row of each of the four blocks.

    Returns:
        (N + M, N + M): from specific features inside a modality, from shared ones across. Not symmetric.
    """
    (shared_v, specific_v), (shared_i, specific_i) = visible, infrared
    across = affinity(shared_v, shared_i)
    blocks = [[affinity(specific_v, specific_v), across], [across.T, affinity(specific_i, specific_i)]]
    return torch.cat([torch.cat([keep_largest(block, k) for block in row], dim=1) for row in blocks])


def propagate(affinities: Tensor, projected: Tensor) -> Tensor:
    """Eq. 10 before the ReLU: ``D^-1/2 A D^-1/2 (Z W)`` with D the row sums of A; (N, N) and (N, D) -> (N, D)."""
    scale = affinities.sum(1, keepdim=True).rsqrt()
    return scale * (affinities @ (scale * projected))


# ---------------------------------------------------------------- sparse, in chunks, without gradients


class AffinityRows(NamedTuple):
    """The largest affinities of each row of a block.

    Attributes:
        columns: (b, N, k) their places in the row.
        values: (b, N, k) affinities.
    """

    columns: Tensor
    values: Tensor

    def scaled(self, factor: float) -> AffinityRows:
        """All values times ``factor``."""
        return self._replace(values=self.values * factor)


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
        return Nodes(*(part[index] for part in self))


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
    indices, values = [], []
    for start in range(0, len(rows), chunk):
        part = rows[start : start + chunk]
        squared = torch.matmul(part, columns.T).mul_(-2).add_(2).clamp_(min=0)
        if same:
            squared[torch.arange(len(part)), torch.arange(start, start + len(part))] = 0
        blocks = squared.sqrt_().mul_(-0.5).add_(1).view(len(part), groups, -1)
        found = blocks.topk(min(k, blocks.shape[2]), dim=2)
        indices.append(found.indices)
        values.append(found.values)
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
        b, n = groups, len(queries.shared) // groups
        if b > 1 and n > 1:
            raise ValueError("several groups at once are for single queries")
        scale = max(1.0, k / n)
        if n == 1:
            itself = torch.zeros(b, 1, 1, dtype=torch.long, device=queries.shared.device)
            among_queries = AffinityRows(itself, torch.ones_like(itself, dtype=queries.shared.dtype))
        else:
            among_queries = nearest(queries.specific, queries.specific, k, same=True, chunk=chunk)
        to_gallery = nearest(queries.shared, gallery.shared, k, chunk=chunk)
        to_queries = nearest(gallery.shared, queries.shared, k, groups=b, chunk=chunk)
        self.n = n
        self.tables = queries.projected, gallery.projected
        self.query_rows = among_queries.scaled(scale), AffinityRows(*(part.view(b, n, -1) for part in to_gallery))
        self.gallery_rows = to_queries.scaled(scale), AffinityRows(*(part.expand(b, -1, -1) for part in within_gallery))
        degrees = (sum(block.values.sum(2) for block in rows) for rows in (self.query_rows, self.gallery_rows))
        self.scales = tuple(torch.as_tensor(degree).rsqrt() for degree in degrees)  # (b, n) and (b, G)

    def queries(self) -> Tensor:
        """Eq. 10 before the ReLU, for the queries: (b, n, D')."""
        return self.scales[0][..., None] * self._gather(self.query_rows)

    def gallery(self, rows: slice) -> Tensor:
        """Eq. 10 before the ReLU, for the r gallery images of ``rows``: (b, r, D')."""
        blocks = tuple(AffinityRows(*(part[:, rows] for part in block)) for block in self.gallery_rows)
        return self.scales[1][:, rows, None] * self._gather(blocks)

    def _gather(self, blocks: tuple[AffinityRows, ...]) -> Tensor:
        """Sum over neighbours among the queries, and in the gallery, of affinity x scale x projected features."""
        of_queries, of_gallery = (
            _gather(block, table, scale, rows_a_group)
            for block, table, scale, rows_a_group in zip(blocks, self.tables, self.scales, (self.n, 0), strict=True)
        )
        return of_queries.add_(of_gallery)


def _gather(neighbours: AffinityRows, table: Tensor, scale: Tensor, rows_a_group: int) -> Tensor:
    """Sum over neighbours of affinity x the neighbour's scale (b, M) x its row of the table: (b, N, D').

    Args:
        neighbours: in columns 0 to M - 1 of their group.
        table: projected features, of all groups one after the other, or of all groups at once.
        scale: of the columns of each group.
        rows_a_group: M where the table holds the groups one after the other, 0 where they share it.
    """
    b, rows, k = neighbours.columns.shape
    weight = neighbours.values * scale.gather(1, neighbours.columns.reshape(b, -1)).view(b, rows, k)
    places = neighbours.columns + rows_a_group * torch.arange(b, device=table.device)[:, None, None]
    summed = F.embedding_bag(places.reshape(-1, k), table, per_sample_weights=weight.reshape(-1, k), mode="sum")
    return summed.view(b, rows, -1)
