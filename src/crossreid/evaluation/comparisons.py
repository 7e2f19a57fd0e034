"""Similarities that trials share: each pair of images is compared once, however many galleries it stands in.

Ten galleries of SYSU-MM01 draw the same images again and again, and its four settings have the same probes. A cosine
depends on its two images alone, to the last bit (:mod:`.scorers`), so that looking it up changes no score.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np

from crossreid.evaluation.array_files import Array
from crossreid.evaluation.embeddings import Embeddings
from crossreid.evaluation.metrics import threads
from crossreid.evaluation.scorers import Cosine, Scorer, similarities

_MOST_COMPARED = 1 << 26
"""Similarities that are kept at once: half a GiB."""


@dataclass(frozen=True, eq=False)
class Trial:
    """One ranking task: who asks, among whom.

    Attributes:
        probes: (Q,) places in the embeddings. gallery: (G,) places.
    """

    probes: Array
    gallery: Array


@dataclass(frozen=True, eq=False)
class Comparisons:
    """Similarities of all images that any trial has as probe to all that any has in its gallery.

    Attributes:
        probes: (P,) places in the embeddings.
        others: (U,) places in the embeddings, ascending.
        similarity: (P, U).
    """

    probes: Array
    others: Array
    similarity: Array

    @classmethod
    def of(cls, embeddings: Embeddings, scorer: Scorer, trials: Sequence[Trial]) -> Comparisons | None:
        """None where the scorer is no cosine, where there is nothing to save, or where the matrix would be large."""
        if not isinstance(scorer, Cosine) or len(trials) < 2:
            return None
        probes = _all_probes(trials)
        others = np.unique(np.concatenate([trial.gallery for trial in trials]))
        one_by_one = sum(len(trial.probes) * len(trial.gallery) for trial in trials)
        at_once = len(probes) * len(others)
        # Many small galleries of a large set share few pairs: then one by one is less work.
        if at_once >= one_by_one or at_once > _MOST_COMPARED:
            return None
        return cls(probes, others, similarities(scorer, embeddings.select(probes), embeddings.select(others)))

    def scorer(self, trial: Trial) -> Scorer:
        """A scorer of one trial, whose images it need not look at."""
        columns = np.searchsorted(self.others, trial.gallery)  # places among the others, which ascend
        similarity = _columns(self.similarity, columns)
        # Probes ascend unless all trials have the same, see _all_probes: then no row is looked up.
        if not np.array_equal(trial.probes, self.probes):
            similarity = similarity[np.searchsorted(self.probes, trial.probes)]
        return _Known(similarity)


def _columns(matrix: Array, columns: Array) -> Array:
    """Columns of a matrix (P, U) in any order; its rows are shared among threads, since NumPy takes them with one."""
    taken = np.empty((len(matrix), len(columns)), matrix.dtype)
    lots = threads()

    def take(rows: Array, out: Array) -> None:
        np.take(rows, columns, axis=1, out=out, mode="clip")  # no column is outside, and the other modes copy

    with ThreadPoolExecutor(lots) as pool:
        list(pool.map(take, np.array_split(matrix, lots), np.array_split(taken, lots)))
    return taken


def _all_probes(trials: Sequence[Trial]) -> Array:
    """(P,) places of the probes: in their own order where all trials have the same, else ascending."""
    first = trials[0].probes
    if all(np.array_equal(trial.probes, first) for trial in trials):
        return first
    return np.unique(np.concatenate([trial.probes for trial in trials]))


def without_features(embeddings: Embeddings) -> Embeddings:
    """Who, where and what each image is, for images that are compared already: selecting some copies no feature."""
    return replace(embeddings, features={"main": np.empty((len(embeddings), 0), np.float32)}, columns={})


@dataclass(frozen=True, eq=False)
class _Known:
    """A scorer of one set of probes and one gallery, whose similarities (Q, G) are there."""

    similarity: Array
    whole: ClassVar[bool] = True

    def __call__(self, query: Embeddings, gallery: Embeddings) -> Array:
        return self.similarity
