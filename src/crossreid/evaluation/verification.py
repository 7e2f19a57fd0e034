"""Verification: do two images show one person? Scores of pairs, thresholds at chosen rates of false matches, their spread.

A **genuine** pair shows one person, an **impostor** pair two. A pair matches where its similarity is at least the threshold.
FMR is the share of impostor pairs that match, FNMR the share of genuine pairs that do not, TMR = 1 - FNMR (ISO/IEC 19795-1).

Pairs are not independent: all those of a person move together. So intervals come from a bootstrap over persons: a resample
draws as many persons with replacement; a genuine pair counts as often as its person was drawn, an impostor pair as often as
the product of its two persons' draws.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np

from crossreid.errors import DataError
from crossreid.evaluation.array_files import Array
from crossreid.evaluation.embeddings import Embeddings
from crossreid.evaluation.scorers import normalised

LEAST_PAIRS = 1000
"""Impostor pairs that must stand behind any rate of false matches."""
LEAST_MATCHES = 30
"""Impostor pairs that must match at a rate: Doddington's rule of 30, which leaves the true rate within 30 % of the one
measured with a confidence of 90 %, were all pairs independent (The NIST speaker recognition evaluation, 2000)."""
_ROWS_AT_ONCE = 512
_POINTS = 200
"""Of a curve that is kept."""


class Interval(NamedTuple):
    """The middle 95 % of the resamples."""

    low: float
    high: float


@dataclass(frozen=True, eq=False)
class Pairs:
    """Scored pairs of images of P persons.

    Attributes:
        scores: (M,) similarities, higher is more alike.
        first: (M,) place of the one image's person, 0 to P - 1.
        second: (M,) place of the other image's person.
        persons: P.
        cameras: (M, 2) cameras of the two images, the smaller one first; empty (0, 2) where they are not known.
    """

    scores: Array
    first: Array
    second: Array
    persons: int
    cameras: Array

    def __len__(self) -> int:
        return len(self.scores)

    @cached_property
    def same(self) -> Array:
        """(M,) whether a pair is genuine."""
        return np.asarray(self.first == self.second)

    @property
    def genuine(self) -> Array:
        """Scores of the genuine pairs."""
        return np.asarray(self.scores[self.same])

    @property
    def impostor(self) -> Array:
        """Scores of the impostor pairs."""
        return np.asarray(self.scores[~self.same])

    def select(self, mask: Array) -> Pairs:
        """The pairs that a mask (M,) picks."""
        cameras = self.cameras
        if len(cameras):  # empty where they are not known
            cameras = cameras[mask]
        return Pairs(self.scores[mask], self.first[mask], self.second[mask], self.persons, cameras)

    def among(self, persons: Array) -> Pairs:
        """The pairs of which both images show one of some persons, given as a mask (P,)."""
        return self.select(persons[self.first] & persons[self.second])

    def by_cameras(self) -> Iterator[tuple[tuple[int, int], Pairs]]:
        """The pairs of each two cameras."""
        if not len(self.cameras):
            return
        kinds, kind = np.unique(self.cameras, axis=0, return_inverse=True)
        for place, (one, other) in enumerate(kinds.tolist()):
            yield (one, other), self.select(kind.reshape(-1) == place)

    def least_rate(self) -> float:
        """The smallest rate of false matches at which :data:`LEAST_MATCHES` impostor pairs match.

        Infinite where they are fewer than :data:`LEAST_PAIRS` altogether.
        """
        count = len(self.impostor)
        if count < LEAST_PAIRS:
            return float("inf")
        return LEAST_MATCHES / count


def pairs_of(embeddings: Embeddings, queries: bool, others: bool, *, same_camera: bool = False) -> Pairs:
    """All pairs of images of persons that are known, each pair once.

    Args:
        embeddings: N images; those of a person that nobody knows (negative identities) are left out.
        queries: the modality of the one image: True for infrared.
        others: that of the other image.
        same_camera: pairs of two images of one camera too, whose background is the same.

    Returns:
        Pairs by the cosine of ``main``; persons are numbered in the order of their identities.
    """
    known = embeddings.pids >= 0
    identities, person = np.unique(embeddings.pids[known], return_inverse=True)
    vectors = normalised(embeddings.features["main"][known]).astype(np.float32)
    camera = embeddings.camids[known]
    infrared = embeddings.infrared[known]
    one = np.flatnonzero(infrared == queries)
    other = np.flatnonzero(infrared == others)
    scores = []
    first = []
    second = []
    cameras = []
    for start in range(0, len(one), _ROWS_AT_ONCE):
        rows = one[start : start + _ROWS_AT_ONCE]
        similarity = vectors[rows] @ vectors[other].T
        wanted = np.ones(similarity.shape, dtype=bool)
        if queries == others:
            wanted = rows[:, None] < other[None, :]  # no image with itself, and no pair twice
        if not same_camera:
            wanted &= camera[rows][:, None] != camera[other][None, :]
        row, column = np.nonzero(wanted)
        scores.append(similarity[row, column])
        first.append(person[rows[row]])
        second.append(person[other[column]])
        both = np.stack([camera[rows[row]], camera[other[column]]], axis=1)
        cameras.append(np.sort(both, axis=1))
    if not scores:  # no image of the one modality: nothing to concatenate
        nobody = np.empty(0, np.int64)
        return Pairs(np.empty(0, np.float32), nobody, nobody, len(identities), np.empty((0, 2), np.int64))
    return Pairs(
        scores=np.concatenate(scores),
        first=np.concatenate(first),
        second=np.concatenate(second),
        persons=len(identities),
        cameras=np.concatenate(cameras),
    )


def threshold_at(impostor: Array, rate: float) -> float:
    """The lowest threshold at which at most this share of the impostor scores match.

    Raises:
        DataError: there are no scores.
    """
    if not len(impostor):
        raise DataError("There are no pairs of two persons, so there is no threshold.")
    allowed = int(np.floor(rate * len(impostor) + 1e-9))  # a product that is a whole number but for rounding is that
    if allowed >= len(impostor):
        return float(impostor.min())
    # The threshold lies above the best score that must not match, and not on the last that may: ties count as matches.
    highest_refused = np.partition(impostor, -(allowed + 1))[-(allowed + 1)]
    return above(float(highest_refused))


def above(score: float) -> float:
    """The next threshold above a score (of float32): one that the score does not reach."""
    return float(np.nextafter(np.float32(score), np.float32(np.inf)))


@dataclass(frozen=True)
class Threshold:
    """Where to cut for a rate of false matches, and what comes of it on the pairs that it was learned from.

    Attributes:
        rate: the false-match rate that was asked for.
        threshold: the similarity from which on a pair matches.
        threshold_interval: of thresholds that are chosen anew in each resample.
        false_match_rate: at the threshold; at most the rate.
        false_match_interval: of the rate at this threshold.
        true_match_rate: share of the genuine pairs that match.
        true_match_interval: likewise.
        genuine: genuine pairs behind it.
        impostor: impostor pairs behind it.
    """

    rate: float
    threshold: float
    threshold_interval: Interval
    false_match_rate: float
    false_match_interval: Interval
    true_match_rate: float
    true_match_interval: Interval
    genuine: int
    impostor: int


def draw_persons(persons: int, resamples: int, seed: int) -> Array:
    """(B, P) how often each of P persons is drawn in each of B resamples."""
    generator = np.random.default_rng(seed)
    return generator.multinomial(persons, np.full(persons, 1 / persons), size=resamples)


def thresholds(pairs: Pairs, rates: list[float], draws: Array) -> list[Threshold]:
    """Thresholds at some rates with intervals over persons.

    Args:
        pairs: scored pairs of P persons.
        rates: shares of the impostor pairs, above 0.
        draws: (B, P), see :func:`draw_persons`.

    Raises:
        DataError: there are no genuine or no impostor pairs, or too few impostor pairs stand behind a rate.
    """
    genuine = pairs.genuine
    impostor = pairs.impostor
    if not len(genuine) or not len(impostor):
        raise DataError("A threshold needs pairs of one person and pairs of two.")
    for rate in rates:
        require_pairs(pairs, rate)
    # Of each two persons the number of pairs, so that a resample is a product of small matrices and no list of pairs.
    weights = draws.astype(np.float64)
    all_impostors = _products(weights, _counts(pairs, ~pairs.same))  # (B,), how many pairs each resample has
    all_genuine = weights @ np.bincount(pairs.first[pairs.same], minlength=pairs.persons)
    results = []
    for rate in rates:
        threshold = threshold_at(impostor, rate)
        cut = np.float32(threshold)  # scores are float32: compared in their own type
        matches = pairs.scores >= cut
        false = _products(weights, _counts(pairs, matches & ~pairs.same))
        true = weights @ np.bincount(pairs.first[matches & pairs.same], minlength=pairs.persons)
        redrawn = _redrawn_thresholds(pairs, rate, weights, all_impostors)
        results.append(
            Threshold(
                rate=rate,
                threshold=threshold,
                threshold_interval=interval_of(redrawn),
                false_match_rate=float(np.mean(impostor >= cut)),
                false_match_interval=interval_of(false / np.maximum(all_impostors, 1)),
                true_match_rate=float(np.mean(genuine >= cut)),
                true_match_interval=interval_of(true / np.maximum(all_genuine, 1)),
                genuine=len(genuine),
                impostor=len(impostor),
            )
        )
    return results


def require_pairs(pairs: Pairs, rate: float, where: str = "") -> None:
    """Refuse a rate that too few impostor pairs stand behind.

    Raises:
        DataError: names the smallest rate that could be had.
    """
    least = pairs.least_rate()
    if rate >= least:
        return
    place = ""
    if where:
        place = f" of {where}"
    count = len(pairs.impostor)
    if count < LEAST_PAIRS:
        raise DataError(
            f"There are {count} pairs of two persons{place}, and no rate of false matches can be had from fewer than "
            f"{LEAST_PAIRS}: add persons or images."
        )
    raise DataError(
        f"At a false-match rate of {rate:g} {rate * count:.0f} of the {count} pairs of two persons{place} match, fewer than "
        f"{LEAST_MATCHES}: the smallest rate that can be had is {least:.2g}; add persons or images for smaller ones."
    )


def _counts(pairs: Pairs, mask: Array) -> Array:
    """(P, P) how many of the pairs that a mask picks are of each two persons."""
    cell = pairs.first[mask] * pairs.persons + pairs.second[mask]  # of a (P, P) table, flat
    counts = np.bincount(cell, minlength=pairs.persons * pairs.persons)
    return counts.reshape(pairs.persons, pairs.persons).astype(np.float64)


def _products(weights: Array, counts: Array) -> Array:
    """(B,) sums over pairs of persons (p, q) of weight p x weight q x count."""
    return np.asarray(((weights @ counts) * weights).sum(axis=1))


def _redrawn_thresholds(pairs: Pairs, rate: float, weights: Array, totals: Array) -> Array:
    """(B,) the threshold of each resample, by the highest impostor scores alone."""
    impostors = pairs.select(~pairs.same)
    # A threshold at a small rate lies among the highest scores: four times as many as match, and more if a resample asks.
    kept = min(len(impostors), max(10_000, int(4 * rate * len(impostors))))
    while True:
        order = np.argsort(-impostors.scores, kind="stable")[:kept]
        scores = impostors.scores[order]
        first = impostors.first[order]
        second = impostors.second[order]
        found = np.empty(len(weights))
        enough = True
        for place, weight in enumerate(weights):
            matched = np.cumsum(weight[first] * weight[second])  # pairs that match if the threshold lies at each score
            refused = int(np.searchsorted(matched, rate * totals[place] + 1e-9, side="right"))
            if refused < len(scores):
                found[place] = above(float(scores[refused]))
            elif kept == len(impostors):
                found[place] = float(scores[-1])
            else:
                enough = False
                break
        if enough:
            return found
        kept = min(len(impostors), 4 * kept)


def interval_of(values: Array) -> Interval:
    """The middle 95 % of some values."""
    low, high = np.quantile(values, [0.025, 0.975])
    return Interval(float(low), float(high))


@dataclass(frozen=True)
class RateCurve:
    """False and true matches over all thresholds, at some of them.

    Attributes:
        thresholds: K thresholds, falling.
        false_match_rate: at each, rising.
        true_match_rate: at each, rising.
        area: under the true-match rate over the false-match rate (ROC AUC), ties counted half.
        equal_error_rate: where false matches and false non-matches are as frequent.
    """

    thresholds: tuple[float, ...]
    false_match_rate: tuple[float, ...]
    true_match_rate: tuple[float, ...]
    area: float
    equal_error_rate: float


def rate_curve(genuine: Array, impostor: Array) -> RateCurve:
    """The curve of ROC and DET plots, of scores (A,) and (B,), at most 200 points that are dense where rates are small.

    Raises:
        DataError: there are no genuine or no impostor scores.
    """
    if not len(genuine) or not len(impostor):
        raise DataError("A curve needs pairs of one person and pairs of two.")
    ordered_genuine = np.sort(genuine)
    ordered_impostor = np.sort(impostor)
    cuts = np.unique(np.concatenate([ordered_genuine, ordered_impostor]))[::-1]  # all thresholds, falling
    false = 1 - np.searchsorted(ordered_impostor, cuts, side="left") / len(impostor)
    true = 1 - np.searchsorted(ordered_genuine, cuts, side="left") / len(genuine)
    area = float(np.trapezoid([0, *true], [0, *false]))  # from the threshold above all scores on
    # The two rates move in steps and may never be equal: where they are nearest, their mean.
    crossing = int(np.argmin(np.abs(false - (1 - true))))
    error = float((false[crossing] + 1 - true[crossing]) / 2)
    # Half of the points by ratios, for DET plots and their small rates, half evenly, for ROC plots.
    small_rates = np.geomspace(1 / len(impostor), 1, _POINTS // 2)
    even_rates = np.linspace(0, 1, _POINTS // 2)
    rates = np.unique(np.concatenate([small_rates, even_rates]))
    chosen = np.unique(np.clip(np.searchsorted(false, rates, side="right") - 1, 0, len(cuts) - 1))
    return RateCurve(
        tuple(cuts[chosen].astype(float).tolist()),
        tuple(false[chosen].tolist()),
        tuple(true[chosen].tolist()),
        area,
        error,
    )
