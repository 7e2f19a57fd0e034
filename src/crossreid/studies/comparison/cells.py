"""Rows of comparison tables as text, cell by cell."""

from __future__ import annotations

from math import isnan

from crossreid.evaluation.published import Published
from crossreid.evaluation.tables import METRICS, percent_with_deviation
from crossreid.studies.comparison.recipes import INFERENCE, TRAINING
from crossreid.studies.comparison.rows import INTERVALS, Interval, Mean, Row, TableSettings
from crossreid.studies.comparison.tables import ComparisonTable

MISSING = "missing"
LEFT_OF_METRICS = ("method", "seeds", "feature", *INFERENCE)
"""Columns of a row's name and of how an image is looked for."""


def headings(settings: TableSettings) -> list[str]:
    """Columns of the scores, before those of training."""
    columns = [*LEFT_OF_METRICS]
    for metric in settings.metrics:
        columns.append(METRICS[metric])
        if metric in INTERVALS:
            columns.append(f"{METRICS[metric]} 95 %")
    return [*columns, f"{METRICS[settings.metrics[0]]} by seed", "published R1 / mAP", "source"]


def importance(settings: TableSettings) -> list[str]:
    """The same columns, those first that a narrow place needs most."""
    means = [METRICS[metric] for metric in settings.metrics]
    intervals = [f"{METRICS[metric]} 95 %" for metric in settings.metrics if metric in INTERVALS]
    first = ["method", "seeds", *means[:1], *intervals[:1], *means[1:2], "published R1 / mAP"]
    order = [*first, *means, *intervals, *headings(settings)]
    return list(dict.fromkeys(order))


def score_cells(row: Row) -> list[str]:
    """A row under :func:`headings`."""
    recipe = row.recipe()
    cells = [row.label, str(len(row.results)), row.kind.feature or MISSING]
    for column in INFERENCE:
        cells.append(recipe.get(column, MISSING))
    for metric in row.settings.metrics:
        cells.append(_mean(row.mean(metric)))
        if metric in INTERVALS:
            cells.append(_interval(row.intervals.get(metric)))
    cells.append(_by_seed(row))
    return [*cells, *_published(row)]


def training_cells(row: Row) -> list[str]:
    """A row's columns of how its network came about."""
    recipe = row.recipe()
    return [recipe.get(column, MISSING) for column in TRAINING]


def chance_cells(table: ComparisonTable, settings: TableSettings) -> list[str]:
    """The row of a random ranking."""
    blank = len(LEFT_OF_METRICS) - 1
    cells = ["chance", *[""] * blank]
    for metric in settings.metrics:
        chance = table.result.chance.get(metric, float("nan"))
        cells.append("-" if isnan(chance) else _percent(chance))
        if metric in INTERVALS:
            cells.append("")
    return [*cells, "", "", ""]


def _by_seed(row: Row) -> str:
    """The first metric, seed by seed."""
    cells = []
    for seed, value in row.by_seed(row.settings.metrics[0]).items():
        cells.append(f"{seed}: {_percent(value)}")
    return ", ".join(cells)


def _published(row: Row) -> list[str]:
    """Numbers, and their sources in the same order."""
    numbers = []
    sources = []
    for entry in row.published:
        numbers.append(_printed_numbers(entry))
        sources.append(entry.source)
    return ["; ".join(numbers) or "-", "; ".join(sources) or "-"]


def _mean(mean: Mean) -> str:
    if mean.value is None:
        return MISSING
    return percent_with_deviation(mean.value, mean.deviation)


def _interval(interval: Interval | str | None) -> str:
    if interval is None:
        return MISSING
    if isinstance(interval, str):  # why there is none, which the caption says
        return "left out"
    low, high = interval
    return f"{_percent(low)} to {_percent(high)}"


def _percent(value: float | None) -> str:
    if value is None:
        return MISSING
    return f"{100 * value:.2f}"


def _printed_numbers(entry: Published) -> str:
    numbers = f"{_as_printed(entry.rank1)} / {_as_printed(entry.mean_ap)}"
    if entry.disputed:
        return f"{numbers} (disputed)"
    return numbers


def _as_printed(percent: float) -> str:
    """With one decimal, or with two where the second is not zero."""
    if round(percent, 1) == percent:
        return f"{percent:.1f}"
    return f"{percent:.2f}"
