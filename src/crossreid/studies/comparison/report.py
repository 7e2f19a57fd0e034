"""From run folders to tables, and the tables on disk."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from crossreid.errors import ConfigError
from crossreid.files import write_atomically
from crossreid.runs.folder import git_revision, package_versions, write_json
from crossreid.runs.reading import Problem, Run, find_runs
from crossreid.settings.commands import ComparisonConfig
from crossreid.studies.comparison.choice import choose_runs
from crossreid.studies.comparison.planned import find_plans
from crossreid.studies.comparison.rendering import markdown, problem_lines
from crossreid.studies.comparison.tables import ComparisonTable, TableSettings, make_tables, table_json


@dataclass(frozen=True)
class Comparison:
    """What was gathered.

    Attributes:
        tables: one a dataset and protocol.
        problems: what is not in them, and why.
        runs: those that are.
        settings: columns and intervals.
    """

    tables: Sequence[ComparisonTable]
    problems: Sequence[Problem]
    runs: Sequence[Run]
    settings: TableSettings


def compare_runs(config: ComparisonConfig, folders: Sequence[Path]) -> Comparison:
    """Gather the runs below some folders.

    Raises:
        ConfigError: there are none, or none that can be compared.
    """
    runs, unreadable = find_runs(folders)
    chosen, unused = choose_runs(runs)
    plans, unknown = find_plans(folders)
    problems = [*unreadable, *unknown, *unused]
    if not chosen:
        raise ConfigError(f"No run can be compared: {'; '.join(problem_lines(problems))}")
    settings = TableSettings(tuple(config.metrics), config.bootstrap, config.seed)
    tables, missing = make_tables(
        chosen, runs, settings, rows=config.rows, seeds=config.seeds, plans=plans, untrained=config.untrained
    )
    return Comparison(tables, [*problems, *missing], chosen, settings)


def keep(comparison: Comparison, output: Path, *, figure: bool) -> None:
    """Write comparison.md, .json and, if asked for, .png."""
    tables, settings = comparison.tables, comparison.settings
    text = markdown(tables, comparison.problems, settings)
    write_atomically(output / "comparison.md", lambda stream: stream.write(text.encode()))
    content = {
        "written": datetime.now(UTC).isoformat(timespec="seconds"),
        "command": [Path(sys.argv[0]).name, *sys.argv[1:]],
        "git": git_revision(),
        "versions": package_versions(),
        "metrics": list(settings.metrics),
        "bootstrap": {"resamples": settings.resamples, "seed": settings.seed, "level": 0.95},
        "tables": [table_json(table) for table in tables],
        "not_in_tables": [problem.to_json() for problem in comparison.problems],
        "runs": [_run_json(run) for run in comparison.runs],
    }
    write_json(output / "comparison.json", content)
    if figure:
        _draw(output / "comparison.png", tables)


def _run_json(run: Run) -> dict[str, Any]:
    known = ("started", "resumed", "finished", "git", "python", "versions", "machine", "command", "training_seconds")
    facts = {key: run.facts.get(key) for key in known}
    return {"folder": str(run.folder), "name": run.name, "seed": run.seed, **facts}


def _draw(path: Path, tables: list[ComparisonTable]) -> None:
    from crossreid.visualization import Panel, Point, comparison_chart, save  # noqa: PLC0415 - extra `viz`

    panels = []
    for table in tables:
        points = []
        for row in table.rows:
            mean, interval = row.mean("rank1"), row.intervals.get("rank1")
            if mean is not None:
                values = [value for value in row.by_seed("rank1").values() if value is not None]
                span = interval if isinstance(interval, tuple) else None
                points.append(Point(row.label, row.plain, row.inference, mean[0], span, values))
        panels.append(Panel(f"{table.dataset}, {table.protocol}", points, table.result.chance["rank1"]))
    save(comparison_chart(panels), path)
