"""Comparison tables as text: Markdown, and rich tables for a terminal."""

from __future__ import annotations

from collections.abc import Sequence
from math import isnan

from rich.table import Table

from crossreid.console import unshortened
from crossreid.evaluation.tables import METRICS
from crossreid.runs.reading import Problem
from crossreid.studies.comparison.recipes import INFERENCE, TRAINING
from crossreid.studies.comparison.tables import INTERVALS, ComparisonTable, Row, TableSettings

MISSING = "missing"
NOT_COMPARABLE = "Not comparable with the rows above"
ORIENTATION = (
    "Ours are on rendered people; the published numbers are from the real dataset and stand here for orientation only."
)


def headings(settings: TableSettings) -> list[str]:
    """Columns of the scores, before those of training."""
    columns = ["method", "seeds", "feature", *INFERENCE]
    for metric in settings.metrics:
        columns.append(METRICS[metric])
        if metric in INTERVALS:
            columns.append(f"{METRICS[metric]} 95 %")
    return [*columns, f"{METRICS[settings.metrics[0]]} by seed", "published R1 / mAP", "source"]


def cells(row: Row) -> list[str]:
    """A row under :func:`headings`."""
    settings, recipe = row.settings, row.recipe()
    told = [
        row.label,
        str(len(row.results)),
        row.feature or MISSING,
        *(recipe.get(name, MISSING) for name in INFERENCE),
    ]
    for metric in settings.metrics:
        told.append(_mean(row.mean(metric)))
        if metric in INTERVALS:
            told.append(_interval(row.intervals.get(metric)))
    by_seed = row.by_seed(settings.metrics[0])
    told.append(", ".join(f"{seed}: {MISSING if v is None else _percent(v)}" for seed, v in by_seed.items()))
    numbers = [
        f"{_printed(p.rank1)} / {_printed(p.mean_ap)}{' (disputed)' if p.disputed else ''}" for p in row.published
    ]
    return [*told, "; ".join(numbers) or "-", "; ".join(p.source for p in row.published) or "-"]


def training_cells(row: Row) -> list[str]:
    """A row's columns of how its network came about."""
    recipe = row.recipe()
    return [recipe.get(name, MISSING) for name in TRAINING]


def chance_cells(table: ComparisonTable, settings: TableSettings) -> list[str]:
    """The row of a random ranking."""
    told = ["chance", "", "", "", "", ""]
    for metric in settings.metrics:
        value = table.result.chance.get(metric, float("nan"))
        told.append("-" if isnan(value) else _percent(value))
        if metric in INTERVALS:
            told.append("")
    return [*told, "", "", ""]


def caption(table: ComparisonTable, settings: TableSettings) -> list[str]:
    """Sentences that belong to a table."""
    result, labels = table.result, table.result.labels
    lines = [
        "Percent: mean ± sample standard deviation over seeds of the mean over trials; 95 %: percentile bootstrap over "
        f"identities ({settings.resamples} resamples, the same people for every seed, averaged over seeds).",
        f"Mode {labels.mode}, shots {labels.shots}, draw {labels.draw}, {result.trials} trial(s), {result.n_probes} "
        f"probes; Rank-k counts {labels.ranks}; not counted: {labels.exclusion}.",
    ]
    if table.dataset.startswith("synthetic") and any(row.published for row in table.rows):
        lines.append(ORIENTATION)
    if any(run.config["trainer"].get("time_budget") for run in table.runs):
        budgets = sorted({str(run.config["trainer"].get("time_budget") or "none") for run in table.runs})
        lines.append(f"Time budget of training a run, in seconds: {', '.join(budgets)}.")
    revisions = sorted({str(run.facts.get("git")) for run in table.runs})
    if len(revisions) > 1:
        lines.append(f"The runs are of different git revisions: {', '.join(revisions)}.")
    for package in sorted({name for run in table.runs for name in run.facts.get("versions", {})}):
        versions = sorted({str(run.facts.get("versions", {}).get(package)) for run in table.runs})
        if len(versions) > 1:
            lines.append(f"The runs are of different versions of {package}: {', '.join(versions)}.")
    for row in table.rows:
        lines += [f"{row.label}: no interval of {m}: {v}" for m, v in row.intervals.items() if isinstance(v, str)]
        lines += [f"{row.label}: near chance level."] if row.near_chance else []
        lines += [f"{row.label}, {p.source}, disputed: {p.disputed}" for p in row.published if p.disputed]
    return lines


def rich_tables(table: ComparisonTable, settings: TableSettings) -> list[Table]:
    """For a terminal: scores, the same of rows that are not comparable, and how the networks came about."""
    title = f"{table.dataset}: {table.protocol}"
    scores = _rich(title, headings(settings), [chance_cells(table, settings), *map(cells, table.plain)])
    shown = [scores]
    if table.others:
        shown.append(_rich(f"{title}. {NOT_COMPARABLE}", headings(settings), [cells(row) for row in table.others]))
    rows = [[row.label, *training_cells(row)] for row in table.rows]
    made = _rich(f"{title}: how the networks came about", ["method", *TRAINING], rows)
    made.caption, made.caption_justify = "\n".join(caption(table, settings)), "left"
    return [*shown, made]


def markdown(tables: Sequence[ComparisonTable], problems: Sequence[Problem], settings: TableSettings) -> str:
    """The whole report."""
    lines = ["# Comparison", ""]
    for table in tables:
        head = [*headings(settings), *TRAINING]
        chance = [*chance_cells(table, settings), *[""] * len(TRAINING)]
        lines += [f"## {table.dataset}: {table.protocol}", ""]
        lines += _markdown_table(head, [chance, *([*cells(r), *training_cells(r)] for r in table.plain)])
        if table.others:
            lines += [f"### {NOT_COMPARABLE}", ""]
            lines += _markdown_table(head, [[*cells(row), *training_cells(row)] for row in table.others])
        lines += [f"- {line}" for line in caption(table, settings)] + [""]
    lines += ["## Not in the tables", ""]
    lines += [f"- {line}" for line in problem_lines(problems)] or ["Nothing is missing, failed or doubled."]
    return "\n".join(lines) + "\n"


def problem_lines(problems: Sequence[Problem]) -> list[str]:
    """One line each."""
    return [f"{p.kind}: {p.what}: {p.note}{' ' + ', '.join(p.folders) if p.folders else ''}" for p in problems]


def _markdown_table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    escaped = [[cell.replace("|", "\\|") for cell in row] for row in (head, ["---"] * len(head), *rows)]
    return [f"| {' | '.join(row)} |" for row in escaped] + [""]


def _rich(title: str, head: Sequence[str], rows: Sequence[Sequence[str]]) -> Table:
    table = Table(title=title, title_justify="left")
    for i, name in enumerate(head):
        table.add_column(name, no_wrap=True, justify="left" if i == 0 else "right")
    for row in rows:
        table.add_row(*row)
    return unshortened(table)


def _printed(value: float) -> str:
    """With one decimal, or the second one that was printed."""
    return f"{value:.1f}" if round(value, 1) == value else f"{value:.2f}"


def _percent(value: float) -> str:
    return f"{100 * value:.2f}"


def _mean(value: tuple[float, float | None] | None) -> str:
    if value is None:
        return MISSING
    mean, deviation = value
    return _percent(mean) if deviation is None else f"{_percent(mean)} ± {_percent(deviation)}"


def _interval(value: tuple[float, float] | str | None) -> str:
    if value is None:
        return MISSING
    return "left out" if isinstance(value, str) else f"{_percent(value[0])} to {_percent(value[1])}"
