"""What a multirun of trainings ends in: the report of its runs."""

from __future__ import annotations

from pathlib import Path

from crossreid.console import console, notice
from crossreid.multirun.frame import table_text
from crossreid.multirun.task import sentence_of
from crossreid.settings.commands import ComparisonConfig
from crossreid.settings.sentences import one_line

_MOST_TABLES = 3
"""Shown on the terminal; the files have all."""


def report_on(folder: Path) -> None:
    """Write the report of a multirun's folder into its ``report/``, as ``crossreid.report`` does, and print its first tables.

    The trainings have ended, each with its own result: where there is no report, a sentence says why, and nothing else changes.

    Args:
        folder: of the multirun.
    """
    # Imports, intervals and charts take a while, in which nothing else is shown.
    notice("Writing the report of all runs ...")
    try:
        _report(folder)
    except Exception as error:  # a bug of the report is no failure of a training
        reason = sentence_of(error) or f"{type(error).__name__}: {one_line(error)}"
        notice(f"No report was written: {reason} Once more: python -m crossreid.report runs={folder}")


def _report(folder: Path) -> None:
    from crossreid.studies.comparison.gathering import write_report  # noqa: PLC0415 - torch comes with it
    from crossreid.studies.comparison.rendering import leading_tables, problem_lines, rich_tables  # noqa: PLC0415
    from crossreid.training.environment import figures_possible  # noqa: PLC0415

    figure = figures_possible()
    written = write_report(ComparisonConfig(runs=str(folder), figure=figure))
    tables = written.comparison.tables
    shown = leading_tables(tables)[:_MOST_TABLES]
    for table in shown:
        for part in rich_tables(table, written.comparison.settings):
            console.print(table_text(part))
    for line in problem_lines(written.comparison.problems):
        notice(f"Not in the tables: {line}")
    if not figure:
        notice("The report has no charts: pip install 'crossreid[viz]'")
    names = ", ".join(path.name for path in written.files)
    notice(f"Report: {written.folder} ({names})")
    if len(tables) > len(shown):
        notice(f"It has {len(tables)} tables, of which {len(shown)} stand above.")
