"""How far a mean over probes, or the difference of two, would move with other people in the test set, and other seeds.

Percentile bootstrap (Efron and Tibshirani, An Introduction to the Bootstrap, 1993). All probes of a person are drawn
together, since they are not independent.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from crossreid.errors import DataError
from crossreid.evaluation.array_files import Array
from crossreid.evaluation.results import IdentityScores

IDENTITY_METRICS: Final = {"rank1": "rank1", "mAP": "mean_ap", "mINP": "mean_inp"}
"""Metric -> the column of :class:`IdentityScores` that sums it."""

_CELLS = 1 << 22  # drawn identities at a time


def run_statistics(scores: Sequence[IdentityScores], metric: str, draws: Array) -> Array:
    """The metric of each run on each resample of people: sum over its identities / their valid probes.

    Args:
        scores: of S runs of one method on one test set, with the same I identities.
        metric: a key of :data:`IDENTITY_METRICS`.
        draws: (B, D) places of identities in 0 ... I - 1, drawn with replacement; the same people for every run.

    Returns:
        (S, B) values in [0, 1].
    """
    column = IDENTITY_METRICS[metric]
    means = []
    for run in scores:
        total = getattr(run, column)[draws].sum(axis=1)  # (B,)
        probes = run.valid[draws].sum(axis=1)  # people have different numbers of probes: each resample its own
        means.append(total / probes)
    return np.stack(means)


def bootstrap_statistics(scores: Sequence[IdentityScores], metric: str, draws: Array) -> Array:
    """(B,) the values of :func:`run_statistics`, averaged over the runs."""
    return np.asarray(run_statistics(scores, metric, draws).mean(axis=0))


def identity_interval(
    scores: Sequence[IdentityScores], metric: str, *, resamples: int = 2000, seed: int = 0, level: float = 0.95
) -> tuple[float, float]:
    """Percentile interval of a metric over the identities of the test set, in [0, 1].

    All probes of a person are drawn together, since they are not independent. Identities without a valid probe count
    nowhere and are not drawn. Chance of training (the seeds) is averaged over, not resampled.

    Args:
        scores: of the runs that a mean is over; the same identities in each.
        metric: a key of :data:`IDENTITY_METRICS`.
        resamples: number of resamples B.
        seed: of the draws; equal seeds and identities give equal draws.
        level: share of resamples inside.

    Raises:
        DataError: the runs have not the same identities with valid probes, or none.
    """
    runs = _with_the_same_people(scores)
    values = []
    for draws in _people_draws(len(runs[0].pids), resamples, seed):
        values.append(bootstrap_statistics(runs, metric, draws))
    return _interval(np.concatenate(values), level)


@dataclass(frozen=True)
class PairedDifference:
    """A metric of a second method less that of a first one, on the same probes.

    Attributes:
        value: the difference, in [-1, 1]: mean over runs of the mean over probes.
        interval: percentile interval of it over resamples of persons and runs.
        share_above: share of resamples with a difference above 0.
        p_value: two-sided: twice the smaller share of resamples that are not above, or not below, 0; at most 1.
        persons: that were drawn from.
        better: how many of them the second method finds better, by the mean over their probes and over runs.
        worse: how many it finds worse.
    """

    value: float
    interval: tuple[float, float]
    share_above: float
    p_value: float
    persons: int
    better: int
    worse: int


def paired_difference(
    first: Sequence[IdentityScores],
    second: Sequence[IdentityScores],
    metric: str,
    *,
    resamples: int = 10_000,
    seed: int = 0,
    level: float = 0.95,
) -> PairedDifference:
    """Compare two methods by the persons of one test set, and by their runs where there are several.

    A resample draws as many persons as there are, with all their probes, the same for both methods; and for each method
    as many of its runs as there are, independently of the other one's. Of few runs the deviation is underestimated: by the
    factor ((S - 1) / S)^0.5 for S of them, and of a single one nothing is known.

    Args:
        first: of the runs of one method; the same persons with the same numbers of valid probes in each.
        second: likewise of the other one.
        metric: a key of :data:`IDENTITY_METRICS`.
        resamples: number of resamples B.
        seed: of the draws; equal seeds and persons give equal draws.
        level: share of resamples inside the interval.

    Raises:
        DataError: persons or their valid probes differ, or there are none.
    """
    runs = _with_the_same_people([*first, *second])
    for run in runs:
        if not np.array_equal(run.valid, runs[0].valid):
            raise DataError("The runs were scored on different probes, so that they are not paired.")
    one = runs[: len(first)]
    two = runs[len(first) :]
    if not one or not two:
        raise DataError("A comparison needs at least one run on each side.")
    size = len(runs[0].pids)
    differences = _resampled_differences(one, two, metric, resamples, seed)

    def difference(draws: Array) -> Array:
        return bootstrap_statistics(two, metric, draws) - bootstrap_statistics(one, metric, draws)

    everyone = np.arange(size)[None, :]  # one "resample" with each person once
    by_person = difference(np.arange(size)[:, None])  # one of each person alone
    # Counted with a tolerance: a difference that is 0 but for rounding is neither above nor below it.
    not_above = int((differences <= _EQUAL).sum()) + 1  # the sample itself counts as a resample
    not_below = int((differences >= -_EQUAL).sum()) + 1
    return PairedDifference(
        value=float(difference(everyone)[0]),
        interval=_interval(differences, level),
        share_above=float((differences > _EQUAL).mean()),
        p_value=min(1.0, 2 * min(not_above, not_below) / (resamples + 1)),
        persons=size,
        better=int((by_person > _EQUAL).sum()),
        worse=int((by_person < -_EQUAL).sum()),
    )


def _resampled_differences(
    one: Sequence[IdentityScores], two: Sequence[IdentityScores], metric: str, resamples: int, seed: int
) -> Array:
    """(B,) differences on resamples of persons, which are the same for both methods, and of each method's runs."""
    runs_of_one = np.random.default_rng([seed, 1])
    runs_of_two = np.random.default_rng([seed, 2])
    values = []
    for draws in _people_draws(len(one[0].pids), resamples, seed):
        of_one = _mean_of_drawn_runs(one, metric, draws, runs_of_one)
        of_two = _mean_of_drawn_runs(two, metric, draws, runs_of_two)
        values.append(of_two - of_one)
    return np.concatenate(values)


def _mean_of_drawn_runs(
    scores: Sequence[IdentityScores], metric: str, draws: Array, generator: np.random.Generator
) -> Array:
    """(B,) the metric of each resample of people, averaged over as many of the runs as there are, drawn with replacement."""
    of_runs = run_statistics(scores, metric, draws)  # (S, B)
    chosen = generator.integers(len(scores), size=(len(draws), len(scores)))  # (B, S)
    return np.asarray(np.take_along_axis(of_runs, chosen.T, axis=0).mean(axis=0))


_EQUAL = 1e-12
"""Means of the same numbers in another order differ by less."""


def _with_the_same_people(scores: Sequence[IdentityScores]) -> list[IdentityScores]:
    """The runs without identities that have no valid probe.

    Raises:
        DataError: the runs have not the same identities with valid probes, or none.
    """
    if not scores:
        raise DataError("An interval needs the identities of at least one run.")
    runs = [run.having_probes() for run in scores]
    identities = runs[0].pids
    for run in runs:
        if not np.array_equal(run.pids, identities):
            raise DataError("The runs were scored on different identities, so there is no interval over them.")
    if not len(identities):
        raise DataError("No identity has a valid probe, so there is no interval over them.")
    return runs


def _people_draws(size: int, resamples: int, seed: int) -> Iterator[Array]:
    """Places of as many people as there are, for some resamples at a time: (B, size) each."""
    generator = np.random.default_rng(seed)
    chunk = max(1, _CELLS // size)
    # a generator goes on where it stopped: resamples do not depend on the chunk
    for start in range(0, resamples, chunk):
        count = min(chunk, resamples - start)
        yield generator.integers(size, size=(count, size))


def _interval(values: Array, level: float) -> tuple[float, float]:
    """The percentiles that leave equal shares outside."""
    tails = [(1 - level) / 2, (1 + level) / 2]
    low, high = np.quantile(values, tails).tolist()
    return low, high
