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

from crossreid.evaluation.embeddings import Array

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
    identities = np.unique(gallery_pids)
    counts = count_by_identity(gallery_pids, removed)
    own = np.minimum(np.searchsorted(identities, query_pids), len(identities) - 1)
    relevant = np.where(identities[own] == query_pids, counts[np.arange(len(own)), own], 0)
    valid = relevant > 0
    if not valid.any():
        raise ValueError("no probe has a true match")
    counts[np.arange(len(own)), own] = 0  # from here on: the other identities
    cases, weights = np.unique(np.column_stack([relevant, np.sort(counts, axis=1)])[valid], axis=0, return_counts=True)
    share = weights / weights.sum()
    found, others = cases[:, 0], cases[:, 1:]
    total = cases.sum(axis=1)
    by_rank = _rank_among_identities(found, others, ranks) if deduplicate else _rank_among_images(found, total, ranks)
    values = {f"rank{k}": float(share @ by_rank[:, i]) for i, k in enumerate(ranks)}
    values["mAP"] = float(share @ _average_precision(found, total))
    values["mINP"] = float(share @ _inverse_negative_penalty(found, total))
    return values


def count_by_identity(gallery_pids: Array, removed: Array, chunk: int = 1024) -> Array:
    """(Q, I) number of images that count for each probe, by gallery identity in ascending order."""
    by_identity = np.argsort(gallery_pids, kind="stable")
    identities, starts = np.unique(gallery_pids[by_identity], return_index=True)
    counts = np.empty((len(removed), len(identities)), dtype=np.int64)
    for start in range(0, len(removed), chunk):
        kept = ~removed[start : start + chunk, by_identity]
        counts[start : start + chunk] = np.add.reduceat(kept, starts, axis=1, dtype=np.int64)
    return counts


def _average_precision(found: Array, total: Array) -> Array:
    harmonic = np.cumsum(1.0 / np.arange(1, total.max() + 1))[total - 1]
    return np.asarray(((found - 1) / np.maximum(total - 1, 1) * (total - harmonic) + harmonic) / total)


def _inverse_negative_penalty(found: Array, total: Array) -> Array:
    """Expected R / place of the last match; a loop over the few different (R, N)."""
    pairs, where = np.unique(np.stack([found, total], axis=1), axis=0, return_inverse=True)
    log_factorial = np.concatenate([[0.0], np.cumsum(np.log(np.arange(1, int(total.max()) + 1)))])
    values = np.empty(len(pairs))
    for i, (r, n) in enumerate(pairs):
        last = np.arange(r, n + 1)
        ways = log_factorial[last - 1] - log_factorial[r - 1] - log_factorial[last - r]
        all_ways = log_factorial[n] - log_factorial[r] - log_factorial[n - r]
        values[i] = (r / last * np.exp(ways - all_ways)).sum()
    return np.asarray(values[where.reshape(-1)])


def _rank_among_images(found: Array, total: Array, ranks: Sequence[int]) -> Array:
    def missed(r: int, n: int, k: int) -> float:
        return math.comb(n - r, k) / math.comb(n, k) if k < n else 0.0

    pairs = [(int(r), int(n)) for r, n in zip(found, total, strict=True)]
    return 1.0 - np.array([[missed(r, n, k) for k in ranks] for r, n in pairs])


def _rank_among_identities(found: Array, others: Array, ranks: Sequence[int], lot: int = 64) -> Array:
    """(cases, ranks) by Gauss-Legendre quadrature of a polynomial in x, the probe's own best score."""
    nodes, weights = _gauss_legendre()
    x, weights = (nodes + 1) / 2, weights / 2
    limit = min(max(ranks), others.shape[1])
    values = np.empty((len(found), len(ranks)))
    for start in range(0, len(found), lot):
        part = slice(start, start + lot)
        r = found[part, None]
        density = r * x ** (r - 1) * weights  # (cases, nodes)
        before = np.zeros((*density.shape, limit + 1))  # P(this many identities stand before the probe's own)
        before[..., 0] = 1.0
        for m in others[part].T:
            not_before = (x ** m[:, None])[..., None]
            before[..., 1:] = before[..., 1:] * not_before + before[..., :-1] * (1 - not_before)
            before[..., :1] *= not_before
        at_most = np.einsum("cx,cxk->ck", density, before).cumsum(axis=1)
        values[part] = np.stack([at_most[:, k - 1] if k <= limit else np.ones(len(r)) for k in ranks], axis=1)
    return values


@cache
def _gauss_legendre() -> tuple[Array, Array]:
    """400 nodes in [-1, 1] and their weights: exact for polynomials of degree 799."""
    return np.polynomial.legendre.leggauss(400)
