"""Retrieval metrics from similarities: CMC with or without identity de-duplication, exact AP, mINP.

The algorithm of the SYSU-MM01 authors (Wu et al., ICCV 2017): for each probe, gallery images that do not count are
removed, the rest is ranked by a stable sort, so that ties keep the order of the gallery.

* **CMC**: only the first image of each identity keeps its place (``deduplicate``); cumulative hits over valid probes.
* **AP**: over all images, mean over the R true matches i of ``i / rank_i`` (exact, no trapezoids).
* **INP** (Ye et al., TPAMI 2021): R / rank of the last true match; its mean is mINP.

A probe without a true match among what is left is not valid and counts nowhere. Letters: Q probes, G gallery images,
I identities in the gallery.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np

from crossreid.evaluation.array_files import Array


@dataclass(frozen=True, eq=False)
class ProbeScores:
    """What retrieval gave for each of Q probes.

    Attributes:
        first_rank: (Q,) 1-based place of the first true match, among identities if de-duplicated; 0 if not valid.
        ap: (Q,) average precision in (0, 1]; 0 if not valid.
        inp: (Q,) inverse negative penalty in (0, 1]; 0 if not valid.
        relevant: (Q,) number R of true matches.
    """

    first_rank: Array
    ap: Array
    inp: Array
    relevant: Array

    @property
    def valid(self) -> Array:
        """(Q,) True where the probe has a true match."""
        return self.relevant > 0

    @property
    def mean_ap(self) -> float:
        """mAP: mean over the valid probes, NaN if there is none."""
        return float(self.ap[self.valid].mean())

    @property
    def mean_inp(self) -> float:
        """mINP: mean over the valid probes, NaN if there is none."""
        return float(self.inp[self.valid].mean())

    @classmethod
    def join(cls, parts: Sequence[ProbeScores]) -> ProbeScores:
        """The scores of several lots of probes, one after the other."""
        columns: dict[str, Array] = {}
        for name in ("first_rank", "ap", "inp", "relevant"):
            columns[name] = np.concatenate([getattr(part, name) for part in parts])
        return cls(**columns)


def score_probes(
    similarity: Array,
    query_pids: Array,
    gallery_pids: Array,
    removed: Array,
    *,
    deduplicate: bool = True,
    chunk: int = 128,
) -> ProbeScores:
    """Score Q probes on one gallery, ``chunk`` probes at a time and thread (memory grows with chunk x G).

    Args:
        similarity: (Q, G), larger is more alike; infinities are allowed, NaN is not.
        query_pids: (Q,) identities.
        gallery_pids: (G,) identities.
        removed: (Q, G) bool, True where a gallery image does not count for a probe.
        deduplicate: rank of the first match among identities (SYSU-MM01, LLCM) or among images (RegDB).
        chunk: probes sorted at a time.

    Raises:
        ValueError: shapes disagree or a similarity is NaN.
    """
    n_probes = len(query_pids)
    n_gallery = len(gallery_pids)
    shape = (n_probes, n_gallery)
    if similarity.shape != shape or removed.shape != shape:
        raise ValueError(f"expected (Q, G) = {shape}, got similarity {similarity.shape} and removed {removed.shape}")
    if not 0 < n_gallery < np.iinfo(np.int32).max:  # ranks are int32
        raise ValueError("a gallery needs at least one image")

    def score(start: int) -> ProbeScores:
        lot = slice(start, start + chunk)
        return _score_lot(similarity[lot], query_pids[lot], gallery_pids, removed[lot], deduplicate)

    starts = range(0, max(n_probes, 1), chunk)  # no probe at all is one empty lot
    with ThreadPoolExecutor(min(threads(), len(starts))) as pool:  # numpy sorts and reduces without Python's lock
        return ProbeScores.join(list(pool.map(score, starts)))


def threads() -> int:
    """How many lots are scored at a time: cores of this process, or ``OMP_NUM_THREADS``, and at most 4 for their memory."""
    told = os.environ.get("OMP_NUM_THREADS", "")
    cores = os.cpu_count() or 1
    if told.isdigit():
        cores = int(told)
    return max(1, min(cores, 4))


def cmc(first_rank: Array, length: int) -> Array:
    """Cumulative matching characteristic (length,) over valid probes: entry k - 1 is the share found by rank k.

    Raises:
        ValueError: no probe is valid, or a rank lies beyond ``length``.
    """
    ranks = first_rank[first_rank > 0]
    if not len(ranks) or ranks.max() > length:
        raise ValueError(f"a CMC of length {length} needs valid probes, all found by then")
    hits = np.bincount(ranks - 1, minlength=length)  # hits[k - 1]: probes whose first match has rank k
    return np.asarray(np.cumsum(hits) / len(ranks))


def ranking(similarity: Array, removed: Array) -> tuple[Array, Array]:
    """Order of the gallery and ranks for a lot of probes.

    Returns:
        order: (Q, G) gallery indices, most alike first, ties in gallery order, removed images still among them.
        ranks: (Q, G) int32, 1-based rank of each image of ``order`` among those that count; 0 where removed.
    """
    if np.isnan(similarity).any():
        raise ValueError("similarities must not be NaN")
    # stable, so that ties do not depend on the sort but on the gallery's order, which the protocol fixes
    order = np.argsort(-similarity, axis=1, kind="stable")
    counts = ~np.take_along_axis(removed, order, axis=1)
    ranks = np.cumsum(counts, axis=1, dtype=np.int32) * counts
    return order, ranks


def _score_lot(
    similarity: Array, query_pids: Array, gallery_pids: Array, removed: Array, deduplicate: bool
) -> ProbeScores:
    """Scores of a lot of probes: ranks are counted, and only probes whose true matches are tied are ranked in full.

    The rank of a true match is 1 + the number of better images, which a sort of the plain values gives: many times faster
    than a stable order of all images, and the same where no other image has the match's own similarity.
    """
    if np.isnan(similarity).any():
        raise ValueError("similarities must not be NaN")
    counted = np.where(removed, -np.inf, similarity)  # behind everything
    probe, column = np.nonzero((gallery_pids == query_pids[:, None]) & ~removed)  # the true matches, by probe
    value = counted[probe, column]
    best_first = np.lexsort((-value, probe))  # by probe, then by falling similarity: the last key counts first
    probe = probe[best_first]
    value = value[best_first]
    rank, tied = _ranks_by_counting(counted, probe, value)

    relevant = np.bincount(probe, minlength=len(query_pids))  # R of each probe
    scores = _from_match_ranks(probe, rank, relevant)
    if deduplicate:
        # Rank among identities: how many of them have an image that is better than the probe's first match.
        first_value = np.full(len(query_pids), np.inf)
        first_value[probe[::-1]] = value[::-1]  # of a probe's matches the best one stays
        better = (_best_of_identities(counted, gallery_pids) > first_value[:, None]).sum(axis=1)
        scores.first_rank[:] = np.where(relevant > 0, 1 + better, 0)
    # A tie is broken by the gallery's order, which counting does not see.
    if len(tied):
        exact = _score_ranked(similarity[tied], query_pids[tied], gallery_pids, removed[tied], deduplicate)
        for name in ("first_rank", "ap", "inp"):
            getattr(scores, name)[tied] = getattr(exact, name)
    return scores


def _ranks_by_counting(counted: Array, probe: Array, value: Array) -> tuple[Array, Array]:
    """Rank of each true match (M,), and the probes with a match that another image ties with.

    Args:
        counted: (Q, G) similarities, minus infinity where an image does not count.
        probe: (M,) probe of each match, ascending. value: (M,) its similarity.
    """
    ascending = np.sort(counted, axis=1)
    n_gallery = counted.shape[1]
    behind_or_equal = np.empty(len(probe), np.int64)  # images that are not better, the match among them
    probes, starts = np.unique(probe, return_index=True)
    ends = np.append(starts, len(probe))[1:]
    for one, start, end in zip(probes.tolist(), starts.tolist(), ends.tolist(), strict=True):
        behind_or_equal[start:end] = ascending[one].searchsorted(value[start:end], side="right")
    # Right where nothing else has the match's similarity; probes with ties are named and ranked again.
    rank = n_gallery - behind_or_equal + 1
    following = np.maximum(behind_or_equal - 2, 0)  # the best of the others that are not better
    is_tied = (behind_or_equal > 1) & (ascending[probe, following] == value)
    return rank, np.unique(probe[is_tied])


def _best_of_identities(counted: Array, gallery_pids: Array) -> Array:
    """(Q, I) largest similarity to each of the gallery's identities."""
    # images of one identity side by side, so that one reduceat takes the best of each
    by_identity = np.argsort(gallery_pids, kind="stable")
    _, starts = np.unique(gallery_pids[by_identity], return_index=True)
    return np.asarray(np.maximum.reduceat(np.take(counted, by_identity, axis=1), starts, axis=1))


def _from_match_ranks(probe: Array, rank: Array, relevant: Array) -> ProbeScores:
    """Scores of Q probes from the ranks among images of their true matches.

    Args:
        probe: (M,) probe of each true match, ascending. rank: (M,) its rank, ascending within a probe.
        relevant: (Q,) number R of true matches.
    """
    n_probes = len(relevant)
    starts = np.cumsum(relevant) - relevant  # where each probe's matches begin among the M
    i = np.arange(1, len(probe) + 1) - starts[probe]  # it is the i-th match of its probe
    # Precision at the i-th match is i / rank: exact AP, without trapezoids between matches.
    precision_sum = np.bincount(probe, weights=i / rank, minlength=n_probes)
    ap = precision_sum / np.maximum(relevant, 1)  # 0 / 1 for a probe without a match

    last_rank = np.ones(n_probes, np.int64)  # stays 1 without a match, so that INP is 0 / 1
    is_last = i == relevant[probe]
    last_rank[probe[is_last]] = rank[is_last]
    inp = relevant / last_rank

    first_rank = np.zeros(n_probes, np.int64)
    is_first = i == 1
    first_rank[probe[is_first]] = rank[is_first]
    return ProbeScores(first_rank, ap, inp, relevant)


def _score_ranked(
    similarity: Array, query_pids: Array, gallery_pids: Array, removed: Array, deduplicate: bool
) -> ProbeScores:
    """As :func:`_score_lot`, from the stable order of all images."""
    order, ranks = ranking(similarity, removed)  # (Q, G) each
    match = (gallery_pids[order] == query_pids[:, None]) & (ranks > 0)
    probe, column = np.nonzero(match)  # by probe, then by rank
    scores = _from_match_ranks(probe, ranks[probe, column], match.sum(axis=1))
    if deduplicate:
        scores.first_rank[:] = _rank_among_identities(order, ranks, scores.first_rank, gallery_pids)
    return scores


def _rank_among_identities(order: Array, ranks: Array, first_rank: Array, gallery_pids: Array) -> Array:
    """(Q,) rank of the first match when each identity is listed once: 1 + the identities with a better image."""
    never = np.iinfo(np.int32).max  # rank of what is removed: behind everything
    rank_of_image = np.empty_like(ranks)  # (Q, G) in the order of the gallery
    np.put_along_axis(rank_of_image, order, np.where(ranks > 0, ranks, never), axis=1)
    # images of one identity side by side, so that one reduceat takes the best of each
    by_identity = np.argsort(gallery_pids, kind="stable")
    _, starts = np.unique(gallery_pids[by_identity], return_index=True)
    best_rank = np.minimum.reduceat(np.take(rank_of_image, by_identity, axis=1), starts, axis=1)  # (Q, I)
    identities_before = (best_rank < first_rank[:, None]).sum(axis=1)
    return np.where(first_rank > 0, 1 + identities_before, 0)
