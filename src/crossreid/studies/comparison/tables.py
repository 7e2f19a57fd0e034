"""Runs -> one table per dataset and protocol, and what is missing from them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from crossreid.evaluation import RetrievalResult
from crossreid.evaluation.published import in_natural_order, published
from crossreid.evaluation.regdb import SPLITS_OF_REGDB
from crossreid.runs.reading import Problem, Run
from crossreid.studies.comparison.expected import Expectations, Expected
from crossreid.studies.comparison.grouping import group_by
from crossreid.studies.comparison.rows import Row, RowKind, TableSettings
from crossreid.studies.comparison.scores import Score, TableKind, scores_of

MEAN_OVER_SPLITS = "mean over splits"
"""Of a dataset's name in tables."""


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
        return tuple(row for row in self.rows if row.kind.plain)

    @property
    def others(self) -> tuple[Row, ...]:
        """All other rows: transductive, re-ranked, single queries, undeclared."""
        return tuple(row for row in self.rows if not row.kind.plain)

    @property
    def runs(self) -> tuple[Run, ...]:
        """The runs behind its rows, each once."""
        runs: dict[int, Run] = {}
        for row in self.rows:
            for run in row.runs.values():
                runs[id(run)] = run
        return tuple(runs.values())


def make_tables(
    runs: Sequence[Run], settings: TableSettings, expectations: Expectations, *, untrained: bool = False
) -> tuple[list[ComparisonTable], list[Problem]]:
    """All tables, and what is missing from them.

    Args:
        runs: usable ones, at most one per dataset, name and seed.
        settings: of the tables.
        expectations: rows and seeds that the tables should have.
        untrained: give the network before training a row too.
    """
    names = dataset_names(runs)
    scores_by_table = group_by(scores_of(runs, untrained=untrained), lambda score: score.table)
    order = _protocol_order(runs)

    def place(kind: TableKind) -> tuple[str, int, TableKind]:
        return (names[kind.dataset], order[kind.protocol], kind)

    tables = []
    for kind in sorted(scores_by_table, key=place):
        of_table = scores_by_table[kind]
        expected = expectations.on(kind.dataset)
        rows = _in_order(_rows(of_table, settings, expected), expected.names)
        tables.append(ComparisonTable(names[kind.dataset], kind.protocol, of_table[0].result, tuple(rows)))
    return tables, _missing(tables)


def _protocol_order(runs: Iterable[Run]) -> dict[str, int]:
    """Protocol -> its place, in the order in which runs are scored: all-search before indoor, single-shot before multi-shot."""
    keys: dict[str, None] = {}
    for run in runs:
        for results in run.results.values():
            keys.update(dict.fromkeys(results))
    return {key: place for place, key in enumerate(keys)}


def dataset_names(runs: Iterable[Run]) -> dict[str, str]:
    """Digest of a dataset -> its name, with people and split, and a part of the digest where that does not tell two apart."""
    names = {}
    for run in runs:
        names[run.dataset] = _dataset_name(run)
    counts = Counter(names.values())
    for digest, name in names.items():
        if counts[name] > 1:
            names[digest] = f"{name} [{digest[:6]}]"
    return names


def _dataset_name(run: Run) -> str:
    name = run.data
    if name.startswith("synthetic"):
        people = run.config["choices"].get("people") or "own"
        name += f", people={people}"
    split = run.config["data"].get("split")
    of_regdb = run.config["choices"]["protocol"] == "regdb"
    if split is not None:
        name += f", split {split}"
        if of_regdb:
            name += f" of {SPLITS_OF_REGDB}"
    elif of_regdb:
        name += f", {MEAN_OVER_SPLITS}"
    return name


def _rows(scores: Sequence[Score], settings: TableSettings, expected: Expected) -> list[Row]:
    """The rows of one table: those with results, and one for each expected name that has none."""
    rows = []
    names = set()
    for kind, of_row in group_by(scores, lambda score: score.row).items():
        rows.append(_row(kind, of_row, settings, expected))
        names.add(kind.name)
    for name in expected.names:
        if name not in names:
            rows.append(Row(RowKind(name), expected.seeds, settings))
    return rows


def _row(kind: RowKind, scores: Sequence[Score], settings: TableSettings, expected: Expected) -> Row:
    runs = {}
    results = {}
    for score in sorted(scores, key=lambda score: score.run.seed):
        runs[score.run.seed] = score.run
        results[score.run.seed] = score.result
    protocol = scores[0].result.protocol
    printed = published(kind.name, kind.variant, kind.inference, protocol)
    return Row(kind, expected.seeds, settings, runs, results, printed)


def _in_order(rows: Iterable[Row], names: Sequence[str]) -> list[Row]:
    """Plain rows first, then as their names are expected; names that nobody expected come last."""
    places = {name: place for place, name in enumerate(names)}

    def order(row: Row) -> tuple[bool, int, list[tuple[str, float]], str, str]:
        place = places.get(row.kind.name, len(places))
        return (not row.kind.plain, place, in_natural_order(row.label), row.kind.inference, row.kind.feature)

    return sorted(rows, key=order)


def _missing(tables: Iterable[ComparisonTable]) -> list[Problem]:
    """A problem for each row that lacks seeds; protocols that lack the same ones together."""
    protocols: dict[tuple[str, str, str], list[str]] = {}
    for table in tables:
        for row in table.rows:
            if row.missing:
                seeds = ", ".join(map(str, row.missing))
                lacking = (f"{row.label}, seed {seeds}", row.kind.inference, table.dataset)
                protocols.setdefault(lacking, []).append(table.protocol)
    problems = []
    for (what, _, dataset), keys in protocols.items():
        problems.append(Problem("missing", what, f"no result on {dataset}: {', '.join(keys)}."))
    return problems
