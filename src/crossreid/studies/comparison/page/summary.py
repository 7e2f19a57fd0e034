"""What was compared, on what, and what can and cannot be said, in sentences that follow from the numbers alone."""

from __future__ import annotations

from collections.abc import Sequence

from crossreid.runs.reading import Problem, Run
from crossreid.studies.comparison.rows import INTERVALS, Row
from crossreid.studies.comparison.tables import ComparisonTable

RANK1 = "rank1"
FULL = "full"


def what_was_compared(runs: Sequence[Run], tables: Sequence[ComparisonTable], problems: Sequence[Problem]) -> list[str]:
    """Runs, rows, seeds, datasets, protocols; how much is not in the tables."""
    seeds = sorted({run.seed for run in runs})
    names = {run.name for run in runs}
    # Each once, in the order of the tables.
    datasets = list(dict.fromkeys(table.dataset for table in tables))
    protocols = list(dict.fromkeys(table.protocol for table in tables))
    sentences = [
        f"{_count(len(runs), 'finished run')} of {_count(len(names), 'row')}, {_count(len(seeds), 'seed')} "
        f"({', '.join(map(str, seeds))}), on {', '.join(datasets)}.",
        f"Scored by {_count(len(protocols), 'protocol')}: {', '.join(protocols)}.",
    ]
    if problems:
        sentences.append(f"{_count(len(problems), 'thing')} to know of is named under “Not in the tables”.")
    return sentences


def what_can_be_said(table: ComparisonTable) -> list[str]:
    """Of one table: who leads, whom it can be told apart from, what each method gains over its own other rows."""
    scored = [row for row in table.plain if row.mean(RANK1).value is not None]
    if not scored:
        return ["No row has a score that can be compared with others."]
    ranked = sorted(scored, key=_rank1, reverse=True)
    telling = [row for row in ranked if not row.near_chance]
    sentences = []
    if telling:
        sentences.append(_leader(telling))
        sentences += _gains(telling)
    near = [row.label for row in ranked if row.near_chance]
    if near:
        sentences.append(f"Near chance level, so that nothing can be read from them: {', '.join(near)}.")
    single = [row.label for row in telling if len(row.results) == 1]
    if single:
        sentences.append(f"Of one seed only, so that the chance of training is unknown: {', '.join(single)}.")
    if table.others:
        labels = ", ".join(row.label for row in table.others)
        sentences.append(f"Reached with help of other probes or of the gallery, so in a table of their own: {labels}.")
    return sentences


def _leader(ranked: Sequence[Row]) -> str:
    """The row with the highest mean, and those whose intervals overlap with its own."""
    first = ranked[0]
    if len(ranked) == 1:
        return f"{first.label} reaches a Rank-1 of {_percent(first)}."
    sentence = f"{first.label} has the highest Rank-1, {_percent(first)}."
    bounds = _interval(first)
    if bounds is None:
        return sentence
    low, _ = bounds
    close = []
    for row in ranked[1:]:
        other = _interval(row)
        if other is None:
            continue
        _, high_of_other = other
        if high_of_other >= low:
            close.append(row.label)
    if not close:
        return f"{sentence} No other row's 95 % interval reaches its own."
    return f"{sentence} On these persons it cannot be told apart from {', '.join(close)}: their 95 % intervals overlap."


def _gains(ranked: Sequence[Row]) -> list[str]:
    """Full methods beside the lowest of their own rows."""
    methods: dict[str, dict[str, Row]] = {}
    for row in ranked:
        method, _, part = row.label.partition("/")
        methods.setdefault(method, {})[part] = row
    sentences = []
    for method, rows in methods.items():
        others = [row for part, row in rows.items() if part != FULL]
        if FULL not in rows or not others:
            continue
        base = min(others, key=_rank1)
        gain = 100 * (_rank1(rows[FULL]) - _rank1(base))
        sentences.append(f"{method}: the full method is {gain:+.1f} points of Rank-1 from {base.label}.")
    return sentences


def _rank1(row: Row) -> float:
    value = row.mean(RANK1).value
    assert value is not None
    return value


def _percent(row: Row) -> str:
    bounds = _interval(row)
    text = f"{100 * _rank1(row):.1f} %"
    if bounds is None:
        return text
    low, high = bounds
    return f"{text} (95 % over persons: {100 * low:.1f} to {100 * high:.1f})"


def _interval(row: Row) -> tuple[float, float] | None:
    assert RANK1 in INTERVALS
    interval = row.intervals.get(RANK1)
    if isinstance(interval, str):  # why there is none
        return None
    return interval


def _count(number: int, thing: str) -> str:
    if number == 1:
        return f"1 {thing}"
    return f"{number} {thing}s"
