"""Comparison tables as lines of CSV, one a row of a table, for spreadsheets and data frames; scores in percent."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence
from math import isnan

from crossreid.escaping import for_csv
from crossreid.studies.comparison.recipes import INFERENCE, TRAINING
from crossreid.studies.comparison.reproduction import PRINTED_METRICS, reproductions
from crossreid.studies.comparison.rows import INTERVALS, Row, TableSettings
from crossreid.studies.comparison.tables import ComparisonTable

_FIRST = ("dataset", "protocol", "method", "inference", "comparable", "feature", "seeds", "missing seeds", "trials")
_PUBLISHED = ("published rank1", "published mAP", "source")
_DECIMALS = 4


def csv_lines(tables: Sequence[ComparisonTable], settings: TableSettings) -> str:
    """All tables below each other under one heading; what is not known is an empty cell.

    Several numbers that are printed for a row stand in one cell, separated by ``; ``, in the order of their sources.
    """
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(_heading(settings))
    for table in tables:
        for row in table.rows:
            writer.writerow([for_csv(cell) for cell in _cells(table, row, settings)])
    return stream.getvalue()


def _heading(settings: TableSettings) -> list[str]:
    columns = [*_FIRST]
    for metric in settings.metrics:
        columns += [metric, f"{metric} std over seeds", f"{metric} of chance"]
        if metric in INTERVALS:
            columns += [f"{metric} 95 % low", f"{metric} 95 % high"]
    columns += _PUBLISHED
    for metric in PRINTED_METRICS:
        columns += [
            f"{metric} ours - published",
            f"{metric} narrow margin",
            f"{metric} wide margin",
            f"{metric} within",
        ]
    return [*columns, *INFERENCE, *TRAINING]


def _cells(table: ComparisonTable, row: Row, settings: TableSettings) -> list[object]:
    """A row under :func:`_heading`."""
    cells: list[object] = [
        table.dataset,
        table.protocol,
        row.label,
        row.kind.inference,
        "yes" if row.kind.plain else "no",
        row.kind.feature,
        _listed(sorted(row.results)),
        _listed(row.missing),
        table.result.trials,
    ]
    for metric in settings.metrics:
        mean = row.mean(metric)
        cells += [_percent(mean.value), _percent(mean.deviation), _percent(table.result.chance.get(metric))]
        if metric in INTERVALS:
            cells += _ends(row, metric)
    cells.append(_listed(entry.rank1 for entry in row.published))
    cells.append(_listed(entry.mean_ap for entry in row.published))
    cells.append(_listed(entry.source for entry in row.published))
    for metric in PRINTED_METRICS:
        cells += _reproduction(row, metric)
    recipe = row.recipe()
    for column in (*INFERENCE, *TRAINING):
        cells.append(recipe.get(column, ""))
    return cells


def _reproduction(row: Row, metric: str) -> list[object]:
    """Differences, both margins, verdicts of a metric; empty cells where nothing is printed for the runs' dataset."""
    found = [one for one in reproductions(row) if one.metric == metric]
    if not found:
        return [""] * 4
    differences = _listed(_percent(one.difference) for one in found)
    margin = found[0].margin  # of the row, the same beside all printed numbers
    if isinstance(margin, str):  # why there is none, which the caption says
        return [differences, "", "", ""]
    verdicts = _listed(one.verdict for one in found)
    return [differences, _percent(margin.narrow), _percent(margin.wide), verdicts]


def _ends(row: Row, metric: str) -> list[object]:
    """Both ends of the interval of a metric."""
    interval = row.intervals.get(metric)
    if interval is None or isinstance(interval, str):  # why there is none, which the caption says
        return ["", ""]
    return [_percent(interval[0]), _percent(interval[1])]


def _percent(value: float | None) -> object:
    if value is None or isnan(value):
        return ""
    return round(100 * value, _DECIMALS)


def _listed(values: Iterable[object]) -> str:
    return "; ".join(map(str, values))
