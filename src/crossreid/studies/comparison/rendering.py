"""Comparison tables in Markdown, and as rich tables for a terminal."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from rich.table import Table

from crossreid.console import unshortened
from crossreid.escaping import for_markdown, one_line
from crossreid.runs.reading import Problem
from crossreid.studies.comparison.captions import caption
from crossreid.studies.comparison.cells import chance_cells, headings, importance, score_cells, training_cells
from crossreid.studies.comparison.recipes import TRAINING
from crossreid.studies.comparison.rows import Row, TableSettings
from crossreid.studies.comparison.tables import ComparisonTable

NOT_COMPARABLE = "Not comparable with the rows above"
WIDTH = 100
"""Columns of a terminal; the Markdown and the page have everything."""


def leading_tables(tables: Sequence[ComparisonTable]) -> list[ComparisonTable]:
    """The first table of each dataset, which is the protocol's first setting: all-search single-shot on SYSU-MM01.

    Where there is a mean over splits, no table of a single split.
    """
    averaged = any(table.result.labels.repeats == "split" for table in tables)
    first: dict[str, ComparisonTable] = {}
    for table in tables:
        if averaged and table.result.labels.draw.startswith("split "):
            continue
        first.setdefault(table.dataset, table)
    return list(first.values())


def rich_tables(table: ComparisonTable, settings: TableSettings) -> list[Table]:
    """For a terminal: scores, and the same of rows that are not comparable; columns as far as they fit, by importance."""
    title = f"{table.dataset}: {table.protocol}"
    head = headings(table, settings)
    plain = [chance_cells(table, settings)]
    plain += [score_cells(table, row) for row in table.plain]
    others = [score_cells(table, row) for row in table.others]
    # Both tables have the same columns, those that fit in both.
    shown = _fitting(head, [*plain, *others], importance(table, settings))
    tables = [_rich_table(title, *_columns(shown, head, plain))]
    if others:
        tables.append(_rich_table(f"{title}. {NOT_COMPARABLE}", *_columns(shown, head, others)))
    tables[-1].caption = "\n".join(map(one_line, caption(table, settings)))
    tables[-1].caption_justify = "left"
    return tables


def _fitting(head: Sequence[str], rows: Sequence[Sequence[str]], wanted: Sequence[str]) -> list[int]:
    """Places of the columns that fit beside each other, taken in the order in which they are wanted."""
    left = WIDTH - 1
    places: list[int] = []
    for name in wanted:
        place = head.index(name)
        lines: list[str] = []
        for row in [head, *rows]:
            lines += row[place].split("\n")
        width = max(map(len, lines)) + 3  # with a blank on either side and a rule
        if width > left and places:  # a narrower column may fit all the same
            continue
        left -= width
        places.append(place)
    return sorted(places)


def _columns(
    places: Sequence[int], head: Sequence[str], rows: Sequence[Sequence[str]]
) -> tuple[list[str], list[list[str]]]:
    chosen = []
    for row in rows:
        chosen.append([row[place] for place in places])
    return [head[place] for place in places], chosen


def markdown(tables: Sequence[ComparisonTable], problems: Sequence[Problem], settings: TableSettings) -> str:
    """The whole report."""
    lines = ["# Comparison", ""]
    for table in tables:
        lines += _section(table, settings)
    lines += ["## Not in the tables", ""]
    lines += _bullets(problem_lines(problems)) or ["Nothing is missing, failed or doubled."]
    return "\n".join(lines) + "\n"


def problem_lines(problems: Sequence[Problem]) -> list[str]:
    """One line each."""
    lines = []
    for problem in problems:
        line = f"{problem.kind}: {problem.what}: {problem.note}"
        if problem.folders:
            line += f" {', '.join(problem.folders)}"
        lines.append(line)
    return lines


def _section(table: ComparisonTable, settings: TableSettings) -> list[str]:
    """One table in Markdown, with its caption."""
    head = [*headings(table, settings), *TRAINING]
    chance = [*chance_cells(table, settings), *[""] * len(TRAINING)]
    title = for_markdown(f"{table.dataset}: {table.protocol}")
    plain = [_cells(table, row) for row in table.plain]
    others = [_cells(table, row) for row in table.others]
    lines = [f"## {title}", ""]
    lines += _markdown_table(head, [chance, *plain])
    if others:
        lines += [f"### {NOT_COMPARABLE}", ""]
        lines += _markdown_table(head, others)
    return [*lines, *_bullets(caption(table, settings)), ""]


def _cells(table: ComparisonTable, row: Row) -> list[str]:
    return [*score_cells(table, row), *training_cells(row)]


def _bullets(lines: Iterable[str]) -> list[str]:
    return [f"- {for_markdown(line)}" for line in lines]


def _markdown_table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    rule = ["---"] * len(head)
    return [*map(_markdown_row, [head, rule, *rows]), ""]


def _markdown_row(cells: Iterable[str]) -> str:
    return f"| {' | '.join(map(for_markdown, cells))} |"


def _rich_table(title: str, head: Sequence[str], rows: Iterable[Sequence[str]]) -> Table:
    table = Table(title=title, title_justify="left")
    table.add_column(head[0], no_wrap=True)
    for heading in head[1:]:
        table.add_column(heading, no_wrap=True, justify="right")
    for row in rows:
        table.add_row(*row)
    return unshortened(table)
