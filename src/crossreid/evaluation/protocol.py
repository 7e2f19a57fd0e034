"""What a retrieval protocol is: probes, a gallery for each trial, and what does not count for whom.

Every protocol turns embeddings into a :class:`RetrievalResult`. Probes and gallery are put in an order of their own
(camera, identity, then frame or draw), so results do not depend on the order of the embeddings' rows.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable
from typing import ClassVar

import numpy as np

from crossreid.errors import ConfigError, DataError, NothingToScoreError
from crossreid.evaluation.chance import chance
from crossreid.evaluation.embeddings import Array, Embeddings
from crossreid.evaluation.metrics import ProbeScores, cmc, score_probes
from crossreid.evaluation.removal import Removal
from crossreid.evaluation.results import IdentityScores, ProtocolLabels, RetrievalResult
from crossreid.evaluation.scorers import Cosine, Scorer, scorer_label

Progress = Callable[[Iterable[int], str], Iterable[int]]
"""Wraps the trials to show how far they are: ``progress(trials, label)``."""


class RetrievalProtocol(ABC):
    """Base of the protocols; a subclass says which images are probes and which gallery each trial has.

    Class attributes that a subclass may set:
        deduplicate: Rank-k counts identities (True) or images.
        probes_at_a_time: None gives a scorer all probes at once; a number bounds the memory of huge sets, except for
            scorers that say they are ``transductive`` or want the ``whole`` (they bound their memory themselves).
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
    def queries(self, embeddings: Embeddings, trial: int = 0) -> Array:
        """(Q,) places of a trial's probes in ``embeddings``; most protocols have the same in each trial."""

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
        scores, sums, sizes, identities, n_probes = [], [], [], 0, 0
        expected: dict[str, float] = {}
        trials = range(self.trials)
        for trial in trials if progress is None else progress(trials, self.key):
            probes = embeddings.select(self.queries(embeddings, trial))
            gallery = embeddings.select(self.gallery(embeddings, trial))
            scores.append(self.score(probes, gallery, scorer))
            sums.append(IdentityScores.gather(probes.pids, scores[-1]))
            sizes.append(len(gallery))
            if not expected:  # draws differ in which images are taken, never in how many
                identities = len(np.unique(gallery.pids)) if self.deduplicate else len(gallery)
                n_probes = len(probes)
                expected = self._chance(probes, gallery)
        return RetrievalResult(
            protocol=self.key,
            labels=self.labels(scorer),
            cmc=np.stack([cmc(s.first_rank, identities) for s in scores]),
            mean_ap=np.array([s.ap[s.valid].mean() for s in scores]),
            mean_inp=np.array([s.inp[s.valid].mean() for s in scores]),
            n_probes=n_probes,
            n_valid=np.array([s.valid.sum() for s in scores]),
            n_gallery=np.array(sizes),
            chance=expected,
            identities=IdentityScores.join(sums),
        )

    def score(self, probes: Embeddings, gallery: Embeddings, scorer: Scorer) -> ProbeScores:
        """Scores of the probes on one gallery."""
        whole = getattr(scorer, "transductive", False) or getattr(scorer, "whole", False)
        step = len(probes) if whole else self.probes_at_a_time or len(probes)
        parts = []
        for start in range(0, len(probes), step):
            lot = probes if step >= len(probes) else probes.select(slice(start, start + step))
            similarity, removed = similarities(scorer, lot, gallery), self.removal(lot, gallery)
            parts.append(score_probes(similarity, lot.pids, gallery.pids, removed, deduplicate=self.deduplicate))
        joined = ProbeScores.join(parts)
        if not joined.valid.any():
            raise NothingToScoreError(
                f"{self.key}: none of the {len(probes)} probes has a true match in the gallery "
                f"(not counted: {self.removal.label})."
            )
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
