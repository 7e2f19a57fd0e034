"""k-reciprocal re-ranking (Zhong, Zheng, Cao and Li, CVPR 2017) of any scorer.

All images of a trial, probes and gallery, make one set of N; x, y are images of it and d is the scorer's distance.

* N(x, k): the k nearest images to x (Eq. 2), ties by place, probes first; what k counts depends on the reading, below.
* R(x, k): the y of N(x, k) with x in N(y, k) (Eq. 3).
* R*(x): R(x, k1), and R(y, k1 / 2) of each of its y that shares at least two thirds of it with R(x, k1) (Eq. 4).
* V(x, y) = exp(-d(x, y)) for y in R*(x), else 0 (Eq. 7), averaged over N(x, k2) (Eq. 11).
* d_J(x, y) = 1 - sum of minima / sum of maxima of V(x, .) and V(y, .) (Eq. 10).
* The new distance is (1 - lambda) d_J + lambda d (Eq. 12).

The paper does not say whether an image counts among its own k nearest, and its authors' code departs from its text:

=====================  ==================================  ==============================================
reading                ``paper`` (default)                 ``published_code``
=====================  ==================================  ==============================================
N(x, k1)               x and its k1 - 1 nearest others     x and its k1 nearest others
N(x, k1 / 2)           as above, half rounded down         as above, half rounded to the nearest even
N(x, k2)               x and its k2 - 1 nearest others     the same
two thirds             at least                            more than
d                      the scorer's distance               divided by the largest one of x
V(x, .)                as above                            then divided by its sum, before the average
=====================  ==================================  ==============================================

d is 1 - cosine, or the squared Euclidean distance (both are Eq. 1 with a multiple of the identity as M). As printed, d
has no scale of its own: under ``paper``, Euclidean features should have a length of about 1.

A probe's scores depend on all probes and on the whole gallery of the trial. What a protocol does not count for a probe
(images of its own place) takes part all the same: it is left out afterwards, when scores are counted.

Memory: a float32 copy of the features, the (Q, G) result in float32, and little more: sets and V are sparse.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import ClassVar, Literal, get_args

import numpy as np
import scipy.sparse as sp

from crossreid.errors import ConfigError
from crossreid.evaluation.array_files import Array
from crossreid.evaluation.embeddings import Embeddings
from crossreid.evaluation.neighbours import AskedDistances, Distances
from crossreid.evaluation.scorers import Cosine, Euclidean, Scorer, scorer_label, to_grid

Convention = Literal["paper", "published_code"]
_TERMS = 1 << 18  # minima that are summed at a time


@dataclass(frozen=True)
class KReciprocal:
    """Scorer: minus the re-ranked distance, (Q, G) float32.

    Attributes:
        base: the scorer whose ranking is mended. :class:`Cosine` and :class:`Euclidean` are searched as points; any
            other must compare any two of the sets (probes with probes too) and have a ``distance``.
        k1: neighbours among which reciprocal ones are sought.
        k2: neighbours whose vectors are averaged, 1 for none but the image's own.
        lambda_: share of the original distance, from 0 to 1.
        convention: the reading of the paper, see the module.
        device: where points are compared: ``cpu``, ``cuda``, ``cuda:1``; the rest is done on the CPU.
        chunk: images compared at a time.

    Raises:
        ConfigError: a setting is out of range, the device is not there, or the base cannot be re-ranked.
    """

    base: Scorer = field(default_factory=Cosine)
    k1: int = 20
    k2: int = 6
    lambda_: float = 0.3
    convention: Convention = "paper"
    device: str = "cpu"
    chunk: int = 2048

    transductive: ClassVar[bool] = True
    inference: ClassVar[str] = "re-ranked"

    def __post_init__(self) -> None:
        if min(self.k1, self.k2, self.chunk) < 1 or not 0 <= self.lambda_ <= 1:
            raise ConfigError(
                "Re-ranking needs k1, k2 and chunk of at least 1 and lambda from 0 to 1, "
                f"not {self.k1}, {self.k2}, {self.chunk} and {self.lambda_}."
            )
        if self.convention not in get_args(Convention):
            raise ConfigError(f"Re-ranking reads {' or '.join(get_args(Convention))}, not {self.convention!r}.")

    @property
    def label(self) -> str:
        """Name in tables, with every setting that moves numbers."""
        code = ""
        if self.convention == "published_code":
            code = ", published code"
        return f"{scorer_label(self.base)}, re-ranked (k1 {self.k1}, k2 {self.k2}, lambda {self.lambda_:g}{code})"

    def __call__(self, query: Embeddings, gallery: Embeddings) -> Array:
        """Similarities (Q, G) float32, at most 0."""
        if not len(query) or not len(gallery):  # an empty set has no neighbours to search
            return np.zeros((len(query), len(gallery)), np.float32)
        code = self.convention == "published_code"
        distances = self._distances(query, gallery)
        k1, half, k2 = self._sizes(distances.count)
        neighbours = distances.search((k1, half, k2))
        # The published code divides an image's distances by its largest one; the paper prints no scale.
        scale = np.ones(distances.count)
        if code:  # an image that is like all others has 0 there, and keeps its distances
            scale = np.where(neighbours.furthest > 0, neighbours.furthest, 1.0)

        members = expanded(neighbours.order[:, :k1], neighbours.order[:, :half], strict=code)  # R*(x), Eq. 4
        x = np.repeat(np.arange(distances.count), np.diff(members.indptr))  # of each entry (x, y) of the sparse array
        y = members.indices.astype(np.int64)
        d = distances.of_pairs(x, y)
        vectors = _with_data(members, np.exp(-d / scale[x]))  # V(x, y), Eq. 7
        if code:  # so that rows of V sum to 1
            total = vectors.sum(axis=1)
            vectors = _with_data(members, vectors.data / total[x])
        # Eq. 11, the mean over N(x, k2), as one product with a matrix whose rows have 1 / k2 at the neighbours
        average = _members(neighbours.order[:, :k2], 1.0 / k2)
        vectors = average @ vectors

        # (Q, G) distances, overwritten by similarities some rows at a time: the only matrix of that size
        result = neighbours.across
        for rows, jaccard in jaccard_distances(vectors, len(query)):
            original = result[rows] / scale[rows, None]
            distance = (1 - self.lambda_) * jaccard + self.lambda_ * original  # Eq. 12
            result[rows] = to_grid(-distance, 0)
        return result

    def _distances(self, query: Embeddings, gallery: Embeddings) -> Distances:
        if isinstance(self.base, Cosine | Euclidean):
            from crossreid.evaluation.point_distances import PointDistances  # noqa: PLC0415 - torch

            return PointDistances(self.base, query, gallery, self.device, self.chunk)
        return AskedDistances(self.base, query, gallery, self.chunk)

    def _sizes(self, count: int) -> tuple[int, int, int]:
        """Lengths of N(x, k1), N(x, k1 / 2) and N(x, k2), the image itself counted; at most all ``count`` images."""
        k1 = self.k1
        half = self.k1 // 2
        if self.convention == "published_code":  # the image comes on top of its k neighbours
            k1 = self.k1 + 1
            half = round(self.k1 / 2) + 1  # Python rounds halves to even, as that code does
        return min(k1, count), min(half, count), min(self.k2, count)


def expanded(whole: Array, half: Array, *, strict: bool) -> sp.csr_array:
    """R* of N images from N(., k1) (N, k) and N(., k1 / 2) (N, h): a sparse (N, N) array whose entries are its members.

    Args:
        whole: neighbours of each image.
        half: fewer neighbours of each image.
        strict: R(y, k1 / 2) is added if more than two thirds of it, rather than at least, are shared.
    """
    r_k1 = _reciprocal(whole)  # R(x, k1), Eq. 3
    r_half = _reciprocal(half)  # R(y, k1 / 2)
    # |R(x, k1) and R(y, k1 / 2)| for each y of R(x, k1): entry (x, y) of the product counts the z with x-z in the one and
    # z-y in the other, and R(., k1 / 2) is symmetric
    shared = sp.coo_array((r_k1 @ r_half).multiply(r_k1))
    size = r_half.sum(axis=1)[shared.col]  # |R(y, k1 / 2)|
    joins = 3 * shared.data >= 2 * size  # at least two thirds, in whole numbers
    if strict:
        joins = 3 * shared.data > 2 * size
    candidates = sp.csr_array((shared.data[joins], (shared.row[joins], shared.col[joins])), shape=shared.shape)
    # the union of Eq. 4: a sum has an entry wherever one of its terms has; its value does not matter
    members = sp.csr_array(r_k1 + candidates @ r_half)
    members.sort_indices()
    return members


def jaccard_distances(vectors: sp.csr_array, probes: int) -> Iterator[tuple[slice, Array]]:
    """d_J (rows, G) float64 of the first ``probes`` vectors to the others, some rows at a time (Eq. 10).

    Only entries that both vectors have add to the sum of minima m, and the sum of maxima is both sums minus m.
    """
    ours = vectors[:probes]  # (Q, N) by rows: the entries of a probe's vector
    theirs = sp.csc_array(vectors[probes:])  # (G, N) by columns: the gallery images that have an entry there
    gallery = theirs.shape[0]
    total = np.asarray(vectors.sum(axis=1))  # (N,)
    column_length = np.diff(theirs.indptr)  # (N,)
    # terms[q]: minima of all probes before q, and the cells of their rows
    minima_before = np.concatenate([[0], np.cumsum(column_length[ours.indices], dtype=np.int64)])
    terms = minima_before[ours.indptr] + gallery * np.arange(probes + 1)
    start = 0
    while start < probes:
        # as many rows as _TERMS allows, at least one
        stop = max(start + 1, int(np.searchsorted(terms, terms[start] + _TERMS, side="right")) - 1)
        rows = slice(start, stop)
        minima = _sums_of_minima(ours, theirs, column_length, rows)  # (rows, G)
        maxima = total[rows, None] + total[probes:] - minima
        yield rows, 1 - minima / maxima
        start = stop


def _sums_of_minima(ours: sp.csr_array, theirs: sp.csc_array, column_length: Array, rows: slice) -> Array:
    """(rows, G) sums of min(V(x, z), V(y, z)) over all z, of some probes x and every gallery image y.

    Each entry V(x, z) meets each entry in column z of the gallery: ``length`` of them, written out one after the other.
    """
    count = rows.stop - rows.start
    gallery = theirs.shape[0]
    entries = slice(ours.indptr[rows.start], ours.indptr[rows.stop])
    z = ours.indices[entries]
    length = column_length[z]
    ends = np.cumsum(length, dtype=np.int64)
    # where the meeting entries stand in theirs.data: each column from its start on
    column_start = theirs.indptr[z] - (ends - length)
    at = np.arange(length.sum()) + np.repeat(column_start, length)
    minima = np.minimum(np.repeat(ours.data[entries], length), theirs.data[at])
    x = np.repeat(np.arange(count), np.diff(ours.indptr[rows.start : rows.stop + 1]))
    cell = np.repeat(x * gallery, length) + theirs.indices[at]  # of the (rows, G) result, flat
    return np.bincount(cell, minima, count * gallery).reshape(count, gallery)


def _members(lists: Array, value: float | int) -> sp.csr_array:
    """Lists (N, k) of images as a sparse (N, N) array: ``value`` where the column is in the row's list."""
    count, k = lists.shape
    values = np.full(lists.size, value)
    row_starts = np.arange(count + 1) * k
    return sp.csr_array((values, lists.reshape(-1), row_starts), shape=(count, count))


def _reciprocal(lists: Array) -> sp.csr_array:
    """1 where two images are in each other's lists: symmetric."""
    members = _members(lists, 1)
    # Eq. 3: y in N(x, k) and x in N(y, k), an entry of the array and of its transpose
    return sp.csr_array(members.multiply(members.T))


def _with_data(pattern: sp.csr_array, data: Array) -> sp.csr_array:
    """Other values at the same entries."""
    return sp.csr_array((data, pattern.indices, pattern.indptr), shape=pattern.shape)
