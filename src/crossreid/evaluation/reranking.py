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
from crossreid.evaluation.embeddings import Array, Embeddings
from crossreid.evaluation.neighbours import AskedDistances, Distances, PointDistances
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
        code = ", published code" if self.convention == "published_code" else ""
        return f"{scorer_label(self.base)}, re-ranked (k1 {self.k1}, k2 {self.k2}, lambda {self.lambda_:g}{code})"

    def __call__(self, query: Embeddings, gallery: Embeddings) -> Array:
        """Similarities (Q, G) float32, at most 0."""
        if not len(query) or not len(gallery):
            return np.zeros((len(query), len(gallery)), np.float32)
        distances: Distances
        if isinstance(self.base, Cosine | Euclidean):
            distances = PointDistances(self.base, query, gallery, self.device, self.chunk)
        else:
            distances = AskedDistances(self.base, query, gallery, self.chunk)
        code = self.convention == "published_code"
        half = round(self.k1 / 2) if code else self.k1 // 2  # Python rounds halves to even
        whole, half, mean = (min(size, distances.count) for size in (self.k1 + code, half + code, self.k2))
        found = distances.search((whole, half, mean))
        pattern = expanded(found.order[:, :whole], found.order[:, :half], strict=code)
        first = np.repeat(np.arange(distances.count), np.diff(pattern.indptr))
        d = distances.of_pairs(first, pattern.indices.astype(np.int64))
        scale = np.where(found.furthest > 0, found.furthest, 1.0) if code else np.ones(distances.count)
        vectors = _with_data(pattern, np.exp(-d / scale[first]))
        if code:
            vectors = _with_data(pattern, vectors.data / vectors.sum(axis=1)[first])
        vectors = _members(found.order[:, :mean], 1.0 / mean) @ vectors
        result = found.across
        for rows, jaccard in jaccard_distances(vectors, len(query)):
            original = result[rows] / scale[rows, None]
            result[rows] = to_grid(-((1 - self.lambda_) * jaccard + self.lambda_ * original), 0)
        return result


def expanded(whole: Array, half: Array, *, strict: bool) -> sp.csr_array:
    """R* of N images from N(., k1) (N, k) and N(., k1 / 2) (N, h): a sparse (N, N) array whose entries are its members.

    Args:
        whole: neighbours of each image.
        half: fewer neighbours of each image.
        strict: R(y, k1 / 2) is added if more than two thirds of it, rather than at least, are shared.
    """
    reciprocal, small = (_reciprocal(lists) for lists in (whole, half))
    shared = sp.coo_array((reciprocal @ small).multiply(reciprocal))  # |R(x, k1) and R(y, k1 / 2)|: small is symmetric
    three, two = 3 * shared.data, 2 * small.sum(axis=1)[shared.col]
    joins = three > two if strict else three >= two
    candidates = sp.csr_array((shared.data[joins], (shared.row[joins], shared.col[joins])), shape=shared.shape)
    members = sp.csr_array(reciprocal + candidates @ small)
    members.sort_indices()
    return members


def jaccard_distances(vectors: sp.csr_array, probes: int) -> Iterator[tuple[slice, Array]]:
    """d_J (rows, G) float64 of the first ``probes`` vectors to the others, some rows at a time.

    Only entries that both vectors have add to the sum of minima m, and the sum of maxima is both sums minus m.
    """
    ours, theirs = vectors[:probes], sp.csc_array(vectors[probes:])
    gallery = theirs.shape[0]
    total = np.asarray(vectors.sum(axis=1))
    length = np.diff(theirs.indptr)  # gallery images with an entry there
    terms = np.concatenate([[0], np.cumsum(length[ours.indices], dtype=np.int64)])[ours.indptr] + gallery * np.arange(
        probes + 1
    )
    start = 0
    while start < probes:
        stop = max(start + 1, int(np.searchsorted(terms, terms[start] + _TERMS, side="right")) - 1)
        entries = slice(ours.indptr[start], ours.indptr[stop])
        columns = ours.indices[entries]
        many = length[columns]
        ends = np.cumsum(many, dtype=np.int64)
        at = np.arange(many.sum()) + np.repeat(theirs.indptr[columns] - (ends - many), many)
        probe = np.repeat(np.arange(stop - start), np.diff(ours.indptr[start : stop + 1]))
        least = np.minimum(np.repeat(ours.data[entries], many), theirs.data[at])
        cell = np.repeat(probe * gallery, many) + theirs.indices[at]
        minima = np.bincount(cell, least, (stop - start) * gallery).reshape(-1, gallery)
        maxima = total[start:stop, None] + total[probes:] - minima
        yield slice(start, stop), 1 - minima / maxima
        start = stop


def _members(lists: Array, value: float | int) -> sp.csr_array:
    """Lists (N, k) of images as a sparse (N, N) array with one value."""
    count, k = lists.shape
    return sp.csr_array((np.full(lists.size, value), lists.reshape(-1), np.arange(count + 1) * k), shape=(count, count))


def _reciprocal(lists: Array) -> sp.csr_array:
    """1 where two images are in each other's lists: symmetric."""
    members = _members(lists, 1)
    return sp.csr_array(members.multiply(members.T))


def _with_data(pattern: sp.csr_array, data: Array) -> sp.csr_array:
    return sp.csr_array((data, pattern.indices, pattern.indptr), shape=pattern.shape)
