"""Gather runs into one table per dataset and protocol, beside the published numbers.

``python -m crossreid.report runs=multirun/comparison``
"""

from __future__ import annotations

from crossreid.console import console, notice
from crossreid.launch import run_command
from crossreid.optimiser import refuse_optimiser
from crossreid.settings.commands import ComparisonConfig
from crossreid.settings.compose import Composed, typed


def main() -> None:
    """The command."""
    run_command("report", report)


def report(composed: Composed) -> float:
    """Gather, show, keep; returns the number of tables."""
    config = typed(ComparisonConfig, composed)
    refuse_optimiser("report")
    config.folders()  # raises where there are none, before torch is imported
    from crossreid.studies.comparison.gathering import write_report  # noqa: PLC0415 - behind the first checks
    from crossreid.studies.comparison.rendering import problem_lines, rich_tables  # noqa: PLC0415

    written = write_report(config)
    comparison = written.comparison
    for table in comparison.tables:
        for part in rich_tables(table, comparison.settings):
            console.print(part)
    for line in problem_lines(comparison.problems):
        notice(f"Not in the tables: {line}")
    notice(f"Report: {written.folder} (comparison.html has every column, how each network came about, and pictures)")
    return float(len(comparison.tables))


if __name__ == "__main__":
    main()
