"""Ours beside a published number: how far apart they are, and how far apart noise alone may bring them.

A published number is one training's score, or the mean of RegDB's ten. Ours is a mean over S seeds. Were both the same method,
trained and scored by the same protocol, their difference would still not be 0. Three parts of it are known from our own runs;
each is the half-width of a 95 % interval of the difference:

* training: with s, the sample standard deviation over S seeds, a further training lies within
  t(0.975, S - 1) * s * sqrt(1 + 1 / S) of our mean, which is the prediction interval of one more observation;
* draws: with d, the standard deviation over the T drawn galleries, two means over T draws each differ by up to
  t(0.975, T - 1) * d * sqrt(2 / T);
* persons: half the width of the bootstrap interval over the identities of the test set, by which a score moves with other
  persons.

Independent parts add by their squares. Training and draws are noise between two scores on the *same* persons, which is what a
repeated training must keep to. A method's authors claim more, that it is so good on persons in general, and for that claim the
persons count too. So a difference is within the narrow margin, only within the wide one, or outside.

On RegDB a trial is a split with a training and persons of its own. The deviation d over n splits then holds all three parts:
the means over n and over ten splits differ by up to t(0.975, n - 1) * d * sqrt(1 / n + 1 / 10), and nothing is added.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import sqrt
from typing import Any

import numpy as np
from scipy.stats import t as student

from crossreid.evaluation import RetrievalResult
from crossreid.evaluation.published import Published
from crossreid.evaluation.regdb import SPLITS_OF_REGDB
from crossreid.evaluation.results import sample_deviation
from crossreid.studies.comparison.rows import Row

PRINTED_METRICS = ("rank1", "mAP")
"""Metrics that papers print, and an interval over persons is there of."""
WITHIN = "yes"
WITH_PERSONS = "with other persons"
"""The difference is more than training and draws make, and less than they make together with the choice of persons."""
ABOVE = "above"
BELOW = "below"
_LEVEL = 0.975
"""Of a two-sided interval of 95 %."""
_ONE_TRAINING = "one seed does not say how far trainings differ"
_ONE_SPLIT = "one split does not say how far splits differ"


@dataclass(frozen=True)
class Margin:
    """Half-widths of 95 % intervals of the difference of one metric, in [0, 1].

    Attributes:
        training: between two trainings.
        draws: between two sets of drawn galleries; 0 with RegDB's splits, whose deviation is in ``training``.
        persons: of other persons in the test; 0 with RegDB's splits, likewise.
    """

    training: float
    draws: float
    persons: float

    @property
    def narrow(self) -> float:
        """On the same persons."""
        return sqrt(self.training**2 + self.draws**2)

    @property
    def wide(self) -> float:
        """On persons in general."""
        return sqrt(self.narrow**2 + self.persons**2)


@dataclass(frozen=True)
class Reproduction:
    """One metric of a row beside one printed number.

    Attributes:
        metric: ``rank1`` or ``mAP``.
        published: the entry that is printed.
        difference: ours minus the printed number, in [-1, 1].
        margin: that noise justifies, or in a sentence why there is none.
    """

    metric: str
    published: Published
    difference: float
    margin: Margin | str

    @property
    def verdict(self) -> str:
        """``yes``, ``with other persons``, ``above`` or ``below``; empty where there is no margin."""
        if isinstance(self.margin, str):
            return ""
        distance = abs(self.difference)
        if distance <= self.margin.narrow:
            return WITHIN
        if distance <= self.margin.wide:
            return WITH_PERSONS
        if self.difference > 0:
            return ABOVE
        return BELOW

    def to_json(self) -> dict[str, Any]:
        """As plain values, in [0, 1]."""
        content: dict[str, Any] = {
            "metric": self.metric,
            "source": self.published.source,
            "ours_minus_published": self.difference,
        }
        if isinstance(self.margin, str):
            return {**content, "margin": None, "why": self.margin}
        margin = {"narrow": self.margin.narrow, "wide": self.margin.wide, **vars(self.margin)}
        return {**content, "margin": margin, "within": self.verdict}


def reproductions(row: Row) -> list[Reproduction]:
    """What a row's runs on a real dataset say of the numbers that are printed for that dataset and protocol.

    Empty for embedded people, for rows of which nothing is printed, and for a single split of RegDB, beside which the mean of
    ten has no place.
    """
    entries = [entry for entry in row.published if entry.dataset == _dataset(row)]
    if not entries or not row.results or _of_a_single_split(row):
        return []
    found = []
    for metric in PRINTED_METRICS:
        mean = row.mean(metric).value
        assert mean is not None
        margin = margin_of(row, metric)
        for entry in entries:
            printed = entry.mean_ap
            if metric == "rank1":
                printed = entry.rank1
            difference = mean - printed / 100  # papers print percent
            found.append(Reproduction(metric, entry, difference, margin))
    return found


def margin_of(row: Row, metric: str) -> Margin | str:
    """The noise of a row's mean against a printed number, or why it is not known.

    Args:
        row: with at least one result.
        metric: ``rank1`` or ``mAP``.
    """
    results = list(row.results.values())
    if results[0].labels.repeats == "split":
        return _over_splits(results, metric)
    seeds = len(results)
    deviation = row.mean(metric).deviation
    if deviation is None:
        return _ONE_TRAINING
    interval = row.intervals[metric]
    if isinstance(interval, str):
        return interval
    # t(0.975, S - 1) * s * sqrt(1 + 1 / S): one more training beside the mean of S.
    training = _quantile(seeds) * deviation * sqrt(1 + 1 / seeds)
    low, high = interval
    persons = (high - low) / 2
    return Margin(training, _draws(results, metric), persons)


def _over_splits(results: Sequence[RetrievalResult], metric: str) -> Margin | str:
    """Of means over splits; several seeds are averaged in each split."""
    splits = min(result.trials for result in results)
    if splits < 2:
        return _ONE_SPLIT
    if any(result.trials != splits for result in results):
        return "the seeds have different splits"
    by_seed = [_per_trial(result, metric) for result in results]
    by_split = np.mean(by_seed, axis=0)  # (n,)
    deviation = sample_deviation(by_split)
    assert deviation is not None
    # t(0.975, n - 1) * d * sqrt(1 / n + 1 / 10): the mean over n splits beside a printed one over all ten.
    margin = _quantile(splits) * deviation * sqrt(1 / splits + 1 / SPLITS_OF_REGDB)
    return Margin(margin, draws=0.0, persons=0.0)


def _draws(results: Sequence[RetrievalResult], metric: str) -> float:
    """Between two means over T drawn galleries; 0 of a protocol that draws nothing, or with one trial."""
    trials = results[0].trials
    if trials < 2:
        return 0.0
    # d^2: the mean over the seeds of the variance over their T trials.
    variances = [np.var(_per_trial(result, metric), ddof=1) for result in results]
    variance = float(np.mean(variances))
    # t(0.975, T - 1) * d * sqrt(2 / T): the means over two times T draws.
    return _quantile(trials) * sqrt(variance) * sqrt(2 / trials)


def _per_trial(result: RetrievalResult, metric: str) -> Any:
    """(T,) values in [0, 1]."""
    if metric == "rank1":
        return result.rank(1)
    return result.mean_ap


def _quantile(observations: int) -> float:
    """Of Student's t for a mean of so many observations."""
    return float(student.ppf(_LEVEL, observations - 1))


def _dataset(row: Row) -> str:
    """Of any run: a row's runs are all on one."""
    return next(iter(row.runs.values())).data


def _of_a_single_split(row: Row) -> bool:
    result = next(iter(row.results.values()))
    return result.labels.draw.startswith("split ")
