"""From run folders to tables, and the tables on disk."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from crossreid.errors import ConfigError
from crossreid.files import write_atomically
from crossreid.runs.folder import git_revision, package_versions, write_json
from crossreid.runs.reading import Problem, Run, find_runs
from crossreid.settings.commands import ComparisonConfig
from crossreid.studies.comparison.choice import choose_runs
from crossreid.studies.comparison.contents import run_json, table_json
from crossreid.studies.comparison.expected import Expectations
from crossreid.studies.comparison.planned import find_plans
from crossreid.studies.comparison.rendering import markdown, problem_lines
from crossreid.studies.comparison.rows import TableSettings
from crossreid.studies.comparison.tables import ComparisonTable, make_tables


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
    usable, unused = choose_runs(runs)
    plans, unreadable_plans = find_plans(folders)
    problems = [*unreadable, *unreadable_plans, *unused]
    if not usable:
        raise ConfigError(f"No run can be compared: {'; '.join(problem_lines(problems))}")
    settings = TableSettings(tuple(config.metrics), config.bootstrap, config.seed)
    expectations = Expectations(runs, plans, config.rows, config.seeds)
    tables, missing = make_tables(usable, settings, expectations, untrained=config.untrained)
    return Comparison(tables, [*problems, *missing], usable, settings)


def files_of(output: Path, *, figure: bool) -> list[Path]:
    """The files that :func:`keep` writes."""
    names = ["comparison.md", "comparison.json"]
    if figure:
        names.append("comparison.png")
    return [output / name for name in names]


def keep(comparison: Comparison, output: Path, *, figure: bool) -> None:
    """Write comparison.md, .json and, if asked for, .png."""
    settings = comparison.settings
    text = markdown(comparison.tables, comparison.problems, settings)
    write_atomically(output / "comparison.md", lambda stream: stream.write(text.encode()))
    content = {
        "written": datetime.now(UTC).isoformat(timespec="seconds"),
        "command": [Path(sys.argv[0]).name, *sys.argv[1:]],
        "git": git_revision(),
        "versions": package_versions(),
        "metrics": list(settings.metrics),
        "bootstrap": {"resamples": settings.resamples, "seed": settings.seed, "level": 0.95},
        "tables": list(map(table_json, comparison.tables)),
        "not_in_tables": list(map(Problem.to_json, comparison.problems)),
        "runs": list(map(run_json, comparison.runs)),
    }
    write_json(output / "comparison.json", content)
    if figure:
        _draw(output / "comparison.png", comparison.tables)


def _draw(path: Path, tables: Sequence[ComparisonTable]) -> None:
    from crossreid.visualization import Panel, Point, comparison_chart, save  # noqa: PLC0415 - extra `viz`

    panels = []
    for table in tables:
        points = []
        for row in table.rows:
            mean = row.mean("rank1").value
            interval = row.intervals.get("rank1")
            if mean is None:
                continue
            if isinstance(interval, str):  # why there is none
                interval = None
            point = Point(
                label=row.label,
                plain=row.kind.plain,
                inference=row.kind.inference,
                mean=mean,
                interval=interval,
                by_seed=row.values("rank1"),
            )
            points.append(point)
        panels.append(Panel(f"{table.dataset}, {table.protocol}", points, table.result.chance["rank1"]))
    save(comparison_chart(panels), path)
