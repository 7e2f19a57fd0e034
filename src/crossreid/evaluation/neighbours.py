"""Nearest neighbours within the N = Q + G images of a trial, without an N x N matrix.

Probes and gallery make one set, probes first. An image's list starts with the image itself, whatever its distance; the
others follow by ascending distance, and where distances are equal, by their place in the set.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from crossreid.errors import ConfigError
from crossreid.evaluation.array_files import Array
from crossreid.evaluation.embeddings import Embeddings
from crossreid.evaluation.scorers import Scorer, scorer_label, similarities

ROWS = 256
"""Rows of distances that are handled in float64 at a time."""


@dataclass(frozen=True, eq=False)
class NeighbourLists:
    """What one pass over all pairs of images gives.

    Attributes:
        order: (N, K) the image itself, then its nearest; the sets of the first ``sizes`` asked for are right, the order
            within them is not promised.
        across: (Q, G) float32 distances of probes to gallery.
        furthest: (N,) each image's largest distance to any image.
    """

    order: Array
    across: Array
    furthest: Array


class Distances(ABC):
    """Distances within probes and gallery as one set of N images, probes first."""

    def __init__(self, query: Embeddings, gallery: Embeddings) -> None:
        self.query = query
        self.gallery = gallery
        self.count = len(query) + len(gallery)

    @abstractmethod
    def search(self, sizes: Sequence[int]) -> NeighbourLists:
        """Neighbours for lists of these sizes, each from 0 to N, the image itself counted."""

    @abstractmethod
    def of_pairs(self, first: Array, second: Array) -> Array:
        """(P,) float64 distances of pairs of images, given by their places; ``first`` ascends."""

    def _empty(self, sizes: Sequence[int]) -> NeighbourLists:
        """To be filled."""
        return NeighbourLists(
            order=np.empty((self.count, max(sizes)), np.int64),
            across=np.empty((len(self.query), len(self.gallery)), np.float32),
            furthest=np.zeros(self.count),
        )

    def _lots(self, step: int | None) -> Iterator[tuple[int, Embeddings]]:
        """Images by ``step`` (None: all) with the place of the first; none holds probes and gallery images both."""
        for first, images in ((0, self.query), (len(self.query), self.gallery)):
            if step is None or step >= len(images):
                yield first, images  # selecting would copy every feature
            else:
                for start in range(0, len(images), step):
                    yield first + start, images.select(slice(start, start + step))


class AskedDistances(Distances):
    """Distances of any scorer that can compare probes with probes and gallery images with anything.

    It is asked for ``chunk`` rows at a time (for whole sets if it is ``transductive``), once for the lists and once for
    the weights, and never gets probes and gallery images in one set. An image's distances are those of its own row.

    Raises:
        ConfigError: the scorer has no ``distance``.
    """

    def __init__(self, scorer: Scorer, query: Embeddings, gallery: Embeddings, chunk: int) -> None:
        super().__init__(query, gallery)
        self.scorer = scorer
        # The scores of a transductive scorer depend on the other images that it is given: it gets whole sets.
        self.step: int | None = chunk
        if getattr(scorer, "transductive", False):
            self.step = None
        distance = getattr(scorer, "distance", None)
        if distance is None:
            raise ConfigError(
                f"The scorer '{scorer_label(scorer)}' cannot be re-ranked: it needs a function distance(similarities), "
                "and must compare probes with probes and gallery images with gallery images."
            )
        self._distance: Callable[[Array], Array] = distance

    def search(self, sizes: Sequence[int]) -> NeighbourLists:
        """All rows, one after the other."""
        lists = self._empty(sizes)
        for places, distances in self._rows():
            probes = places[places < len(self.query)]  # all of them or none: no lot is of both sets
            lists.across[probes] = distances[: len(probes), len(self.query) :]
            lists.furthest[places] = distances.max(axis=1)
            lists.order[places] = nearest(distances, places, max(sizes))
        return lists

    def of_pairs(self, first: Array, second: Array) -> Array:
        """All rows again."""
        parts = []
        for places, distances in self._rows():
            # Pairs ascend by their first image, so those of these rows stand side by side.
            begin, end = np.searchsorted(first, (places[0], places[-1] + 1))
            rows = first[begin:end] - places[0]
            parts.append(distances[rows, second[begin:end]])
        return np.concatenate(parts)

    def _rows(self) -> Iterator[tuple[Array, Array]]:
        """Places (R,) of some images and their distances (R, N) float64."""
        for start, lot in self._lots(self.step):
            to_query = similarities(self.scorer, lot, self.query)
            to_gallery = similarities(self.scorer, lot, self.gallery)
            scores = np.concatenate([to_query, to_gallery], axis=1, dtype=np.float64)
            yield np.arange(start, start + len(lot)), self._distance(scores)


def nearest(distances: Array, places: Array, count: int) -> Array:
    """(R, count) places of the nearest images from whole rows (R, N): the image itself, then by distance, then place."""
    order = np.empty((len(distances), count), np.int64)
    for start in range(0, len(distances), ROWS):
        lot = slice(start, start + ROWS)
        part = distances[lot].copy()  # overwritten, and the caller's distances are wanted
        np.put_along_axis(part, places[lot, None], -np.inf, axis=1)  # the image itself comes first
        order[lot] = np.argsort(part, axis=1, kind="stable")[:, :count]
    return order
