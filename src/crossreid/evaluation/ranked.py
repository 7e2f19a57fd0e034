"""Ranked lists for figures: what a protocol's gallery looks like from a few probes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from crossreid.errors import DataError
from crossreid.evaluation.array_files import Array
from crossreid.evaluation.embeddings import Embeddings
from crossreid.evaluation.metrics import ranking
from crossreid.evaluation.protocol import RetrievalProtocol
from crossreid.evaluation.scorers import Cosine, Scorer, similarities


@dataclass(frozen=True, eq=False)
class RankedLists:
    """The first k gallery images of n probes; images that do not count for a probe are left out.

    Attributes:
        queries: (n,) places of the probes in the embeddings.
        indices: (n, k) places of the gallery images in the embeddings, most alike first; -1 past the list's end.
        correct: (n, k) bool, True where the image shows the probe's person.
        similarity: (n, k) the scorer's values, NaN past the list's end.
        valid: (n,) bool, True where a true match is in the whole list; other probes are not counted in scores.
    """

    queries: Array
    indices: Array
    correct: Array
    similarity: Array
    valid: Array


def ranked_list(
    embeddings: Embeddings,
    protocol: RetrievalProtocol,
    scorer: Scorer | None = None,
    *,
    trial: int = 0,
    queries: Sequence[int] | Array | None = None,
    k: int = 10,
) -> RankedLists:
    """Rank one trial's gallery for some of the protocol's probes, exactly as the protocol ranks it.

    Args:
        embeddings: all images.
        protocol: says what is a probe, what is in the gallery and what does not count.
        scorer: by default the cosine of ``main``.
        trial: which gallery (and probes, where they are drawn).
        queries: places of probes in ``embeddings``; None takes all.
        k: length of the lists.

    Raises:
        DataError: an image asked for is no probe of this protocol.
    """
    if scorer is None:
        scorer = Cosine()
    protocol.check(embeddings)
    all_queries = protocol.queries(embeddings, trial)
    queries = _asked_probes(queries, all_queries, protocol.key)
    gallery_places = protocol.gallery(embeddings, trial)
    gallery = embeddings.select(gallery_places)
    probes = embeddings.select(queries)
    if getattr(scorer, "transductive", False):
        # its scores of a probe depend on the others: the lists are those of the whole protocol
        scores_of_all = similarities(scorer, embeddings.select(all_queries), gallery)
        scores = scores_of_all[_positions(queries, all_queries)]
    else:
        scores = similarities(scorer, probes, gallery)

    removed = protocol.removal(probes, gallery)
    match = (gallery.pids == probes.pids[:, None]) & ~removed
    # minus infinity puts what does not count behind what does, so that the first k columns are the list
    order, ranks = ranking(np.where(removed, -np.inf, scores), removed)
    order = order[:, :k]
    counts = ranks[:, :k] > 0
    return RankedLists(
        queries=queries,
        indices=np.where(counts, gallery_places[order], -1),
        correct=np.take_along_axis(match, order, axis=1),
        similarity=np.where(counts, np.take_along_axis(scores, order, axis=1), np.nan),
        valid=match.any(axis=1),
    )


def _asked_probes(queries: Sequence[int] | Array | None, all_queries: Array, key: str) -> Array:
    """(n,) places of the probes that are asked for, all where none are named."""
    if queries is None:
        return all_queries
    asked = np.asarray(queries, dtype=np.int64)
    strangers = asked[~np.isin(asked, all_queries)]
    if len(strangers):
        raise DataError(f"Image {strangers[0]} of the embeddings is no probe of {key}.")
    return asked


def _positions(queries: Array, all_queries: Array) -> Array:
    """(n,) position of each query among all queries, which need not ascend."""
    ascending = np.argsort(all_queries, kind="stable")
    return np.asarray(ascending[np.searchsorted(all_queries[ascending], queries)])
