"""Which rows and seeds a table should have."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from crossreid.evaluation.published import in_printed_order, without_preset
from crossreid.runs.reading import Run
from crossreid.studies.comparison.planned import Plan
from crossreid.studies.comparison.variation import Variation


@dataclass(frozen=True)
class Expected:
    """What every table of one dataset should hold.

    Attributes:
        names: of runs, in the order of the tables: those of a sweep as it lists them, then the others as papers do.
        seeds: of every row, ascending.
    """

    names: tuple[str, ...]
    seeds: tuple[int, ...]


@dataclass(frozen=True)
class Expectations:
    """What the tables of each dataset should hold.

    Attributes:
        runs: all that there are, failed ones too.
        plans: of the sweeps that they belong to.
        variations: rows whose runs have names of their own, which a plan does not know.
        rows: names that every dataset should have runs of; None for those of its runs and of their plans.
        seeds: that every row should have; None for those of the dataset's runs and of their plans.
    """

    runs: Sequence[Run]
    plans: Sequence[Plan] = ()
    variations: Sequence[Variation] = ()
    rows: Sequence[str] | None = None
    seeds: Sequence[int] | None = None

    def on(self, dataset: str) -> Expected:
        """What is expected on one dataset, by its digest."""
        runs = [run for run in self.runs if run.dataset == dataset]
        seeds = {run.seed for run in runs}
        planned: dict[str, None] = {}
        for plan in self.plans:
            if plan.covers(runs):
                planned.update(dict.fromkeys(plan.rows))
                seeds.update(plan.seeds)
        # The runs of a varied row have other names than its plan, so that none would ever be found under that one.
        for variation in self.variations:
            if variation.dataset == dataset:
                planned.pop(variation.name, None)
        names_of_runs = {run.name for run in runs}
        planned = _by_preset(planned, names_of_runs)
        others = names_of_runs.difference(planned)
        names = [*planned, *sorted(others, key=in_printed_order)]
        if self.rows is not None:
            names = list(dict.fromkeys(self.rows))
        if self.seeds is not None:
            seeds = set(self.seeds)
        return Expected(tuple(names), tuple(sorted(seeds)))


def _by_preset(planned: Iterable[str], names: Iterable[str]) -> dict[str, None]:
    """Planned rows in their order, each that was trained by several presets under the names of its runs."""
    presets_of: dict[str, list[str]] = {}
    for name in sorted(names, key=in_printed_order):
        row = without_preset(name)
        if row != name:
            presets_of.setdefault(row, []).append(name)
    in_order: dict[str, None] = {}
    for row in planned:
        in_order.update(dict.fromkeys(presets_of.get(row, [row])))
    return in_order
