"""Ranked lists for figures: what a protocol's gallery looks like from a few probes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from crossreid.errors import DataError
from crossreid.evaluation.embeddings import Array, Embeddings
from crossreid.evaluation.metrics import ranking
from crossreid.evaluation.protocol import RetrievalProtocol, similarities
from crossreid.evaluation.scorers import Cosine, Scorer


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
    scorer = Cosine() if scorer is None else scorer
    protocol.check(embeddings)
    every = protocol.queries(embeddings, trial)
    wanted = every if queries is None else np.asarray(queries, dtype=np.int64)
    strangers = wanted[~np.isin(wanted, every)]
    if len(strangers):
        raise DataError(f"Image {strangers[0]} of the embeddings is no probe of {protocol.key}.")
    places = protocol.gallery(embeddings, trial)
    gallery = embeddings.select(places)
    asked = every if getattr(scorer, "transductive", False) else wanted  # such a scorer must see all probes
    scores = similarities(scorer, embeddings.select(asked), gallery)
    if asked is not wanted:
        by_place = np.argsort(asked, kind="stable")
        scores = scores[by_place[np.searchsorted(asked[by_place], wanted)]]
    probes = embeddings.select(wanted)
    removed = protocol.removal(probes, gallery)
    valid = ((gallery.pids == probes.pids[:, None]) & ~removed).any(axis=1)
    order, kept = ranking(np.where(removed, -np.inf, scores), removed)
    order, kept = order[:, :k], kept[:, :k] > 0  # what is removed comes last
    return RankedLists(
        queries=wanted,
        indices=np.where(kept, places[order], -1),
        correct=kept & (gallery.pids[order] == probes.pids[:, None]),
        similarity=np.where(kept, np.take_along_axis(scores, order, axis=1), np.nan),
        valid=valid,
    )
