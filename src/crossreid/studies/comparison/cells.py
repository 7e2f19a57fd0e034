"""Rows of comparison tables as text, cell by cell."""

from __future__ import annotations

from math import isnan

from crossreid.evaluation.published import Published
from crossreid.evaluation.tables import METRICS, percent_with_deviation
from crossreid.studies.comparison.recipes import INFERENCE, TRAINING
from crossreid.studies.comparison.reproduction import Margin, reproductions
from crossreid.studies.comparison.rows import INTERVALS, Interval, Mean, Row, TableSettings
from crossreid.studies.comparison.tables import ComparisonTable

MISSING = "missing"
DIFFERENCE = "ours - published"
WITHIN_MARGIN = "within margin"
REPRODUCTION = (DIFFERENCE, "margin", WITHIN_MARGIN)
"""Columns where printed numbers of the same dataset stand beside ours."""
LEFT_OF_METRICS = ("method", "seeds", "feature", *INFERENCE)
"""Columns of a row's name and of how an image is looked for."""


def headings(table: ComparisonTable, settings: TableSettings) -> list[str]:
    """Columns of the scores, before those of training."""
    columns = [*LEFT_OF_METRICS]
    for metric in settings.metrics:
        columns.append(METRICS[metric])
        if metric in INTERVALS:
            columns.append(f"{METRICS[metric]} 95 %")
    columns += [f"{METRICS[settings.metrics[0]]} by seed", "published R1 / mAP", "source"]
    if reproduces(table):
        columns += REPRODUCTION
    return columns


def importance(table: ComparisonTable, settings: TableSettings) -> list[str]:
    """The same columns, those first that a narrow place needs most."""
    means = [METRICS[metric] for metric in settings.metrics]
    intervals = [f"{METRICS[metric]} 95 %" for metric in settings.metrics if metric in INTERVALS]
    first = ["method", "seeds", *means[:1], *intervals[:1], *means[1:2], "published R1 / mAP"]
    if reproduces(table):
        first = ["method", "seeds", *means[:2], "published R1 / mAP", DIFFERENCE, WITHIN_MARGIN]
    order = [*first, *means, *intervals, *headings(table, settings)]
    return list(dict.fromkeys(order))  # each once, at its first place


def score_cells(table: ComparisonTable, row: Row) -> list[str]:
    """A row of a table under :func:`headings`."""
    recipe = row.recipe()
    cells = [row.label, str(len(row.results)), row.kind.feature or MISSING]
    for column in INFERENCE:
        cells.append(recipe.get(column, MISSING))
    for metric in row.settings.metrics:
        cells.append(_mean(row.mean(metric)))
        if metric in INTERVALS:
            cells.append(_interval(row.intervals.get(metric)))
    cells += [_by_seed(row), *_published(row)]
    if reproduces(table):
        cells += _reproduction(row)
    return cells


def training_cells(row: Row) -> list[str]:
    """A row's columns of how its network came about."""
    recipe = row.recipe()
    return [recipe.get(column, MISSING) for column in TRAINING]


def chance_cells(table: ComparisonTable, settings: TableSettings) -> list[str]:
    """The row of a random ranking."""
    blank = [""] * (len(LEFT_OF_METRICS) - 1)
    cells = ["chance", *blank]
    for metric in settings.metrics:
        chance = table.result.chance.get(metric, float("nan"))
        if isnan(chance):  # of metrics without a chance level
            cells.append("-")
        else:
            cells.append(_percent(chance))
        if metric in INTERVALS:
            cells.append("")
    missing = len(headings(table, settings)) - len(cells)
    return [*cells, *[""] * missing]


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


def reproduces(table: ComparisonTable) -> bool:
    """Numbers that are printed for this very dataset stand beside a row of the table."""
    return any(reproductions(row) for row in table.rows)


def _reproduction(row: Row) -> list[str]:
    """Difference, margin and verdict, Rank-1 / mAP, the first and last for each printed pair of numbers."""
    found = reproductions(row)
    if not found:
        return ["-"] * len(REPRODUCTION)
    of_rank1 = [one for one in found if one.metric == "rank1"]
    of_mean_ap = [one for one in found if one.metric == "mAP"]
    differences = []
    verdicts = []
    for rank1, mean_ap in zip(of_rank1, of_mean_ap, strict=True):  # of one printed pair of numbers
        differences.append(f"{100 * rank1.difference:+.1f} / {100 * mean_ap.difference:+.1f}")
        both = [rank1.verdict or "unknown", mean_ap.verdict or "unknown"]
        verdicts.append(" / ".join(dict.fromkeys(both)))  # one word where both have the same
    # A margin is of the row, the same beside all printed numbers.
    margins = f"{_margin(of_rank1[0].margin)} / {_margin(of_mean_ap[0].margin)}"
    return ["; ".join(differences), margins, "; ".join(verdicts)]


def _margin(margin: Margin | str) -> str:
    """Narrow, and behind a ``to`` the wide one where persons are no part of the narrow."""
    if isinstance(margin, str):  # why there is none, which the caption says
        return "unknown"
    text = f"{100 * margin.narrow:.1f}"
    if margin.persons:
        text += f" to {100 * margin.wide:.1f}"
    return text


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
