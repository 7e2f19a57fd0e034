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

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from crossreid.evaluation.embeddings import Array


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

    @classmethod
    def join(cls, parts: Sequence[ProbeScores]) -> ProbeScores:
        """The scores of several lots of probes, one after the other."""
        return cls(
            *(np.concatenate([getattr(p, name) for p in parts]) for name in ("first_rank", "ap", "inp", "relevant"))
        )


def score_probes(
    similarity: Array,
    query_pids: Array,
    gallery_pids: Array,
    removed: Array,
    *,
    deduplicate: bool = True,
    chunk: int = 512,
) -> ProbeScores:
    """Score Q probes on one gallery, ``chunk`` probes at a time (memory grows with chunk x G).

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
    shape = (len(query_pids), len(gallery_pids))
    if similarity.shape != shape or removed.shape != shape:
        raise ValueError(f"expected (Q, G) = {shape}, got similarity {similarity.shape} and removed {removed.shape}")
    if not 0 < shape[1] < np.iinfo(np.int32).max:
        raise ValueError("a gallery needs at least one image")
    parts = []
    for start in range(0, max(shape[0], 1), chunk):
        lot = slice(start, start + chunk)
        parts.append(_score_lot(similarity[lot], query_pids[lot], gallery_pids, removed[lot], deduplicate))
    return ProbeScores.join(parts)


def cmc(first_rank: Array, length: int) -> Array:
    """Cumulative matching characteristic (length,) over valid probes: entry k - 1 is the share found by rank k.

    Raises:
        ValueError: no probe is valid, or a rank lies beyond ``length``.
    """
    ranks = first_rank[first_rank > 0]
    if not len(ranks) or ranks.max() > length:
        raise ValueError(f"a CMC of length {length} needs valid probes, all found by then")
    return np.asarray(np.cumsum(np.bincount(ranks - 1, minlength=length)) / len(ranks))


def ranking(similarity: Array, removed: Array) -> tuple[Array, Array]:
    """Order of the gallery and places for a lot of probes.

    Returns:
        order: (Q, G) gallery indices, most alike first, ties in gallery order, removed images still among them.
        places: (Q, G) int32, 1-based place of ``order`` among what counts; 0 where removed.
    """
    if np.isnan(similarity).any():
        raise ValueError("similarities must not be NaN")
    order = np.argsort(-similarity, axis=1, kind="stable")
    kept = ~np.take_along_axis(removed, order, axis=1)
    return order, np.cumsum(kept, axis=1, dtype=np.int32) * kept


def _score_lot(
    similarity: Array, query_pids: Array, gallery_pids: Array, removed: Array, deduplicate: bool
) -> ProbeScores:
    order, places = ranking(similarity, removed)
    hit = (gallery_pids[order] == query_pids[:, None]) & (places > 0)
    relevant = hit.sum(axis=1)
    probe, column = np.nonzero(hit)  # by probe, then by place
    place = places[probe, column]
    nth = np.cumsum(hit, axis=1, dtype=np.int32)[probe, column]
    count = len(query_pids)
    ap = np.bincount(probe, weights=nth / place, minlength=count) / np.maximum(relevant, 1)
    first, last = np.zeros(count, np.int64), np.ones(count, np.int64)
    np.maximum.at(last, probe, place)
    first[probe[nth == 1]] = place[nth == 1]
    if deduplicate:
        first = _identity_rank(order, places, first, gallery_pids)
    return ProbeScores(first, ap, relevant / last, relevant)


def _identity_rank(order: Array, places: Array, first: Array, gallery_pids: Array) -> Array:
    """(Q,) place of the first match when each identity is listed once: 1 + identities seen before it."""
    by_image = np.empty_like(places)
    np.put_along_axis(by_image, order, np.where(places > 0, places, np.iinfo(np.int32).max), axis=1)
    by_identity = np.argsort(gallery_pids, kind="stable")
    starts = np.unique(gallery_pids[by_identity], return_index=True)[1]
    seen_at = np.minimum.reduceat(by_image[:, by_identity], starts, axis=1)  # (Q, I) first place of each identity
    return np.where(first > 0, 1 + (seen_at < first[:, None]).sum(axis=1), 0)
