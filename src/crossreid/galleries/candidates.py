"""Candidates of a search, and the nearest of many vectors by matrix products."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from crossreid.evaluation import Embeddings
from crossreid.evaluation.array_files import Array

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
        self._queries = np.array(queries, dtype=np.float32)
        self._k = k
        self._count = 0
        self.similarities: Array = np.empty((len(queries), 0), dtype=np.float32)
        self.rows: Array = np.empty((len(queries), 0), dtype=np.int64)

    def add(self, vectors: Array) -> None:
        """Look at N more vectors (N, D), float32 of unit length."""
        for start in range(0, len(vectors), _VECTORS_AT_ONCE):
            # A copy: the library that reads a table may lend memory that nobody may write to.
            block = np.array(vectors[start : start + _VECTORS_AT_ONCE], dtype=np.float32)
            similarities, rows = self._nearest_of(block)
            self._keep(similarities, rows + self._count)
            self._count += len(block)

    def _nearest_of(self, block: Array) -> tuple[Array, Array]:
        """Cosines and places (Q, n) of the nearest vectors of a block."""
        nearest = _nearest_by_numpy
        if "torch" in sys.modules:
            nearest = _nearest_by_torch
        similarities = []
        rows = []
        for start in range(0, len(self._queries), _QUERIES_AT_ONCE):
            queries = self._queries[start : start + _QUERIES_AT_ONCE]
            best, places = nearest(queries, block, min(self._k, len(block)))
            similarities.append(best)
            rows.append(places)
        return np.concatenate(similarities), np.concatenate(rows)

    def _keep(self, similarities: Array, rows: Array) -> None:
        """The nearest of those so far and of others."""
        similarities = np.concatenate([self.similarities, similarities], axis=1)
        rows = np.concatenate([self.rows, rows], axis=1)
        best = _largest(similarities, min(self._k, similarities.shape[1]))
        self.similarities = np.take_along_axis(similarities, best, axis=1)
        self.rows = np.take_along_axis(rows, best, axis=1)


def _nearest_by_torch(queries: Array, block: Array, k: int) -> tuple[Array, Array]:
    """Cosines and places (Q, k) of the nearest vectors; several times as fast as with NumPy, where torch is there anyway."""
    import torch  # noqa: PLC0415 - exported models are searched without it

    best = (torch.from_numpy(queries) @ torch.from_numpy(block).T).topk(k, sorted=False)
    return np.asarray(best.values.numpy()), np.asarray(best.indices.numpy())


def _nearest_by_numpy(queries: Array, block: Array, k: int) -> tuple[Array, Array]:
    """The same."""
    similarities = queries @ block.T
    places = _largest(similarities, k)
    best = np.take_along_axis(similarities, places, axis=1)
    return best, places


def _largest(values: Array, k: int) -> Array:
    """Places (Q, k) of the largest values of each row (Q, n), in no order."""
    count = values.shape[1]
    if k >= count:
        return np.broadcast_to(np.arange(count), values.shape)
    # A partition has the k largest behind all others, and takes less time than a sort.
    first = count - k
    places = np.argpartition(values, first, axis=1)
    return np.asarray(places[:, first:])
