"""Nearest neighbours within the N = Q + G images of a trial, without an N x N matrix.

Probes and gallery make one set, probes first. An image's list starts with the image itself, whatever its distance; the
others follow by ascending distance, and where distances are equal, by their place in the set.

Points are compared by one matrix product a block, each pair of blocks once. On a CPU that is done in float32; where two
distances on the two sides of a list's end are closer than rounding can tell apart, the row is done again in float64,
rounded as the scorer rounds, so that ties are found and broken by place.
"""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from crossreid.errors import ConfigError
from crossreid.evaluation.embeddings import Array, Embeddings
from crossreid.evaluation.protocol import similarities
from crossreid.evaluation.scorers import Cosine, Euclidean, Scorer, scorer_label

_ROWS = 256  # rows that are handled in float64 at a time
_PAIRS = 64  # pairs of points that are gathered at a time
_DEVIATIONS = 4.0  # rounding errors of a product of D terms grow as sqrt(D) (Higham and Mary, SISC 2019); a safe factor


@dataclass(frozen=True, eq=False)
class Neighbours:
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
        self.query, self.gallery = query, gallery
        self.count = len(query) + len(gallery)

    @abstractmethod
    def search(self, sizes: Sequence[int]) -> Neighbours:
        """Neighbours for lists of these sizes, each from 0 to N, the image itself counted."""

    @abstractmethod
    def of_pairs(self, first: Array, second: Array) -> Array:
        """(P,) float64 distances of pairs of images, given by their places; ``first`` ascends."""

    def _empty(self, sizes: Sequence[int]) -> Neighbours:
        """To be filled."""
        return Neighbours(
            np.empty((self.count, max(sizes)), np.int64),
            np.empty((len(self.query), len(self.gallery)), np.float32),
            np.zeros(self.count),
        )

    def _lots(self, step: int | None) -> Iterator[tuple[int, Embeddings]]:
        """Images by ``step`` (None: all) with the place of the first; none holds probes and gallery images both."""
        for start, images in ((0, self.query), (len(self.query), self.gallery)):
            for at in range(0, len(images), step or len(images)):
                whole = step is None or step >= len(images)
                yield start + at, images if whole else images.select(slice(at, at + (step or 0)))


class PointDistances(Distances):
    """Distances of points: cosine and squared Euclidean.

    Args:
        scorer: how images become points.
        query: the probes.
        gallery: the gallery.
        device: where the products are made; float32 on a CPU, float64 elsewhere.
        chunk: points in a block; memory grows with its square.
    """

    def __init__(
        self, scorer: Cosine | Euclidean, query: Embeddings, gallery: Embeddings, device: str, chunk: int
    ) -> None:
        super().__init__(query, gallery)
        self.scorer, self.device, self.chunk = scorer, _device(device), chunk
        kind = np.float32 if self.device.type == "cpu" else np.float64
        dim = scorer.points(gallery.select(slice(0, 1)), gallery).shape[1]
        points, length = np.empty((self.count, dim), kind), np.full(self.count, 0.5)
        for start, lot in self._lots(_ROWS):
            exact = scorer.points(lot, gallery)
            points[start : start + len(lot)] = exact
            if isinstance(scorer, Euclidean):
                length[start : start + len(lot)] = (exact**2).sum(axis=1)
        self._margin = _DEVIATIONS * dim**0.5 * float(np.finfo(kind).eps)  # of a difference of two distances
        self._points = torch.from_numpy(points).to(self.device)
        self._length = torch.from_numpy(length).to(self._points)

    def search(self, sizes: Sequence[int]) -> Neighbours:
        """All pairs by blocks, then again what was too close to call."""
        found = self._empty(sizes)
        width = min(max(sizes) + 1, self.count)  # one more, to see how far off the next is
        kind, ahead = self._points.dtype, len(self.query)
        best = torch.full((self.count, width), torch.inf, dtype=kind, device=self.device)
        place = torch.zeros((self.count, width), dtype=torch.int64, device=self.device)
        furthest = torch.zeros(self.count, dtype=kind, device=self.device)

        def take(block: Tensor, start: int, other: int) -> None:
            rows = slice(start, start + len(block))
            furthest[rows] = torch.maximum(furthest[rows], block.amax(1))
            if start == other:
                block.fill_diagonal_(-torch.inf)
            values, columns = block.topk(min(width, block.shape[1]), largest=False, sorted=False)
            values, columns = torch.cat([best[rows], values], 1), torch.cat([place[rows], columns + other], 1)
            best[rows], kept = values.topk(width, largest=False)
            place[rows] = columns.gather(1, kept)

        for start in range(0, self.count, self.chunk):
            for other in range(start, self.count, self.chunk):
                block = self._block(start, other)
                if start < ahead < other + block.shape[1]:
                    skip = max(ahead - other, 0)
                    part = block[: ahead - start, skip:].cpu().numpy()
                    left = other + skip - ahead
                    found.across[start : start + len(part), left : left + part.shape[1]] = part
                if other > start:
                    take(block.T, other, start)
                take(block, start, other)
        np.maximum(found.across, 0, out=found.across)
        found.order[:] = place[:, : max(sizes)].cpu().numpy()
        self._equal_where_points_are(found.across)
        values = best.cpu().numpy()
        ends = [size for size in sizes if 0 < size < width]
        gaps = np.stack([values[:, size] - values[:, size - 1] for size in ends] or [np.full(self.count, np.inf)])
        length = self._length.cpu().numpy()
        noise = self._margin * (length + length.max())
        found.furthest[:] = furthest.cpu().numpy() * (furthest.cpu().numpy() > noise)  # all alike: 0, not noise
        doubtful = gaps.min(axis=0) <= noise
        self._search_again(np.flatnonzero(doubtful), found)
        return found

    def of_pairs(self, first: Array, second: Array) -> Array:
        """Pair by pair, so that equal points have equal distances."""
        distances = np.empty(len(first))
        for at in range(0, len(first), _PAIRS):
            lot = slice(at, at + _PAIRS)
            a, b = (self._points[torch.from_numpy(i[lot]).to(self.device)] for i in (first, second))
            by_pair = (a - b).square().sum(1) if isinstance(self.scorer, Euclidean) else 1 - (a * b).sum(1)
            distances[lot] = by_pair.clamp_(min=0).cpu().numpy()
        return distances

    def _block(self, start: int, other: int) -> Tensor:
        """Distances of two blocks: 1 - a.b, or |a|^2 + |b|^2 - 2 a.b."""
        a, b = (self._points[at : at + self.chunk] for at in (start, other))
        # NumPy's product is the faster one on some machines, and halves the work for a a^T
        block = torch.from_numpy(a.numpy() @ b.numpy().T) if self.device.type == "cpu" else a @ b.T
        if isinstance(self.scorer, Cosine):
            return block.neg_().add_(1)
        u, v = (self._length[at : at + self.chunk] for at in (start, other))
        return block.mul_(-2).add_(u[:, None]).add_(v)

    def _equal_where_points_are(self, across: Array) -> None:
        """A product may sum equal points in different orders: give their rows and columns one value."""
        ahead, points = len(self.query), self._points.cpu().numpy()
        for lines, part in ((across, points[:ahead]), (across.T, points[ahead:])):
            _, group, size = np.unique(part.sum(axis=1), return_inverse=True, return_counts=True)
            first: dict[bytes, int] = {}
            for place in np.flatnonzero(size[group] > 1).tolist():  # equal points have equal sums
                twin = first.setdefault(hashlib.blake2b(part[place].tobytes()).digest(), place)
                if twin != place:
                    lines[place] = lines[twin]

    def _search_again(self, rows: Array, found: Neighbours) -> None:
        """Lists of some images in float64, ties by place."""
        for at in range(0, len(rows), _ROWS):
            lot = rows[at : at + _ROWS]
            distances = np.empty((len(lot), self.count))
            probes = self._exact(lot)
            for start, images in self._lots(_ROWS):
                scores = self.scorer.compare(probes, self.scorer.points(images, self.gallery))
                distances[:, start : start + len(images)] = self.scorer.distance(scores)
            found.order[lot] = nearest(distances, lot, found.order.shape[1])

    def _exact(self, places: Array) -> Array:
        ahead = len(self.query)
        parts = self.query.select(places[places < ahead]), self.gallery.select(places[places >= ahead] - ahead)
        return np.concatenate([self.scorer.points(part, self.gallery) for part in parts])


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
        self.step = None if getattr(scorer, "transductive", False) else chunk
        distance = getattr(scorer, "distance", None)
        if distance is None:
            raise ConfigError(
                f"The scorer '{scorer_label(scorer)}' cannot be re-ranked: it needs a function distance(similarities), "
                "and must compare probes with probes and gallery images with gallery images."
            )
        self._distance: Callable[[Array], Array] = distance

    def search(self, sizes: Sequence[int]) -> Neighbours:
        """All rows, one after the other."""
        found = self._empty(sizes)
        for places, distances in self._rows():
            probes = places[places < len(self.query)]
            found.across[probes] = distances[: len(probes), len(self.query) :]
            found.furthest[places] = distances.max(axis=1)
            found.order[places] = nearest(distances, places, max(sizes))
        return found

    def of_pairs(self, first: Array, second: Array) -> Array:
        """All rows again."""
        parts = []
        for places, distances in self._rows():
            pairs = slice(*np.searchsorted(first, (places[0], places[-1] + 1)))
            parts.append(distances[first[pairs] - places[0], second[pairs]])
        return np.concatenate(parts)

    def _rows(self) -> Iterator[tuple[Array, Array]]:
        """Places (R,) of some images and their distances (R, N) float64."""
        for start, lot in self._lots(self.step):
            scores = [similarities(self.scorer, lot, images) for images in (self.query, self.gallery)]
            yield np.arange(start, start + len(lot)), self._distance(np.concatenate(scores, axis=1, dtype=np.float64))


def nearest(distances: Array, places: Array, count: int) -> Array:
    """(R, count) places of the nearest images from whole rows (R, N): the image itself, then by distance, then place."""
    order = np.empty((len(distances), count), np.int64)
    for at in range(0, len(distances), _ROWS):
        part = distances[at : at + _ROWS].copy()
        np.put_along_axis(part, places[at : at + _ROWS, None], -np.inf, axis=1)
        order[at : at + _ROWS] = np.argsort(part, axis=1, kind="stable")[:, :count]
    return order


def _device(name: str) -> torch.device:
    if name != "cpu" and not (name.partition(":")[0] == "cuda" and torch.cuda.is_available()):
        raise ConfigError(f"Re-ranking cannot run on device {name!r}: choose cpu, or cuda where there is a GPU.")
    return torch.device(name)
