"""What a random ranking would score, exactly: the row that every table starts with.

For a probe with R true matches among N images that count (all orders equally likely, no ties):

* Rank-1 = R / N;
* AP = ((R - 1) / (N - 1) * (N - H_N) + H_N) / N, with H_N the harmonic number;
* INP = sum over l of R / l * C(l - 1, R - 1) / C(N, R), l the place of the last match;
* Rank-k among images = 1 - C(N - R, k) / C(N, k);
* Rank-k among identities: give each image a uniform score; the best of m images has the distribution x^m, so with
  the probe's own best at x another identity of m images stands before it with probability 1 - x^m. The number of
  those before it is a sum of independent events, and Rank-k = integral over x of R x^(R-1) P(at most k - 1 of them).

Each is averaged over valid probes. Probes with the same counts are computed once.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import cache

import numpy as np

from crossreid.evaluation.array_files import Array

RANKS = (1, 5, 10, 20)


def chance(
    query_pids: Array,
    gallery_pids: Array,
    removed: Array,
    *,
    deduplicate: bool = True,
    ranks: Sequence[int] = RANKS,
) -> dict[str, float]:
    """Expected ``rank{k}``, ``mAP`` and ``mINP`` of a random ranking, fractions in [0, 1].

    Args:
        query_pids: (Q,) identities.
        gallery_pids: (G,) identities.
        removed: (Q, G) bool, True where a gallery image does not count for a probe.
        deduplicate: ranks among identities rather than images.
        ranks: which ranks to give.

    Raises:
        ValueError: no probe has a true match.
    """
    counts = count_by_identity(gallery_pids, removed)  # (Q, I)
    identities = np.unique(gallery_pids)  # (I,)
    probes = np.arange(len(query_pids))
    # column of the probe's identity; the last one for an identity behind all of the gallery's
    own = np.minimum(np.searchsorted(identities, query_pids), len(identities) - 1)
    relevant = np.where(identities[own] == query_pids, counts[probes, own], 0)
    valid = relevant > 0
    if not valid.any():
        raise ValueError("no probe has a true match")
    counts[probes, own] = 0  # from here on: the other identities

    # probes with the same numbers have the same expectation: C cases, each weighted by its share of the probes
    numbers = np.column_stack([relevant, np.sort(counts, axis=1)])
    cases, probes_of_case = np.unique(numbers[valid], axis=0, return_counts=True)  # (C, 1 + I)
    share = probes_of_case / probes_of_case.sum()
    r = cases[:, 0]  # R
    others = cases[:, 1:]
    n = cases.sum(axis=1)  # N

    if deduplicate:
        by_rank = _rank_among_identities(r, others, ranks)
    else:
        by_rank = _rank_among_images(r, n, ranks)
    values: dict[str, float] = {}
    for column, k in enumerate(ranks):
        values[f"rank{k}"] = float(share @ by_rank[:, column])
    values["mAP"] = float(share @ _average_precision(r, n))
    values["mINP"] = float(share @ _inverse_negative_penalty(r, n))
    return values


def count_by_identity(gallery_pids: Array, removed: Array, chunk: int = 1024) -> Array:
    """(Q, I) number of images that count for each probe, by gallery identity in ascending order."""
    by_identity = np.argsort(gallery_pids, kind="stable")
    identities, starts = np.unique(gallery_pids[by_identity], return_index=True)
    counts = np.empty((len(removed), len(identities)), dtype=np.int64)
    for start in range(0, len(removed), chunk):
        lot = slice(start, start + chunk)
        counts[lot] = np.add.reduceat(~removed[lot, by_identity], starts, axis=1, dtype=np.int64)
    return counts


def _average_precision(r: Array, n: Array) -> Array:
    """(C,) expected AP."""
    # A match at rank i has i images up to itself; of the i - 1 before it, (R - 1) / (N - 1) are matches on average.
    harmonic = np.cumsum(1.0 / np.arange(1, n.max() + 1))[n - 1]  # H_N
    matches_before = (r - 1) / np.maximum(n - 1, 1) * (n - harmonic)
    return np.asarray((matches_before + harmonic) / n)


def _inverse_negative_penalty(r: Array, n: Array) -> Array:
    """(C,) expected R / rank of the last match."""
    log_factorial = np.concatenate([[0.0], np.cumsum(np.log(np.arange(1, int(n.max()) + 1)))])  # log k! at place k
    # cases differ mostly in the other identities, which do not matter here: few (R, N) are left
    pairs, pair_of_case = np.unique(np.stack([r, n], axis=1), axis=0, return_inverse=True)
    values = np.empty(len(pairs))
    for i, (matches, images) in enumerate(pairs):
        last = np.arange(matches, images + 1)  # l
        # logarithms of C(l - 1, R - 1) and C(N, R), as the numbers themselves overflow
        ways = log_factorial[last - 1] - log_factorial[matches - 1] - log_factorial[last - matches]
        all_ways = log_factorial[images] - log_factorial[matches] - log_factorial[images - matches]
        values[i] = (matches / last * np.exp(ways - all_ways)).sum()
    return np.asarray(values[pair_of_case.reshape(-1)])


def _rank_among_images(r: Array, n: Array, ranks: Sequence[int]) -> Array:
    """(C, ranks) probability that the first k images hold a match."""
    values = np.empty((len(r), len(ranks)))
    for case, (matches, images) in enumerate(zip(r.tolist(), n.tolist(), strict=True)):
        for column, k in enumerate(ranks):
            values[case, column] = 1.0 - _no_match_among(k, matches, images)
    return values


def _no_match_among(k: int, matches: int, images: int) -> float:
    """Probability that k of the images, drawn without replacement, hold no match."""
    if k >= images:
        return 0.0
    return math.comb(images - matches, k) / math.comb(images, k)


def _rank_among_identities(r: Array, others: Array, ranks: Sequence[int], lot: int = 64) -> Array:
    """(C, ranks) probability that fewer than k identities stand before the probe's own.

    The integral is one of a polynomial in x, the best score of the probe's own images: Gauss-Legendre is exact for it.
    """
    nodes, weights = _gauss_legendre()
    x = (nodes + 1) / 2  # from [-1, 1] to [0, 1]
    weights = weights / 2
    # No more than this many are told apart: Rank-k looks at k - 1 identities before the probe's own.
    limit = min(max(ranks), others.shape[1])
    values = np.ones((len(r), len(ranks)))  # stays 1 for k beyond the number of identities
    for start in range(0, len(r), lot):
        part = slice(start, start + lot)
        matches = r[part, None]
        # of the best of R uniform scores, times the weight of the node: R x^(R-1)
        density = matches * x ** (matches - 1) * weights  # (cases, nodes)
        before = np.zeros((*density.shape, limit + 1))  # (cases, nodes, j): P(j identities stand before | x)
        before[..., 0] = 1.0
        for images in others[part].T:  # of one more identity, (cases,)
            behind = (x ** images[:, None])[..., None]  # P(none of its images is above x)
            # one more event: as many stood before and it is behind, or one fewer and it is before
            before[..., 1:] = before[..., 1:] * behind + before[..., :-1] * (1 - behind)
            before[..., :1] *= behind
        at_most = np.einsum("cx,cxk->ck", density, before).cumsum(axis=1)  # (cases, j)
        for column, k in enumerate(ranks):
            if k <= limit:
                values[part, column] = at_most[:, k - 1]
    return values


@cache
def _gauss_legendre() -> tuple[Array, Array]:
    """400 nodes in [-1, 1] and their weights: exact for polynomials of degree 799."""
    return np.polynomial.legendre.leggauss(400)
