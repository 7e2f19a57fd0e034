"""From run folders to tables, and the tables on disk."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from crossreid.errors import ConfigError
from crossreid.files import write_atomically
from crossreid.invocation import command_line
from crossreid.runs.folder import git_revision, package_versions, write_json
from crossreid.runs.history import losses_of
from crossreid.runs.outputs import check_outputs, origin_of, output_path
from crossreid.runs.reading import Problem, Run, find_runs
from crossreid.settings.commands import ComparisonConfig
from crossreid.studies.comparison.choice import choose_runs
from crossreid.studies.comparison.contents import run_json, table_json
from crossreid.studies.comparison.expected import Expectations
from crossreid.studies.comparison.lines import csv_lines
from crossreid.studies.comparison.page.html import html_page
from crossreid.studies.comparison.page.pictures import Picture, picture_at, picture_of, pictures_of
from crossreid.studies.comparison.planned import find_plans
from crossreid.studies.comparison.rendering import markdown, problem_lines
from crossreid.studies.comparison.rows import TableSettings
from crossreid.studies.comparison.split_means import split_means
from crossreid.studies.comparison.studies import WeightStudy, studies_of, study_json
from crossreid.studies.comparison.tables import ComparisonTable, make_tables
from crossreid.studies.comparison.variation import told_apart
from crossreid.training.environment import check_figures


@dataclass(frozen=True)
class Comparison:
    """What was gathered.

    Attributes:
        tables: one a dataset and protocol.
        problems: what is not in them, and why.
        runs: those that are.
        settings: columns and intervals.
        studies: rows that were trained with several values of a number, such as the weight of a loss.
    """

    tables: Sequence[ComparisonTable]
    problems: Sequence[Problem]
    runs: Sequence[Run]
    settings: TableSettings
    studies: Sequence[WeightStudy]


def compare_runs(config: ComparisonConfig, folders: Sequence[Path]) -> Comparison:
    """Gather the runs below some folders.

    Raises:
        ConfigError: there are none, or none that can be compared.
    """
    runs, unreadable = find_runs(folders)
    # Before runs are chosen: several settings under one name are several rows, and none of them would be used.
    runs, variations = told_apart(runs)
    usable, unused = choose_runs(runs)
    plans, unreadable_plans = find_plans(folders)
    problems = [*unreadable, *unreadable_plans, *unused]
    if not usable:
        raise ConfigError(f"No run can be compared: {'; '.join(problem_lines(problems))}")
    # A mean over splits stands beside its splits, as a run of a dataset of its own.
    means, without_mean = split_means(usable)
    problems += without_mean
    settings = TableSettings(tuple(config.metrics), config.bootstrap, config.seed)
    # Of all runs, failed ones too: a row whose runs all failed is missing, and has to be named.
    expectations = Expectations([*runs, *means], plans, variations, config.rows, config.seeds)
    tables, missing = make_tables([*usable, *means], settings, expectations, untrained=config.untrained)
    return Comparison(tables, [*problems, *missing], usable, settings, studies_of(tables, variations))


@dataclass(frozen=True)
class Written:
    """A report on disk.

    Attributes:
        comparison: what was gathered.
        folder: of the report.
        files: in it, by their names.
    """

    comparison: Comparison
    folder: Path
    files: Sequence[Path]


def write_report(config: ComparisonConfig) -> Written:
    """Gather runs, and write their report.

    Args:
        config: what is gathered, and where the report goes.

    Raises:
        ConfigError: there is nothing to compare, the report would overwrite something else, or figures' packages are missing.
        WriteError: its place takes no files.
    """
    # All that can be refused is refused before the work.
    folders = config.folders()
    check_figures(config.figure)
    inputs = {"runs": folders}
    origin = origin_of("report", config, inputs)
    output = output_path(config.output, folders[0] / "report", origin, within="comparison.json")
    outputs = check_outputs("report", config, {"output": files_of(output, figure=config.figure)}, inputs)
    comparison = compare_runs(config, folders)
    with outputs.written():
        keep(comparison, output, figure=config.figure)
    written = [path for path in files_of(output, figure=config.figure) if path.is_file()]
    return Written(comparison, output, written)


def files_of(output: Path, *, figure: bool) -> list[Path]:
    """The files that :func:`keep` writes; studies.png only where there are studies."""
    names = ["comparison.html", "comparison.md", "comparison.csv", "comparison.json"]
    if figure:
        names += ["comparison.png", "studies.png"]
    return [output / name for name in names]


def keep(comparison: Comparison, output: Path, *, figure: bool) -> None:
    """Write comparison.md, .csv, .json, .html and, if asked for, .png, which the page shows too; studies.png where there are
    any.
    """
    settings = comparison.settings
    text = markdown(comparison.tables, comparison.problems, settings)
    write_atomically(output / "comparison.md", lambda stream: stream.write(text.encode()))
    lines = csv_lines(comparison.tables, settings)
    write_atomically(output / "comparison.csv", lambda stream: stream.write(lines.encode()))
    write_json(output / "comparison.json", _content(comparison))
    charts: list[Picture] = []
    if figure:
        charts = _charts(comparison, output)
    # The page comes last, as it holds the charts.
    page = html_page(
        comparison.tables,
        comparison.problems,
        comparison.runs,
        settings,
        charts=charts,
        pictures=pictures_of(comparison.runs),
    )
    write_atomically(output / "comparison.html", lambda stream: stream.write(page.encode()))


def _content(comparison: Comparison) -> dict[str, Any]:
    """The tables as plain values, and how they came about."""
    settings = comparison.settings
    return {
        "written": datetime.now(UTC).isoformat(timespec="seconds"),
        "command": command_line(),
        "git": git_revision(),
        "versions": package_versions(),
        "metrics": list(settings.metrics),
        "bootstrap": {"resamples": settings.resamples, "seed": settings.seed, "level": 0.95},
        "tables": list(map(table_json, comparison.tables)),
        "studies": list(map(study_json, comparison.studies)),
        "not_in_tables": list(map(Problem.to_json, comparison.problems)),
        "runs": list(map(run_json, comparison.runs)),
    }


def _charts(comparison: Comparison, output: Path) -> list[Picture]:
    """Draw the charts for the page, those of the rows and the studies as files beside it too."""
    charts = []
    of_rows = output / "comparison.png"
    _draw(of_rows, comparison.tables)
    charts.append(replace(picture_at(of_rows), title="Rank-1 of every row, by protocol"))
    if comparison.studies:
        of_studies = output / "studies.png"
        _draw_studies(of_studies, comparison.studies)
        charts.append(replace(picture_at(of_studies), title="Scores by the value of a setting"))
    charts += _cmc_curves(comparison.tables)
    charts += _learning_curves(comparison.runs)
    return charts


def _cmc_curves(tables: Sequence[ComparisonTable]) -> list[Picture]:
    """Those of the plain rows of each table."""
    from crossreid.visualization import as_png, cmc_curves  # noqa: PLC0415 - extra `viz`

    charts = []
    for table in tables:
        results = {}
        for row in table.plain:
            if row.results:
                results[row.label] = list(row.results.values())
        if results:
            figure = cmc_curves(results, f"{table.dataset}: {table.protocol}")
            charts.append(picture_of(as_png(figure), f"Found by rank k, {table.protocol}"))
    return charts


def _learning_curves(runs: Sequence[Run]) -> list[Picture]:
    """The losses of the first run of each row, where its folder has them."""
    from crossreid.visualization import as_png, learning_curves  # noqa: PLC0415 - extra `viz`

    pictures = []
    names = set()
    for run in runs:
        path = run.folder / "history.csv"
        if run.name in names or not path.is_file():
            continue
        names.add(run.name)
        losses = losses_of(path)
        if losses:
            title = f"{run.name}, seed {run.seed}: losses in training"
            pictures.append(picture_of(as_png(learning_curves(losses)), title))
    return pictures


def _draw(path: Path, tables: Sequence[ComparisonTable]) -> None:
    from crossreid.visualization import Panel, Point, comparison_chart, save  # noqa: PLC0415 - extra `viz`

    panels = []
    for table in tables:
        points = []
        for row in table.rows:
            mean = row.mean("rank1").value
            if mean is None:
                continue
            interval = row.intervals.get("rank1")
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


def _draw_studies(path: Path, studies: Sequence[WeightStudy]) -> None:
    from crossreid.visualization import StudyPanel, save, study_chart  # noqa: PLC0415 - extra `viz`

    panels = []
    for study in studies:
        title = f"{study.name}, {study.dataset}: {study.protocol}"
        panels.append(StudyPanel(title, study.setting, study.values, study.scores, study.chance))
    save(study_chart(panels), path)
