"""The four settings of SYSU-MM01 beside an evaluator that takes one probe at a time, as the protocol is written down."""

from __future__ import annotations

from functools import partial

import numpy as np
from measuring import Measurement, measurement, timed

from crossreid.evaluation import Embeddings, SysuMM01Protocol, score_sysu
from crossreid.evaluation.sysu import GALLERY_CAMERAS


def sysu_sized(people: int = 96, frames: int = 20) -> Embeddings:
    """Random features of the real test set's size, everybody in every camera."""
    pids, camids, kept = np.meshgrid(np.arange(1, people + 1), np.arange(1, 7), np.arange(frames), indexing="ij")
    pids, camids, kept = pids.ravel(), camids.ravel(), kept.ravel()
    features = np.random.default_rng(0).normal(size=(len(pids), 2048)).astype(np.float32)
    infrared = np.isin(camids, (3, 6))
    return Embeddings({"main": features}, pids, camids, infrared, kept, np.arange(len(pids)), ("",) * len(pids))


class QueryByQuery:
    """The plain reference: one trial, each probe by itself, as the protocol is written down. Making one normalises."""

    def __init__(self, embeddings: Embeddings, protocol: SysuMM01Protocol) -> None:
        self.probes = embeddings.select(protocol.queries(embeddings))
        self.gallery = embeddings.select(protocol.gallery(embeddings, 0))
        self.unit_probes = self._unit(self.probes.features["main"])
        self.unit_gallery = self._unit(self.gallery.features["main"])

    @staticmethod
    def _unit(features: np.ndarray) -> np.ndarray:
        exact = features.astype(np.float64)
        return exact / np.linalg.norm(exact, axis=1, keepdims=True)

    def score(self, every: int) -> None:
        """Every so-manieth probe."""
        place = np.array([0, 1, 2, 2, 4, 5, 6])  # of each camera
        gallery_pids = self.gallery.pids.tolist()
        for q in range(0, len(self.probes), every):
            similarity = (self.unit_gallery @ self.unit_probes[q]).tolist()
            counts = np.flatnonzero(place[self.gallery.camids] != place[self.probes.camids[q]]).tolist()
            ranked = sorted(counts, key=lambda g: -similarity[g])
            listed: list[int] = []
            match_ranks: list[int] = []
            for rank, g in enumerate(ranked, start=1):
                pid = gallery_pids[g]
                if not match_ranks and pid not in listed:
                    listed.append(pid)
                if pid == self.probes.pids[q]:
                    match_ranks.append(rank)
            if match_ranks:
                sum(i / rank for i, rank in enumerate(match_ranks, start=1)) / len(match_ranks)


def scoring(people: int, every: int, rounds: int) -> dict[str, Measurement]:
    """All four settings, ten trials each, by wall clock and by processor.

    Args:
        people: 96 for the real test set's size.
        every: the reference scores every so-manieth probe of one trial of each setting, times what is left out.
        rounds: pairs.
    """
    embeddings = sysu_sized(people)
    measurements = {}
    for clock in ("wall", "cpu"):
        pairs = []
        for _ in range(rounds):
            ours = timed(partial(score_sysu, embeddings, draw="seeded"), clock)
            pairs.append((ours, _reference_seconds(embeddings, every, clock)))
        name = f"scoring, {len(embeddings)} images x 40 trials, {clock}"
        measurements[name] = measurement(pairs, of="one query at a time", unit="s")
    return measurements


def _reference_seconds(embeddings: Embeddings, every: int, clock: str) -> float:
    seconds = 0.0
    for mode in GALLERY_CAMERAS:
        for shots in (1, 10):
            protocol = SysuMM01Protocol(mode, shots, draw="seeded")
            one_trial = partial(QueryByQuery, embeddings, protocol)
            making = timed(one_trial, clock)
            scoring_some = timed(partial(one_trial().score, every), clock)
            seconds += protocol.trials * (making + every * scoring_some)
    return seconds
