"""Candidates of a search, and the nearest of many vectors by matrix products."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from crossreid.evaluation import Embeddings
from crossreid.evaluation.embeddings import Array

_QUERIES_AT_ONCE = 256
_VECTORS_AT_ONCE = 32_768
"""A block of similarities takes 32 MB."""


@dataclass(frozen=True, eq=False)
class Candidates:
    """For each of Q queries, entries among which its nearest are.

    Attributes:
        pool: entries, each of them once, in whatever order.
        places: Q times (n,) places of a query's candidates in the pool.
    """

    pool: Embeddings
    places: Sequence[Array]


class Nearest:
    """The nearest of many vectors to each of Q queries, of which some are seen at a time.

    Args:
        queries: (Q, D) float32 of unit length.
        k: how many are wanted.

    Attributes:
        similarities: (Q, n) cosines of the nearest vectors so far, n at most k, in no order.
        rows: (Q, n) which they are, counted from 0 over everything that was added.
    """

    def __init__(self, queries: Array, k: int) -> None:
        self._queries = torch.from_numpy(np.array(queries, dtype=np.float32))
        self._k = k
        self._count = 0
        self.similarities = torch.empty(len(queries), 0)
        self.rows = torch.empty(len(queries), 0, dtype=torch.int64)

    def add(self, vectors: Array) -> None:
        """Look at N more vectors (N, D), float32 of unit length."""
        for start in range(0, len(vectors), _VECTORS_AT_ONCE):
            block = torch.from_numpy(np.array(vectors[start : start + _VECTORS_AT_ONCE], dtype=np.float32))
            similarities, rows = self._nearest_of(block)
            self._keep(similarities, rows + self._count)
            self._count += len(block)

    def _nearest_of(self, block: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Cosines and places (Q, n) of the nearest vectors of a block."""
        similarities, rows = [], []
        for start in range(0, len(self._queries), _QUERIES_AT_ONCE):
            queries = self._queries[start : start + _QUERIES_AT_ONCE]
            best = (queries @ block.T).topk(min(self._k, len(block)), sorted=False)
            similarities.append(best.values)
            rows.append(best.indices)
        return torch.cat(similarities), torch.cat(rows)

    def _keep(self, similarities: torch.Tensor, rows: torch.Tensor) -> None:
        """The nearest of those so far and of others."""
        similarities = torch.cat([self.similarities, similarities], dim=1)
        rows = torch.cat([self.rows, rows], dim=1)
        best = similarities.topk(min(self._k, similarities.shape[1]), sorted=False)
        self.similarities = best.values
        self.rows = rows.gather(1, best.indices)
