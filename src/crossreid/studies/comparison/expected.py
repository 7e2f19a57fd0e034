"""Which rows and seeds a table should have."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from crossreid.runs.reading import Run
from crossreid.studies.comparison.planned import Plan


@dataclass(frozen=True)
class Expected:
    """What every table of one dataset should hold.

    Attributes:
        names: of runs.
        seeds: of every row, ascending.
    """

    names: frozenset[str]
    seeds: tuple[int, ...]


@dataclass(frozen=True)
class Expectations:
    """What the tables of each dataset should hold.

    Attributes:
        runs: all that there are, failed ones too.
        plans: of the sweeps that they belong to.
        rows: names that every dataset should have runs of; None for those of its runs and of their plans.
        seeds: that every row should have; None for those of the dataset's runs and of their plans.
    """

    runs: Sequence[Run]
    plans: Sequence[Plan] = ()
    rows: Sequence[str] | None = None
    seeds: Sequence[int] | None = None

    def on(self, dataset: str) -> Expected:
        """What is expected on one dataset, by its digest."""
        runs = []
        names = set()
        seeds = set()
        for run in self.runs:
            if run.dataset == dataset:
                runs.append(run)
                names.add(run.name)
                seeds.add(run.seed)
        for plan in self.plans:
            if plan.covers(runs):
                names.update(plan.rows)
                seeds.update(plan.seeds)
        if self.rows is not None:
            names = set(self.rows)
        if self.seeds is not None:
            seeds = set(self.seeds)
        return Expected(frozenset(names), tuple(sorted(seeds)))
