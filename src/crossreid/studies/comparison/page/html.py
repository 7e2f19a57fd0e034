"""The page from what was gathered: one file, from which no request leaves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from jinja2 import Environment, StrictUndefined
from markupsafe import Markup

from crossreid.escaping import one_line
from crossreid.invocation import command_line
from crossreid.runs.reading import Problem, Run
from crossreid.studies.comparison.captions import caption
from crossreid.studies.comparison.cells import LEFT_OF_METRICS, chance_cells, headings, score_cells, training_cells
from crossreid.studies.comparison.page.differences import differing_settings
from crossreid.studies.comparison.page.pictures import Picture, RunPictures
from crossreid.studies.comparison.page.summary import what_can_be_said, what_was_compared
from crossreid.studies.comparison.recipes import INFERENCE, TRAINING
from crossreid.studies.comparison.rendering import problem_lines
from crossreid.studies.comparison.rows import TableSettings
from crossreid.studies.comparison.tables import ComparisonTable

_TEMPLATE = Path(__file__).with_name("page.html.jinja")


@dataclass(frozen=True)
class PageTable:
    """A table of a page: its anchor, its cells as text, and what is said of it."""

    anchor: str
    title: str
    sentences: list[str]
    head: list[str]
    chance: list[str]
    plain: list[list[str]]
    others: list[list[str]]
    training_head: list[str]
    training: list[list[str]]
    captions: list[str]


def html_page(
    tables: Sequence[ComparisonTable],
    problems: Sequence[Problem],
    runs: Sequence[Run],
    settings: TableSettings,
    *,
    charts: Sequence[Picture],
    pictures: Sequence[RunPictures],
) -> str:
    """The whole page.

    Args:
        tables: one a dataset and protocol.
        problems: what is not in them, and why.
        runs: those that are.
        settings: columns and intervals.
        charts: drawn from all runs together.
        pictures: of single runs.
    """
    environment = Environment(
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True, finalize=_printable
    )
    template = environment.from_string(_TEMPLATE.read_text(encoding="utf-8"))
    names, differing = differing_settings(runs)
    return template.render(
        title=_title(runs),
        written=datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        command=command_line(),
        compared=what_was_compared(runs, tables, problems),
        tables=[_page_table(number, table, settings) for number, table in enumerate(tables)],
        charts=charts,
        pictures=pictures,
        names=names,
        differing=differing,
        problems=problem_lines(problems),
        run_head=RUN_HEAD,
        runs=list(map(_run_cells, runs)),
    )


RUN_HEAD = ["run", "seed", "folder", "finished", "revision", "machine", "training seconds", "other seconds", "command"]


def _title(runs: Sequence[Run]) -> str:
    names = list(dict.fromkeys(run.name for run in runs))
    if len(names) == 1:
        return names[0]
    return f"{len(names)} rows compared"


def _page_table(number: int, table: ComparisonTable, settings: TableSettings) -> PageTable:
    training = []
    for row in table.rows:
        training.append([row.label, *training_cells(row)])
    plain = [score_cells(table, row) for row in table.plain]
    others = [score_cells(table, row) for row in table.others]
    return PageTable(
        anchor=f"table{number}",
        title=f"{table.dataset}: {table.protocol}",
        sentences=what_can_be_said(table),
        head=_scores_first(headings(table, settings)),
        chance=_scores_first(chance_cells(table, settings)),
        plain=list(map(_scores_first, plain)),
        others=list(map(_scores_first, others)),
        training_head=["method", *TRAINING],
        training=training,
        captions=caption(table, settings),
    )


def _scores_first(cells: list[str]) -> list[str]:
    """Cells with how an image was looked for behind the scores: a screen shows the left of a wide table."""
    # What stands between the method's name and seeds, and the scores: the feature and the columns of INFERENCE.
    after = len(LEFT_OF_METRICS)
    before = after - len(INFERENCE) - 1
    return [*cells[:before], *cells[after:], *cells[before:after]]


def _run_cells(run: Run) -> list[str]:
    """A run under :data:`RUN_HEAD`."""
    facts = run.facts
    command = facts.get("command")
    if isinstance(command, list):
        told = " ".join(map(str, command))
    else:
        told = str(command or "not recorded")
    recorded = []
    for key in ("finished", "git", "machine", "training_seconds"):
        recorded.append(str(facts.get(key) or "not recorded"))
    return [run.name, str(run.seed), str(run.folder), *recorded, _other_seconds(facts), told]


def _other_seconds(facts: Mapping[str, Any]) -> str:
    """Where a run's time went besides training, the longest first."""
    parts = facts.get("seconds")
    if not isinstance(parts, dict):
        return "not recorded"
    known: dict[str, float] = {}
    for name, spent in parts.items():
        if isinstance(spent, int | float) and name != "training":
            known[str(name)] = spent
    told = []
    for name, spent in sorted(known.items(), key=lambda part: -part[1]):
        if spent >= 0.05:  # what is shorter would be shown as 0.0
            told.append(f"{name} {spent:.1f}")
    return ", ".join(told) or "none"


def _printable(value: Any) -> Any:
    """Text without anything that a browser would obey; what the template makes itself stays."""
    if isinstance(value, str) and not isinstance(value, Markup):
        return one_line(value)
    return value
