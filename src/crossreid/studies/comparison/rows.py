"""One method in one table: its results by seed, their mean, their intervals, and how they came about."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from crossreid.errors import DataError
from crossreid.evaluation import RetrievalResult
from crossreid.evaluation.bootstrap import identity_interval
from crossreid.evaluation.published import Published
from crossreid.evaluation.results import sample_deviation
from crossreid.evaluation.scorers import PLAIN
from crossreid.runs.reading import Run
from crossreid.runs.results import UNTRAINED
from crossreid.studies.comparison.recipes import inference_recipe, training_recipe

INTERVALS = ("rank1", "mAP")
"""Metrics that get an interval over identities."""
_NO_TRAINING = {"augmentation": "-", "training ids": "0", "iterations": "0", "training seconds": "0"}
"""Of the network before training: its run's settings of training say nothing of it."""


@dataclass(frozen=True)
class TableSettings:
    """How tables are made.

    Attributes:
        metrics: of :meth:`RetrievalResult.metrics`, the columns.
        resamples: of the bootstrap.
        seed: of the bootstrap.
    """

    metrics: tuple[str, ...]
    resamples: int
    seed: int


@dataclass(frozen=True)
class RowKind:
    """Results with all of these in common are one row.

    Attributes:
        name: of the runs.
        variant: which of their rows; empty for the method's own.
        inference: the label that the scorer gave; what is not exactly ``plain`` is never a plain number.
        feature: what was compared and how, by the scorer's label; empty for a row without any results.
    """

    name: str
    variant: str = ""
    inference: str = PLAIN
    feature: str = ""

    @property
    def label(self) -> str:
        """Name in tables."""
        if self.variant:
            return f"{self.name}/{self.variant}"
        return self.name

    @property
    def plain(self) -> bool:
        """Its similarities depend on the two images alone."""
        return self.inference == PLAIN


@dataclass(frozen=True)
class Mean:
    """Of one metric over the seeds of a row.

    Attributes:
        value: in [0, 1]; None without results.
        deviation: sample standard deviation; None where fewer than two seeds have results.
    """

    value: float | None = None
    deviation: float | None = None


Interval = tuple[float, float]
"""Lower and upper end, in [0, 1]."""


@dataclass(frozen=True, eq=False)
class Row:
    """One method in one table.

    Attributes:
        kind: what makes it a row of its own.
        seeds: that it should have, ascending.
        settings: of the table.
        runs: seed -> the run that is used, ascending; a row without any is missing altogether.
        results: seed -> its result, likewise.
        published: what is printed for it.
    """

    kind: RowKind
    seeds: tuple[int, ...]
    settings: TableSettings
    runs: Mapping[int, Run] = field(default_factory=dict)
    results: Mapping[int, RetrievalResult] = field(default_factory=dict)
    published: tuple[Published, ...] = ()

    @property
    def label(self) -> str:
        """Name in tables."""
        return self.kind.label

    @property
    def missing(self) -> tuple[int, ...]:
        """Seeds without a result."""
        return tuple(seed for seed in self.seeds if seed not in self.results)

    def by_seed(self, metric: str) -> dict[int, float | None]:
        """Means over trials, in [0, 1]; None where the seed is missing."""
        seeds = sorted({*self.seeds, *self.results})
        values: dict[int, float | None] = dict.fromkeys(seeds)
        for seed, result in self.results.items():
            values[seed] = result.metrics()[metric]["mean"]
        return values

    def values(self, metric: str) -> list[float]:
        """Means over trials, in [0, 1], of the seeds that have a result."""
        return [value for value in self.by_seed(metric).values() if value is not None]

    def mean(self, metric: str) -> Mean:
        """Over seeds, of the mean over trials."""
        values = self.values(metric)
        if not values:
            return Mean()
        return Mean(float(np.mean(values)), sample_deviation(values))

    @cached_property
    def intervals(self) -> dict[str, Interval | str]:
        """95 % interval of each metric of :data:`INTERVALS`, or why there is none; empty without results."""
        intervals: dict[str, Interval | str] = {}
        if not self.results:
            return intervals
        scores = [result.identities for result in self.results.values()]
        for metric in INTERVALS:
            try:
                intervals[metric] = identity_interval(
                    scores, metric, resamples=self.settings.resamples, seed=self.settings.seed
                )
            except DataError as error:
                intervals[metric] = str(error)
        return intervals

    @property
    def near_chance(self) -> bool:
        """The mean Rank-1 is below twice that of a random ranking."""
        mean = self.mean("rank1").value
        if mean is None:
            return False
        any_result = next(iter(self.results.values()))
        return mean < 2 * any_result.chance["rank1"]

    def recipe(self) -> dict[str, str]:
        """How it was looked for, and how the network came about; empty for a row without runs."""
        if not self.runs:
            return {}
        runs = list(self.runs.values())
        recipe = inference_recipe(runs[0].config, self.kind.inference) | training_recipe(runs)
        if self.kind.variant == UNTRAINED:
            recipe |= _NO_TRAINING
        return recipe
