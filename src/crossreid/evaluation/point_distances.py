"""Nearest neighbours among points, by matrix products: the fast way for cosine and Euclidean scorers.

Points are compared by one matrix product a block, each pair of blocks once. On a CPU that is done in float32; where two
distances on the two sides of a list's end are closer than rounding can tell apart, the row is done again in float64,
rounded as the scorer rounds, so that ties are found and broken by place.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from crossreid.errors import ConfigError
from crossreid.evaluation.array_files import Array
from crossreid.evaluation.embeddings import Embeddings
from crossreid.evaluation.neighbours import ROWS, Distances, NeighbourLists, nearest
from crossreid.evaluation.scorers import Cosine, Euclidean

_PAIRS = 64  # pairs of points that are gathered at a time
_DEVIATIONS = 4.0  # rounding errors of a product of D terms grow as sqrt(D) (Higham and Mary, SISC 2019); a safe factor


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
        self.scorer = scorer
        self.device = _device(device)
        self.chunk = chunk
        kind: type[np.floating[Any]] = np.float64
        if self.device.type == "cpu":  # what float32 cannot tell apart is done again, see search
            kind = np.float32
        dim = scorer.points(gallery.select(slice(0, 1)), gallery).shape[1]
        points = np.empty((self.count, dim), kind)
        # |a|^2 of each point; half the scale of a cosine distance, so that the sum of two is the scale of their distance
        length = np.full(self.count, 0.5)
        for start, images in self._lots(ROWS):
            lot = slice(start, start + len(images))
            exact = scorer.points(images, gallery)
            points[lot] = exact
            if isinstance(scorer, Euclidean):
                length[lot] = (exact**2).sum(axis=1)
        self._margin = _DEVIATIONS * dim**0.5 * float(np.finfo(kind).eps)  # of a difference of two distances
        self._points = torch.from_numpy(points).to(self.device)
        self._length = torch.from_numpy(length).to(self._points)

    def search(self, sizes: Sequence[int]) -> NeighbourLists:
        """All pairs by blocks, then again what was too close to call."""
        lists = self._empty(sizes)
        width = min(max(sizes) + 1, self.count)  # one more, to see how far off the next is
        nearest_yet = _NearestYet(self.count, width, self._points)
        for start in range(0, self.count, self.chunk):
            for other in range(start, self.count, self.chunk):
                block = self._block(start, other)
                self._keep_across(lists.across, block, start, other)
                # distances are symmetric: a block off the diagonal serves its rows and its columns
                if other > start:
                    nearest_yet.add(block.T, other, start)
                nearest_yet.add(block, start, other)
        np.maximum(lists.across, 0, out=lists.across)  # rounding can end below 0
        self._equal_where_points_are(lists.across)
        lists.order[:] = nearest_yet.places[:, : max(sizes)].cpu().numpy()

        length = self._length.cpu().numpy()
        noise = self._margin * (length + length.max())  # (N,) what rounding can add to a row's distances
        furthest = nearest_yet.furthest.cpu().numpy()
        lists.furthest[:] = furthest * (furthest > noise)  # all alike: 0, not noise
        doubtful = nearest_yet.smallest_gap(sizes) <= noise
        self._search_again(np.flatnonzero(doubtful), lists)
        return lists

    def of_pairs(self, first: Array, second: Array) -> Array:
        """Pair by pair, so that equal points have equal distances."""
        distances = np.empty(len(first))
        for start in range(0, len(first), _PAIRS):
            lot = slice(start, start + _PAIRS)
            a = self._points[torch.from_numpy(first[lot]).to(self.device)]
            b = self._points[torch.from_numpy(second[lot]).to(self.device)]
            distances[lot] = self._by_pair(a, b).clamp_(min=0).cpu().numpy()
        return distances

    def _by_pair(self, a: Tensor, b: Tensor) -> Tensor:
        """(P,) distances of the points a and b (P, D), row by row."""
        if isinstance(self.scorer, Cosine):
            return 1 - (a * b).sum(1)
        return (a - b).square().sum(1)

    def _block(self, start: int, other: int) -> Tensor:
        """Distances of two blocks of points: 1 - a.b, or |a|^2 + |b|^2 - 2 a.b."""
        rows = slice(start, start + self.chunk)
        columns = slice(other, other + self.chunk)
        product = _product(self._points[rows], self._points[columns])  # in place from here: blocks are large
        if isinstance(self.scorer, Cosine):
            return product.neg_().add_(1)
        return product.mul_(-2).add_(self._length[rows, None]).add_(self._length[columns])

    def _keep_across(self, across: Array, block: Tensor, start: int, other: int) -> None:
        """Copy the part of a block whose rows are probes and whose columns are gallery images."""
        probes = len(self.query)
        if start >= probes or other + block.shape[1] <= probes:
            return
        # Probes come first among all images: the part is the block's upper right corner.
        probe_rows = probes - start
        probe_columns = max(probes - other, 0)
        part = block[:probe_rows, probe_columns:].cpu().numpy()
        left = other + probe_columns - probes
        across[start : start + part.shape[0], left : left + part.shape[1]] = part

    def _equal_where_points_are(self, across: Array) -> None:
        """A product may sum equal points in different orders: give their rows and columns one value."""
        probes = len(self.query)
        points = self._points.cpu().numpy()
        for lines, part in ((across, points[:probes]), (across.T, points[probes:])):
            # equal points have equal sums: only those are worth a hash
            _, group, group_size = np.unique(part.sum(axis=1), return_inverse=True, return_counts=True)
            first_of: dict[bytes, int] = {}
            for place in np.flatnonzero(group_size[group] > 1).tolist():
                key = hashlib.blake2b(part[place].tobytes()).digest()
                twin = first_of.setdefault(key, place)
                if twin != place:
                    lines[place] = lines[twin]

    def _search_again(self, rows: Array, lists: NeighbourLists) -> None:
        """Lists of some images in float64, ties by place."""
        for start in range(0, len(rows), ROWS):
            lot = rows[start : start + ROWS]
            distances = np.empty((len(lot), self.count))
            probes = self._exact(lot)
            for first, images in self._lots(ROWS):
                scores = self.scorer.compare(probes, self.scorer.points(images, self.gallery))
                distances[:, first : first + len(images)] = self.scorer.distance(scores)
            lists.order[lot] = nearest(distances, lot, lists.order.shape[1])

    def _exact(self, places: Array) -> Array:
        """Points (R, D) float64 of the images at these places, which ascend."""
        probes = len(self.query)
        from_query = self.query.select(places[places < probes])
        from_gallery = self.gallery.select(places[places >= probes] - probes)
        points = [self.scorer.points(from_query, self.gallery), self.scorer.points(from_gallery, self.gallery)]
        return np.concatenate(points)


class _NearestYet:
    """The nearest images to each of N among the blocks of distances that came so far.

    Attributes:
        distances: (N, width) ascending.
        places: (N, width) of the images.
        furthest: (N,) largest distance.
    """

    def __init__(self, count: int, width: int, points: Tensor) -> None:
        self.width = width
        self.distances = torch.full((count, width), torch.inf, dtype=points.dtype, device=points.device)
        self.places = torch.zeros((count, width), dtype=torch.int64, device=points.device)
        self.furthest = torch.zeros(count, dtype=points.dtype, device=points.device)

    def add(self, block: Tensor, start: int, other: int) -> None:
        """Distances (rows, columns) of the images from ``start`` on to those from ``other`` on; may overwrite them."""
        rows = slice(start, start + len(block))
        self.furthest[rows] = torch.maximum(self.furthest[rows], block.amax(1))
        if start == other:
            block.fill_diagonal_(-torch.inf)  # an image is first in its own list, whatever its distance
        # the nearest of the block beside the nearest yet, then the nearest of both
        distances, columns = block.topk(min(self.width, block.shape[1]), largest=False, sorted=False)
        distances = torch.cat([self.distances[rows], distances], 1)
        places = torch.cat([self.places[rows], columns + other], 1)
        self.distances[rows], best = distances.topk(self.width, largest=False)
        self.places[rows] = places.gather(1, best)

    def smallest_gap(self, sizes: Sequence[int]) -> Array:
        """(N,) smallest step in distance over the end of a list; infinite if all lists hold none or all images."""
        distances = self.distances.cpu().numpy()
        smallest = np.full(len(distances), np.inf, distances.dtype)
        for size in sizes:
            if 0 < size < self.width:
                smallest = np.minimum(smallest, distances[:, size] - distances[:, size - 1])
        return smallest


def _product(a: Tensor, b: Tensor) -> Tensor:
    """(rows, columns) a b^T."""
    if a.device.type == "cpu":
        # NumPy's product is the faster one on some machines, and halves the work for a a^T
        return torch.from_numpy(a.numpy() @ b.numpy().T)
    return a @ b.T


def _device(name: str) -> torch.device:
    if name != "cpu" and not (name.partition(":")[0] == "cuda" and torch.cuda.is_available()):
        raise ConfigError(f"Re-ranking cannot run on device {name!r}: choose cpu, or cuda where there is a GPU.")
    return torch.device(name)
