"""Runs -> one table per dataset and protocol: means over seeds, intervals over identities, what is missing."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np

from crossreid.errors import DataError
from crossreid.evaluation import RetrievalResult
from crossreid.evaluation.bootstrap import identity_interval
from crossreid.evaluation.scorers import PLAIN
from crossreid.runs.reading import Problem, Run
from crossreid.runs.results import UNTRAINED
from crossreid.studies.comparison.planned import Plan
from crossreid.studies.comparison.published import Published, published
from crossreid.studies.comparison.recipes import inference_recipe, training_recipe

Kind = tuple[str, str, str, str]
"""Name of the runs, which of their rows, and the scorer's labels of inference and feature: what makes a row."""
INTERVALS = ("rank1", "mAP")
"""Metrics that get an interval over identities."""


@dataclass(frozen=True)
class TableSettings:
    """How tables are made.

    Attributes:
        metrics: of :meth:`RetrievalResult.metrics`, the columns.
        resamples: of the bootstrap.
        seed: of the bootstrap.
        seeds: that every row of a table should have.
    """

    metrics: tuple[str, ...]
    resamples: int
    seed: int
    seeds: tuple[int, ...] = ()


@dataclass(frozen=True, eq=False)
class Row:
    """One method in one table.

    Attributes:
        name: of its runs.
        variant: which of their rows; empty for the method's own.
        inference: the label that the scorer gave; what is not exactly ``plain`` is never a plain number.
        feature: what was compared and how, by the scorer's label; empty for a row without any results.
        runs: seed -> the run that is used; a row without any is missing altogether.
        results: seed -> its result.
        published: what is printed for it.
        settings: of the table.
    """

    name: str
    variant: str
    inference: str
    feature: str
    runs: Mapping[int, Run]
    results: Mapping[int, RetrievalResult]
    published: tuple[Published, ...]
    settings: TableSettings

    @property
    def label(self) -> str:
        """Name in tables."""
        return f"{self.name}/{self.variant}" if self.variant else self.name

    @property
    def plain(self) -> bool:
        """Its similarities depend on the two images alone."""
        return self.inference == PLAIN

    @property
    def missing(self) -> tuple[int, ...]:
        """Seeds without a result."""
        return tuple(seed for seed in self.settings.seeds if seed not in self.results)

    def by_seed(self, metric: str) -> dict[int, float | None]:
        """Means over trials, in [0, 1]; None where the seed is missing."""
        seeds = sorted({*self.settings.seeds, *self.results})
        return {s: self.results[s].metrics()[metric]["mean"] if s in self.results else None for s in seeds}

    def mean(self, metric: str) -> tuple[float, float | None] | None:
        """Mean and sample standard deviation over seeds of the mean over trials; no deviation of one seed, None of none."""
        values = [value for value in self.by_seed(metric).values() if value is not None]
        if not values:
            return None
        return float(np.mean(values)), float(np.std(values, ddof=1)) if len(values) > 1 else None

    @cached_property
    def intervals(self) -> dict[str, tuple[float, float] | str]:
        """95 % interval of each metric of :data:`INTERVALS`, in [0, 1], or why there is none."""
        found: dict[str, tuple[float, float] | str] = {}
        scores = [result.identities for result in self.results.values()]
        for metric in INTERVALS if scores else ():
            try:
                found[metric] = identity_interval(
                    scores, metric, resamples=self.settings.resamples, seed=self.settings.seed
                )
            except DataError as error:
                found[metric] = str(error)
        return found

    @property
    def near_chance(self) -> bool:
        """The mean Rank-1 is below twice that of a random ranking."""
        mean = self.mean("rank1")
        return mean is not None and mean[0] < 2 * next(iter(self.results.values())).chance["rank1"]

    def recipe(self) -> dict[str, str]:
        """How it was looked for, and how the network came about; empty for a row without runs."""
        if not self.runs:
            return {}
        runs = list(self.runs.values())
        training = training_recipe(runs)
        if self.variant == UNTRAINED:
            training |= {"augmentation": "-", "training ids": "0", "iterations": "0", "training seconds": "0"}
        return inference_recipe(runs[0].config, self.inference) | training


@dataclass(frozen=True, eq=False)
class ComparisonTable:
    """One protocol on one dataset.

    Attributes:
        dataset: name and, where that says too little, what is particular.
        protocol: key.
        result: any result of it, for labels, counts and chance.
        rows: plain ones first.
    """

    dataset: str
    protocol: str
    result: RetrievalResult
    rows: tuple[Row, ...]

    @property
    def plain(self) -> tuple[Row, ...]:
        """Rows whose similarities depend on the two images alone."""
        return tuple(row for row in self.rows if row.plain)

    @property
    def others(self) -> tuple[Row, ...]:
        """All other rows: transductive, re-ranked, single queries, undeclared."""
        return tuple(row for row in self.rows if not row.plain)

    @property
    def runs(self) -> tuple[Run, ...]:
        """The runs behind its rows, each once."""
        return tuple({id(run): run for row in self.rows for run in row.runs.values()}.values())


def make_tables(
    chosen: Sequence[Run],
    seen: Sequence[Run],
    settings: TableSettings,
    *,
    rows: Sequence[str] | None = None,
    seeds: Sequence[int] | None = None,
    plans: Sequence[Plan] = (),
    untrained: bool = False,
) -> tuple[list[ComparisonTable], list[Problem]]:
    """All tables, and what is missing from them.

    Args:
        chosen: usable runs, at most one per dataset, name and seed.
        seen: all runs, failed ones too.
        settings: of the tables, without seeds.
        rows: names that every dataset should have runs of; None for those that were seen on it or planned with them.
        seeds: that every row should have; None for all that were seen on its dataset or planned with them.
        plans: what sweeps were told to run.
        untrained: give the network before training a row too.
    """
    names = dataset_names(chosen)
    cells: dict[tuple[str, str, str], dict[Kind, dict[int, tuple[Run, RetrievalResult]]]] = {}
    for run in chosen:
        for name, results in run.results.items():
            variant = name if name == UNTRAINED else name.removeprefix(run.name).removeprefix("/")
            if variant == UNTRAINED and not untrained:
                continue
            for key, result in results.items():
                kind = run.name, variant, result.labels.inference, result.labels.feature
                table = cells.setdefault((run.dataset, key, condition(result)), {})
                table.setdefault(kind, {})[run.seed] = (run, result)
    tables = []
    missing: dict[tuple[str, str, tuple[int, ...], str], list[str]] = {}
    for (digest, key, _), kinds in sorted(cells.items(), key=lambda item: (names[item[0][0]], *item[0])):
        here = [run for run in seen if run.dataset == digest]
        planned = [plan for plan in plans if plan.covers(here)]
        known_seeds = {run.seed for run in here}.union(*(plan.seeds for plan in planned))
        known_rows = {run.name for run in here}.union(*(plan.rows for plan in planned))
        wanted = sorted(set(known_seeds if seeds is None else seeds))
        own = replace(settings, seeds=tuple(wanted))
        made = [_row(kind, found, key, own) for kind, found in kinds.items()]
        absent = set(known_rows if rows is None else rows) - {row.name for row in made}
        made += [Row(name, "", PLAIN, "", {}, {}, (), own) for name in absent]
        made.sort(key=lambda row: (not row.plain, row.label, row.inference, row.feature))
        any_result = next(iter(next(iter(kinds.values())).values()))[1]
        tables.append(ComparisonTable(names[digest], key, any_result, tuple(made)))
        for row in made:
            if row.missing:
                missing.setdefault((row.label, row.inference, row.missing, names[digest]), []).append(key)
    problems = [
        Problem(
            "missing", f"{label}, seed {', '.join(map(str, lacking))}", f"no result on {dataset}: {', '.join(keys)}."
        )
        for (label, _, lacking, dataset), keys in missing.items()
    ]
    return tables, problems


def condition(result: RetrievalResult) -> str:
    """What must be equal for numbers of one protocol key to stand in one table."""
    labels = result.labels
    told = [labels.mode, labels.shots, labels.draw, labels.exclusion, labels.ranks, result.trials, result.n_probes]
    return json.dumps([*told, result.n_gallery.tolist()])


def dataset_names(runs: Iterable[Run]) -> dict[str, str]:
    """Digest of a dataset -> its name, with people and split, and a part of the digest where that does not tell two apart."""
    names: dict[str, str] = {}
    for run in runs:
        name, people = run.data, run.config["choices"].get("people")
        if name.startswith("synthetic"):
            name += f", people={people or 'own'}"
        split = run.config["data"].get("split")
        if split is not None:
            name += f", split {split}"
        names[run.dataset] = name
    taken = list(names.values())
    return {d: name if taken.count(name) == 1 else f"{name} [{d[:6]}]" for d, name in names.items()}


def _row(kind: Kind, found: Mapping[int, tuple[Run, RetrievalResult]], key: str, settings: TableSettings) -> Row:
    name, variant, inference, _ = kind
    runs = {seed: run for seed, (run, _) in sorted(found.items())}
    results = {seed: result for seed, (_, result) in sorted(found.items())}
    return Row(*kind, runs, results, published(name, variant, inference, key), settings)


def table_json(table: ComparisonTable) -> dict[str, Any]:
    """Everything in a table as plain values; fractions in [0, 1]."""
    result = table.result
    return {
        "dataset": table.dataset,
        "protocol": table.protocol,
        "labels": {k: getattr(result.labels, k) for k in ("mode", "shots", "draw", "exclusion", "ranks")},
        "trials": result.trials,
        "chance": {k: None if np.isnan(v) else float(v) for k, v in result.chance.items()},
        "plain": [_row_json(row) for row in table.plain],
        "not_comparable": [_row_json(row) for row in table.others],
    }


def _row_json(row: Row) -> dict[str, Any]:
    metrics = {}
    for metric in row.settings.metrics:
        mean = row.mean(metric)
        metrics[metric] = {
            "mean": mean and mean[0],
            "std_over_seeds": mean and mean[1],
            "by_seed": {str(seed): value for seed, value in row.by_seed(metric).items()},
        }
    return {
        "row": row.label,
        "name": row.name,
        "variant": row.variant,
        "inference": row.inference,
        "seeds": sorted(row.results),
        "missing_seeds": list(row.missing),
        "feature": row.feature,
        "metrics": metrics,
        "interval_95": {k: list(v) if isinstance(v, tuple) else {"left_out": v} for k, v in row.intervals.items()},
        "near_chance": row.near_chance,
        "recipe": row.recipe(),
        "published": [vars(entry) | {"dataset": entry.dataset} for entry in row.published],
        "runs": {str(seed): str(run.folder) for seed, run in row.runs.items()},
    }
