"""Gather runs into one table per dataset and protocol, beside the published numbers.

``python -m crossreid.report runs=multirun/comparison``
"""

from __future__ import annotations

import sys
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from omegaconf import MISSING, DictConfig

from crossreid.checks import check_figures
from crossreid.command import run_command
from crossreid.config import check_choice, typed
from crossreid.console import console, notice
from crossreid.errors import ConfigError
from crossreid.evaluation.tables import METRICS
from crossreid.files import write_atomically
from crossreid.runs.folder import git_revision, package_versions, write_json
from crossreid.runs.reading import Problem, Run, find_runs
from crossreid.studies.comparison.choice import choose_runs
from crossreid.studies.comparison.planned import find_plans
from crossreid.studies.comparison.rendering import markdown, problem_lines, rich_tables
from crossreid.studies.comparison.tables import ComparisonTable, Settings, make_tables, table_json


@dataclass
class ReportCommandConfig:
    """Everything ``crossreid.report`` is told.

    Attributes:
        runs: a folder that holds run folders at any depth, or a list of them.
        output: folder of the report; by default ``report`` inside the first folder of ``runs``.
        metrics: columns, of ``rank1, rank5, rank10, rank20, mAP, mINP``; the first one is also shown by seed.
        seeds: that every row should have; null for all seeds that were seen, or that a sweep in the folders was told to run.
        rows: names of runs that every dataset should have, such as ``lba/full``; null for those that were seen, or that a
            sweep in the folders was told to run.
        untrained: give networks before training rows too.
        bootstrap: resamples of identities for the intervals.
        seed: of the resamples.
        figure: draw a PNG.
    """

    runs: Any = MISSING
    output: str | None = None
    metrics: list[str] = field(default_factory=lambda: ["rank1", "mAP", "mINP"])
    seeds: list[int] | None = None
    rows: list[str] | None = None
    untrained: bool = False
    bootstrap: int = 2000
    seed: int = 0
    figure: bool = True

    def folders(self) -> list[Path]:
        """``runs`` as paths.

        Raises:
            ConfigError: it names none.
        """
        named = self.runs if isinstance(self.runs, list) else [self.runs]
        if not named or not all(isinstance(name, str) and name for name in named):
            raise ConfigError("runs is a folder or a list of folders that hold runs, such as runs=multirun/comparison.")
        return [Path(name) for name in named]

    def check(self) -> None:
        """Raise :class:`ConfigError` in one sentence when settings cannot work."""
        for metric in self.metrics:
            check_choice("metrics", metric, tuple(METRICS))
        if not self.metrics or len(set(self.metrics)) < len(self.metrics):
            raise ConfigError("metrics names at least one column, and each once.")
        if self.bootstrap < 100:
            raise ConfigError(f"bootstrap is a number of resamples from 100 on, not {self.bootstrap}.")
        if self.seed < 0 or self.seeds == [] or self.rows == []:
            raise ConfigError("seed is 0 or more; seeds and rows name at least one each, or are null.")
        check_figures(self.figure)


def main() -> None:
    """The command."""
    run_command("report", report)


def report(cfg: DictConfig) -> float:
    """Gather, show, keep; returns the number of tables."""
    config = typed(ReportCommandConfig, cfg)
    config.check()
    folders = config.folders()
    runs, unreadable = find_runs(folders)
    chosen, problems = choose_runs(runs)
    plans, unknown = find_plans(folders)
    problems = [*unreadable, *unknown, *problems]
    if not chosen:
        raise ConfigError(f"No run can be compared: {'; '.join(problem_lines(problems))}")
    settings = Settings(tuple(config.metrics), config.bootstrap, config.seed)
    tables, missing = make_tables(
        chosen, runs, settings, rows=config.rows, seeds=config.seeds, plans=plans, untrained=config.untrained
    )
    problems += missing
    for table in tables:
        for shown in rich_tables(table, settings):
            console.print(shown)
    for line in problem_lines(problems):
        notice(f"Not in the tables: {line}")
    output = Path(config.output) if config.output else folders[0] / "report"
    _keep(output, tables, problems, chosen, settings, figure=config.figure)
    notice(f"Report: {output}")
    return float(len(tables))


def _keep(
    output: Path,
    tables: list[ComparisonTable],
    problems: list[Problem],
    runs: list[Run],
    settings: Settings,
    *,
    figure: bool,
) -> None:
    text = markdown(tables, problems, settings)
    write_atomically(output / "comparison.md", lambda stream: stream.write(text.encode()))
    content = {
        "written": datetime.now(UTC).isoformat(timespec="seconds"),
        "command": [Path(sys.argv[0]).name, *sys.argv[1:]],
        "git": git_revision(),
        "versions": package_versions(),
        "metrics": list(settings.metrics),
        "bootstrap": {"resamples": settings.resamples, "seed": settings.seed, "level": 0.95},
        "tables": [table_json(table) for table in tables],
        "not_in_tables": [problem.to_json() for problem in problems],
        "runs": [_run_json(run) for run in runs],
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


if __name__ == "__main__":
    main()
