"""What a retrieval protocol is: probes, a gallery for each trial, and what does not count for whom.

Every protocol turns embeddings into a :class:`RetrievalResult`. Probes and gallery are put in an order of their own
(camera, identity, then frame or draw), so results do not depend on the order of the embeddings' rows.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Sequence
from typing import ClassVar, NamedTuple

import numpy as np

from crossreid.errors import ConfigError, DataError, NothingToScoreError
from crossreid.evaluation.array_files import Array
from crossreid.evaluation.chance import chance
from crossreid.evaluation.comparisons import Comparisons, Trial, without_features
from crossreid.evaluation.embeddings import CAMERAS_OF_SYSU, MODALITY_FROM, Embeddings
from crossreid.evaluation.metrics import ProbeScores, cmc, score_probes
from crossreid.evaluation.removal import Removal
from crossreid.evaluation.results import IdentityScores, ProtocolLabels, RetrievalResult
from crossreid.evaluation.scorers import (
    Cosine,
    Scorer,
    scorer_inference,
    scorer_label,
    similarities,
    wants_all_probes,
)

Progress = Callable[[Iterable[int], str], Iterable[int]]
"""Wraps the trials to show how far they are: ``progress(trials, label)``."""


_PROBES_OF_A_CHECK = 256


class _TrialOutcome(NamedTuple):
    """Scores of a trial's probes, their sums by identity, and the number of gallery images."""

    scores: ProbeScores
    identities: IdentityScores
    gallery_size: int


class RetrievalProtocol(ABC):
    """Base of the protocols; a subclass says which images are probes and which gallery each trial has.

    Class attributes that a subclass may set:
        deduplicate: Rank-k counts identities (True) or images.
        cameras_tell_modality: it is for images whose cameras are SYSU-MM01's, of which 3 and 6 are infrared.
        probes_at_a_time: None gives a scorer all probes at once; a number bounds the memory of huge sets, except for
            scorers that say they are ``transductive`` or want the ``whole`` (they bound their memory themselves).
    """

    deduplicate: ClassVar[bool] = True
    cameras_tell_modality: ClassVar[bool] = False
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
        """What tables say of the results; :meth:`labels_of` fills in what all protocols share."""

    def check(self, embeddings: Embeddings) -> None:
        """Raise :class:`DataError` where these embeddings cannot be scored by this protocol."""
        if not len(embeddings):
            raise DataError(f"{self.key}: there are no embeddings to score.")
        if not self.cameras_tell_modality and embeddings.about.get(MODALITY_FROM) == CAMERAS_OF_SYSU:
            raise DataError(
                f"{self.key}: nothing says which images are infrared: give an array 'infrared', or query_modality for a file "
                "with queries and gallery; cameras tell it in SYSU-MM01 alone."
            )

    def check_matches(self, embeddings: Embeddings) -> None:
        """As :meth:`check`, and that a probe has a true match left in the first trial's gallery; no feature is looked at.

        Raises:
            DataError: these embeddings cannot be scored.
            NothingToScoreError: no probe has a true match.
        """
        self.check(embeddings)
        # Some probes at a time, until one has a match: most often the first lot is enough.
        probes = embeddings.select(self.queries(embeddings, 0))
        gallery = embeddings.select(self.gallery(embeddings, 0))
        for start in range(0, len(probes), _PROBES_OF_A_CHECK):
            lot = probes.select(slice(start, start + _PROBES_OF_A_CHECK))
            same_person = lot.pids[:, None] == gallery.pids[None, :]  # (lot, G)
            if np.any(same_person & ~self.removal(lot, gallery)):
                return
        raise NothingToScoreError(f"{self.key}: no probe has a true match in the gallery.")

    def tasks(self, embeddings: Embeddings) -> list[Trial]:
        """Probes and gallery of every trial."""
        tasks = []
        for trial in range(self.trials):
            tasks.append(Trial(self.queries(embeddings, trial), self.gallery(embeddings, trial)))
        return tasks

    def __call__(
        self,
        embeddings: Embeddings,
        scorer: Scorer | None = None,
        progress: Progress | None = None,
        compared: Comparisons | None = None,
    ) -> RetrievalResult:
        """Score embeddings.

        Args:
            embeddings: the test images.
            scorer: called on each trial's gallery; by default the cosine of ``main``.
            progress: shows how far it is.
            compared: what :func:`compare_once` gave for these embeddings, this scorer and protocols with this one among them.

        Raises:
            DataError: there are no probes, no gallery or no true matches, or the scorer gives NaN.
        """
        if scorer is None:
            scorer = Cosine()
        self.check(embeddings)
        tasks = self.tasks(embeddings)
        if compared is None:
            compared = Comparisons.of(embeddings, scorer, tasks)
        if compared is not None:
            embeddings = without_features(embeddings)
        trials: Iterable[int] = range(self.trials)
        if progress is not None:
            trials = progress(trials, self.key)
        outcomes: list[_TrialOutcome] = []
        for trial in trials:
            probes = embeddings.select(tasks[trial].probes)
            gallery = embeddings.select(tasks[trial].gallery)
            of_trial = scorer
            if compared is not None:
                of_trial = compared.scorer(tasks[trial])
            scores = self.score(probes, gallery, of_trial)
            outcomes.append(_TrialOutcome(scores, IdentityScores.gather(probes.pids, scores), len(gallery)))
            # draws differ in which images they take, never in how many: the first one says it for all
            if len(outcomes) == 1:
                cmc_length = self._cmc_length(gallery)
                random_ranking = self._chance(probes, gallery)
        return self._result(outcomes, scorer, cmc_length, random_ranking)

    def _result(
        self, outcomes: Sequence[_TrialOutcome], scorer: Scorer, cmc_length: int, random_ranking: dict[str, float]
    ) -> RetrievalResult:
        """What the trials gave, one beside the other."""
        curves = []
        mean_aps = []
        mean_inps = []
        valid_probes = []
        for outcome in outcomes:
            curves.append(cmc(outcome.scores.first_rank, cmc_length))
            mean_aps.append(outcome.scores.mean_ap)
            mean_inps.append(outcome.scores.mean_inp)
            valid_probes.append(outcome.scores.valid.sum())
        return RetrievalResult(
            protocol=self.key,
            labels=self.labels(scorer),
            cmc=np.stack(curves),
            mean_ap=np.array(mean_aps),
            mean_inp=np.array(mean_inps),
            n_probes=len(outcomes[0].scores.relevant),
            n_valid=np.array(valid_probes),
            n_gallery=np.array([outcome.gallery_size for outcome in outcomes]),
            chance=random_ranking,
            identities=IdentityScores.join([outcome.identities for outcome in outcomes]),
        )

    def score(self, probes: Embeddings, gallery: Embeddings, scorer: Scorer) -> ProbeScores:
        """Scores of the probes on one gallery."""
        # metrics are of each probe alone, so lots change nothing; a scorer that looks at other probes must have all
        step = len(probes)
        if self.probes_at_a_time is not None and not wants_all_probes(scorer):
            step = min(step, self.probes_at_a_time)
        parts = []
        for start in range(0, len(probes), step):
            # selecting copies every feature, so not where one lot has all
            lot = probes
            if step < len(probes):
                lot = probes.select(slice(start, start + step))
            similarity = similarities(scorer, lot, gallery)
            removed = self.removal(lot, gallery)
            parts.append(score_probes(similarity, lot.pids, gallery.pids, removed, deduplicate=self.deduplicate))
        scores = ProbeScores.join(parts)
        if not scores.valid.any():
            raise NothingToScoreError(
                f"{self.key}: none of the {len(probes)} probes has a true match in the gallery "
                f"(not counted: {self.removal.label})."
            )
        return scores

    def labels_of(self, scorer: Scorer, *, mode: str, shots: str, draw: str) -> ProtocolLabels:
        """Labels with what the protocol does not count, what its Rank-k counts, and the scorer's own."""
        ranks = "images"
        if self.deduplicate:
            ranks = "identities"
        return ProtocolLabels(
            mode=mode,
            shots=shots,
            draw=draw,
            exclusion=self.removal.label,
            ranks=ranks,
            feature=scorer_label(scorer),
            inference=scorer_inference(scorer),
        )

    def _cmc_length(self, gallery: Embeddings) -> int:
        """How many ranks there are: identities in the gallery, or images."""
        if self.deduplicate:
            return len(np.unique(gallery.pids))
        return len(gallery)

    def _chance(self, probes: Embeddings, gallery: Embeddings) -> dict[str, float]:
        removed = self.removal(probes, gallery)
        return chance(probes.pids, gallery.pids, removed, deduplicate=self.deduplicate)


def compare_once(embeddings: Embeddings, scorer: Scorer, protocols: Sequence[RetrievalProtocol]) -> Comparisons | None:
    """Similarities that these protocols share; None where comparing anew is no more work, or the matrix would be large.

    What cannot be scored is left out: its own call says why.
    """
    tasks = []
    for protocol in protocols:
        try:
            tasks += protocol.tasks(embeddings)
        except DataError:
            continue
    return Comparisons.of(embeddings, scorer, tasks)
