"""What a retrieval protocol is: probes, a gallery for each trial, and what does not count for whom.

Every protocol turns embeddings into a :class:`RetrievalResult`. Probes and gallery are put in an order of their own
(camera, identity, then frame or draw), so results do not depend on the order of the embeddings' rows.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import ClassVar, Protocol

import numpy as np

from crossreid.errors import ConfigError, DataError
from crossreid.evaluation.chance import chance
from crossreid.evaluation.embeddings import Array, Embeddings
from crossreid.evaluation.metrics import ProbeScores, cmc, score_probes
from crossreid.evaluation.results import ProtocolLabels, RetrievalResult
from crossreid.evaluation.scorers import Cosine, Scorer, scorer_label

Progress = Callable[[Iterable[int], str], Iterable[int]]
"""Wraps the trials to show how far they are: ``progress(trials, label)``."""


class Removal(Protocol):
    """A rule that says which gallery images do not count for a probe."""

    @property
    def label(self) -> str:
        """The rule in words, for tables."""

    def __call__(self, query: Embeddings, gallery: Embeddings) -> Array:
        """(Q, G) bool, True where a gallery image does not count."""


@dataclass(frozen=True)
class SameLocation:
    """Gallery images from the probe's own place do not count, whoever they show.

    Attributes:
        shared: camera -> the camera whose room it shares; a camera not named here has a place of its own.
    """

    shared: dict[int, int] = field(default_factory=dict)

    @property
    def label(self) -> str:
        """The rule in words, for tables."""
        rooms = ", ".join(f"cameras {b} and {a} are one place" for a, b in self.shared.items())
        return "gallery images from the probe's camera" + (f" ({rooms})" if rooms else "")

    def __call__(self, query: Embeddings, gallery: Embeddings) -> Array:
        """(Q, G) bool, True where both were seen in one place."""
        places = []
        for camids in (query.camids, gallery.camids):
            place = camids.copy()
            for camera, other in self.shared.items():
                place[camids == camera] = other
            places.append(place)
        return np.asarray(places[0][:, None] == places[1][None, :])


@dataclass(frozen=True)
class SameImage:
    """Only the probe itself does not count; images from its own camera do."""

    label: str = "the probe itself"

    def __call__(self, query: Embeddings, gallery: Embeddings) -> Array:
        """(Q, G) bool, True where both are one image: person, camera, modality and frame agree."""
        keys = ("pids", "camids", "infrared", "frames")
        same = [getattr(query, key)[:, None] == getattr(gallery, key) for key in keys]
        return np.asarray(np.logical_and.reduce(same))


class RetrievalProtocol(ABC):
    """Base of the protocols; a subclass says which images are probes and which gallery each trial has.

    Class attributes that a subclass may set:
        deduplicate: Rank-k counts identities (True) or images.
        probes_at_a_time: None gives a scorer all probes at once; a number bounds the memory of huge sets, except for
            scorers that say they are ``transductive``.
    """

    deduplicate: ClassVar[bool] = True
    probes_at_a_time: ClassVar[int | None] = None

    def __init__(self, key: str, trials: int, removal: Removal) -> None:
        if trials < 1:
            raise ConfigError(f"A protocol needs at least one trial, not {trials}.")
        self.key = key
        self.trials = trials
        self.removal = removal

    @abstractmethod
    def queries(self, embeddings: Embeddings) -> Array:
        """(Q,) places of the probes in ``embeddings``."""

    @abstractmethod
    def gallery(self, embeddings: Embeddings, trial: int) -> Array:
        """(G,) places of a trial's gallery in ``embeddings``; ties are broken in this order."""

    @abstractmethod
    def labels(self, scorer: Scorer) -> ProtocolLabels:
        """How results are to be labelled."""

    def check(self, embeddings: Embeddings) -> None:
        """Raise :class:`DataError` where these embeddings cannot be scored by this protocol."""
        if not len(embeddings):
            raise DataError(f"{self.key}: there are no embeddings to score.")

    def __call__(
        self, embeddings: Embeddings, scorer: Scorer | None = None, progress: Progress | None = None
    ) -> RetrievalResult:
        """Score embeddings; the scorer (default: cosine of ``main``) is called on each trial's gallery.

        Raises:
            DataError: there are no probes, no gallery or no true matches, or the scorer gives NaN.
        """
        scorer = Cosine() if scorer is None else scorer
        self.check(embeddings)
        probes = embeddings.select(self.queries(embeddings))
        scores, sizes, identities = [], [], 0
        expected: dict[str, float] = {}
        trials = range(self.trials)
        for trial in trials if progress is None else progress(trials, self.key):
            gallery = embeddings.select(self.gallery(embeddings, trial))
            scores.append(self.score(probes, gallery, scorer))
            sizes.append(len(gallery))
            if not expected:  # draws differ in which images are taken, never in how many
                identities = len(np.unique(gallery.pids)) if self.deduplicate else len(gallery)
                expected = self._chance(probes, gallery)
        return RetrievalResult(
            protocol=self.key,
            labels=self.labels(scorer),
            cmc=np.stack([cmc(s.first_rank, identities) for s in scores]),
            mean_ap=np.array([s.ap[s.valid].mean() for s in scores]),
            mean_inp=np.array([s.inp[s.valid].mean() for s in scores]),
            n_probes=len(probes),
            n_valid=np.array([s.valid.sum() for s in scores]),
            n_gallery=np.array(sizes),
            chance=expected,
        )

    def score(self, probes: Embeddings, gallery: Embeddings, scorer: Scorer) -> ProbeScores:
        """Scores of the probes on one gallery."""
        whole = self.probes_at_a_time is None or getattr(scorer, "transductive", False)
        step = len(probes) if whole or self.probes_at_a_time is None else self.probes_at_a_time
        parts = []
        for start in range(0, len(probes), step):
            lot = probes if step >= len(probes) else probes.select(slice(start, start + step))
            similarity, removed = similarities(scorer, lot, gallery), self.removal(lot, gallery)
            parts.append(score_probes(similarity, lot.pids, gallery.pids, removed, deduplicate=self.deduplicate))
        joined = ProbeScores.join(parts)
        if not joined.valid.any():
            raise DataError(f"{self.key}: none of the {len(probes)} probes has a true match in the gallery.")
        return joined

    def _chance(self, probes: Embeddings, gallery: Embeddings) -> dict[str, float]:
        removed = self.removal(probes, gallery)
        return chance(probes.pids, gallery.pids, removed, deduplicate=self.deduplicate)


def similarities(scorer: Scorer, probes: Embeddings, gallery: Embeddings) -> Array:
    """The scorer's (Q, G) similarities, checked for shape and NaN."""
    scores = np.asarray(scorer(probes, gallery))
    if scores.shape != (len(probes), len(gallery)):
        raise DataError(
            f"The scorer '{scorer_label(scorer)}' gave a matrix {scores.shape} "
            f"for {len(probes)} probes and {len(gallery)} gallery images."
        )
    if np.isnan(scores).any():
        raise DataError(f"The scorer '{scorer_label(scorer)}' gave NaN similarities.")
    return scores
