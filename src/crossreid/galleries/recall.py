"""How many partitions of an index are looked at: as many as a sample of the gallery's own images needs."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any, Protocol

import numpy as np

from crossreid.evaluation import Embeddings
from crossreid.evaluation.embeddings import Array
from crossreid.galleries.candidates import Candidates, Nearest
from crossreid.galleries.entries import ID
from crossreid.galleries.filters import Filter
from crossreid.randomness import numpy_generator

WANTED = 0.99
"""Share of the ten nearest images that an index is to find."""
_SAMPLE = 200
_NEAREST = 10
_FEWEST_CANDIDATES, _MOST_CANDIDATES = 2, 128
"""For each image wanted."""
_NOISE = 0.5
"""A query is an image of the gallery moved by so much of its length at random: no image of the gallery itself, as a night
picture is none of the day gallery."""


class Probed(Protocol):
    """A store that can look at some partitions of an index."""

    def nearest_with(  # noqa: D102
        self, vectors: Array, k: int, condition: Filter | None, probes: int, refine: int
    ) -> Candidates: ...
    def everything(self) -> Iterator[Embeddings]: ...  # noqa: D102


class Graph(Protocol):
    """A store that can search a graph more or less widely."""

    def nearest_with(self, vectors: Array, k: int, condition: Filter | None, effort: int) -> Candidates: ...  # noqa: D102
    def everything(self) -> Iterator[Embeddings]: ...  # noqa: D102


def choose_probes(store: Probed, partitions: int) -> dict[str, Any]:
    """Settings of an index that find :data:`WANTED` of the ten nearest images of a sample, and the share that they find.

    The codes of an index are coarse: first as many candidates are compared exactly as all partitions need (``refine``), then
    as few partitions are looked at as this allows (``probes``).
    """
    queries = _sample(store)
    truth = _exact(store, queries)

    def recall(probes: int, refine: int) -> float:
        return _share(store.nearest_with(queries, _NEAREST, None, probes, refine), queries, truth)

    refine = _FEWEST_CANDIDATES
    while refine < _MOST_CANDIDATES and recall(partitions, refine) < WANTED:
        refine *= 2
    probes = max(1, math.ceil(partitions / 50))
    reached = recall(probes, refine)
    while reached < WANTED and probes < partitions:
        probes = min(partitions, math.ceil(1.4 * probes))
        reached = recall(probes, refine)
    return {"probes": probes, "refine": refine, "recall": round(reached, 4), "sample": len(queries)}


def choose_effort(store: Graph, efforts: Sequence[int]) -> dict[str, Any]:
    """The least effort that finds :data:`WANTED` of the ten nearest images of a sample, else the last; and the share found."""
    queries = _sample(store)
    truth = _exact(store, queries)
    reached, effort = 0.0, efforts[0]
    for effort in efforts:
        reached = _share(store.nearest_with(queries, _NEAREST, None, effort), queries, truth)
        if reached >= WANTED:
            break
    return {"effort": effort, "recall": round(reached, 4), "sample": len(queries)}


def _sample(store: Probed | Graph) -> Array:
    """Queries (S, D) like images that the gallery does not hold."""
    generator = numpy_generator(0, "recall of a gallery's index")
    vectors: list[Array] = []
    for part in store.everything():
        chosen = generator.choice(len(part), min(_SAMPLE, len(part)), replace=False)
        vectors.append(part.features["main"][chosen])
    pool = np.concatenate(vectors)
    pool = pool[generator.choice(len(pool), min(_SAMPLE, len(pool)), replace=False)]
    noise = generator.standard_normal(pool.shape).astype(np.float32)
    noise *= _NOISE / np.linalg.norm(noise, axis=1, keepdims=True)
    moved = pool + noise
    return np.asarray(moved / np.linalg.norm(moved, axis=1, keepdims=True))


def _exact(store: Probed | Graph, queries: Array) -> list[set[Any]]:
    """Names of the ten nearest of each query, by comparing it with every image."""
    nearest = Nearest(queries, _NEAREST)
    ids: list[Any] = []
    for part in store.everything():
        nearest.add(part.features["main"])
        ids += part.columns[ID]
    return [{ids[row] for row in rows} for rows in nearest.rows.tolist()]


def _share(found: Candidates, queries: Array, truth: list[set[Any]]) -> float:
    """The share of the ten nearest that was found."""
    shares = []
    for candidates, query, names in zip(found.places, queries, truth, strict=True):
        order = np.argsort(-(found.pool.features["main"][candidates] @ query))[:_NEAREST]
        shares.append(len(names & {found.pool.columns[ID][place] for place in candidates[order]}) / len(names))
    return float(np.mean(shares))
