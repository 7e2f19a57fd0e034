"""Comparison tables in Markdown, and as rich tables for a terminal."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from rich.table import Table

from crossreid.console import unshortened
from crossreid.escaping import for_markdown, one_line
from crossreid.runs.reading import Problem
from crossreid.studies.comparison.captions import caption
from crossreid.studies.comparison.cells import chance_cells, headings, score_cells, training_cells
from crossreid.studies.comparison.recipes import TRAINING
from crossreid.studies.comparison.rows import Row, TableSettings
from crossreid.studies.comparison.tables import ComparisonTable

NOT_COMPARABLE = "Not comparable with the rows above"


def rich_tables(table: ComparisonTable, settings: TableSettings) -> list[Table]:
    """For a terminal: scores, the same of rows that are not comparable, and how the networks came about."""
    title = f"{table.dataset}: {table.protocol}"
    plain = [chance_cells(table, settings), *map(score_cells, table.plain)]
    tables = [_rich_table(title, headings(settings), plain)]
    if table.others:
        others = map(score_cells, table.others)
        tables.append(_rich_table(f"{title}. {NOT_COMPARABLE}", headings(settings), others))
    training = []
    for row in table.rows:
        training.append([row.label, *training_cells(row)])
    networks = _rich_table(f"{title}: how the networks came about", ["method", *TRAINING], training)
    networks.caption = "\n".join(map(one_line, caption(table, settings)))
    networks.caption_justify = "left"
    return [*tables, networks]


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
    head = [*headings(settings), *TRAINING]
    chance = [*chance_cells(table, settings), *[""] * len(TRAINING)]
    lines = [f"## {for_markdown(f'{table.dataset}: {table.protocol}')}", ""]
    lines += _markdown_table(head, [chance, *map(_cells, table.plain)])
    if table.others:
        lines += [f"### {NOT_COMPARABLE}", ""]
        lines += _markdown_table(head, map(_cells, table.others))
    return [*lines, *_bullets(caption(table, settings)), ""]


def _cells(row: Row) -> list[str]:
    return [*score_cells(row), *training_cells(row)]


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
