"""How many partitions of an index are looked at: as many as a sample of the gallery's own images needs."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple, Protocol

import numpy as np

from crossreid.evaluation import Embeddings
from crossreid.evaluation.array_files import Array
from crossreid.galleries.candidates import Candidates, Nearest
from crossreid.galleries.entries import ID
from crossreid.galleries.filters import Filter
from crossreid.randomness import numpy_generator

WANTED = 0.99
"""Share of the ten nearest images that an index is to find."""
_SAMPLE = 200
_NEAREST = 10
"""Others of each query; one more is sought, since the query is in the gallery too and finds itself."""
_FEWEST_CANDIDATES, _MOST_CANDIDATES = 2, 128
"""For each image wanted."""
_CLOSE_ENOUGH = 0.05
"""Share of the partitions that may be looked at in vain: a search takes longer by them."""


class Sample(NamedTuple):
    """Images of a gallery that are queries.

    Attributes:
        vectors: (S, D).
        names: S names.
    """

    vectors: Array
    names: list[Any]


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
    sample = _sample(store)
    truth = _exact(store, sample)

    def recall(probes: int, refine: int) -> float:
        return _share(store.nearest_with(sample.vectors, _NEAREST + 1, None, probes, refine), sample, truth)

    refine = _FEWEST_CANDIDATES
    while refine < _MOST_CANDIDATES and recall(partitions, refine) < WANTED:
        refine *= 2
    probes, reached = fewest_probes(lambda probes: recall(probes, refine), partitions)
    return {"probes": probes, "refine": refine, "recall": round(reached, 4), "sample": len(sample.names)}


def fewest_probes(recall: Callable[[int], float], partitions: int) -> tuple[int, float]:
    """The fewest partitions that have to be looked at, but for :data:`_CLOSE_ENOUGH` of them; all where none are enough.

    Args:
        recall: of so many, in [0, 1], growing with them.
        partitions: that there are.

    Returns:
        how many, and their recall. A 50th of all is not gone below.
    """
    # Upwards in growing steps until the recall is reached, ...
    too_few = 0
    probes = max(1, math.ceil(partitions / 50))
    reached = recall(probes)
    while reached < WANTED and probes < partitions:
        too_few = probes
        probes = min(partitions, math.ceil(1.4 * probes))
        reached = recall(probes)
    if too_few == 0:
        return probes, reached  # the first ones are enough
    # ... then by halves between the last that were too few and the first that were enough.
    while probes - too_few > max(1, _CLOSE_ENOUGH * probes):
        between = (too_few + probes) // 2
        share = recall(between)
        if share < WANTED:
            too_few = between
        else:
            probes = between
            reached = share
    return probes, reached


def choose_effort(store: Graph, efforts: Sequence[int]) -> dict[str, Any]:
    """The least effort that finds :data:`WANTED` of the ten nearest images of a sample, else the last; and the share found."""
    sample = _sample(store)
    truth = _exact(store, sample)
    reached = 0.0
    effort = efforts[0]
    for effort in efforts:
        reached = _share(store.nearest_with(sample.vectors, _NEAREST + 1, None, effort), sample, truth)
        if reached >= WANTED:
            break
    return {"effort": effort, "recall": round(reached, 4), "sample": len(sample.names)}


def _sample(store: Probed | Graph) -> Sample:
    """Images of the gallery: their ten nearest others are sought, so the queries are as spread as the gallery is."""
    generator = numpy_generator(0, "recall of a gallery's index")
    vectors: list[Array] = []
    names: list[Any] = []
    # Some of each part, since all vectors may not lie in memory at once; then as many as wanted of all of these.
    for part in store.everything():
        chosen = generator.choice(len(part), min(_SAMPLE, len(part)), replace=False)
        vectors.append(part.features["main"][chosen])
        names += [part.columns[ID][place] for place in chosen]
    pool = np.concatenate(vectors)
    chosen = generator.choice(len(pool), min(_SAMPLE, len(pool)), replace=False)
    return Sample(pool[chosen], [names[place] for place in chosen])


def _exact(store: Probed | Graph, sample: Sample) -> list[set[Any]]:
    """Names of the ten nearest others of each query, by comparing it with every image."""
    nearest = Nearest(sample.vectors, _NEAREST + 1)
    ids: list[Any] = []
    for part in store.everything():
        nearest.add(part.features["main"])
        ids += part.columns[ID]
    truth = []
    for query, own in enumerate(sample.names):
        order = np.argsort(-nearest.similarities[query], kind="stable")
        names = [ids[row] for row in nearest.rows[query][order].tolist()]
        truth.append(_others(names, own))
    return truth


def _others(names: Sequence[Any], own: Any) -> set[Any]:
    """The first ten of some names but for the query's own."""
    others = [name for name in names if name != own]
    return set(others[:_NEAREST])


def _share(found: Candidates, sample: Sample, truth: list[set[Any]]) -> float:
    """The share of the ten nearest others that was found."""
    shares = []
    vectors = found.pool.features["main"]
    ids = found.pool.columns[ID]
    for query, (candidates, wanted) in enumerate(zip(found.places, truth, strict=True)):
        order = np.argsort(-(vectors[candidates] @ sample.vectors[query]))
        names = [ids[place] for place in candidates[order].tolist()]
        others = _others(names, sample.names[query])
        shares.append(len(wanted & others) / max(len(wanted), 1))
    return float(np.mean(shares))
