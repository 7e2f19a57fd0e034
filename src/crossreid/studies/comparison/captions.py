"""Sentences that belong to a table: how its numbers came about, and what to be careful with."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from crossreid.evaluation.published import REACHED
from crossreid.evaluation.regdb import SPLITS_OF_REGDB
from crossreid.runs.reading import Run
from crossreid.studies.comparison.reproduction import ABOVE, BELOW, WITH_PERSONS, WITHIN, reproductions
from crossreid.studies.comparison.rows import Row, TableSettings
from crossreid.studies.comparison.tables import ComparisonTable

_VERDICTS = {
    WITHIN: "Published Rank-1 reached within the narrow margin",
    WITH_PERSONS: "Published Rank-1 reached within the wide margin alone",
    BELOW: "Below the published Rank-1 by more than the margin",
    ABOVE: "Above the published Rank-1 by more than the margin",
}
ORIENTATION = (
    "Ours are on rendered people; the published numbers are from the real dataset and stand here for orientation only."
)


def caption(table: ComparisonTable, settings: TableSettings) -> list[str]:
    """All sentences: of the scores, of the runs, and of single rows."""
    lines = [
        "Percent: mean ± sample standard deviation over seeds of the mean over trials; 95 %: percentile bootstrap over "
        f"identities ({settings.resamples} resamples, the same people for every seed, averaged over seeds).",
        _protocol(table),
    ]
    if table.dataset.startswith("synthetic") and any(row.published for row in table.rows):
        lines.append(ORIENTATION)
    lines += _reproduction(table)
    if table.protocol in REACHED:
        lines.append(f"What the field reaches on the real dataset: {REACHED[table.protocol]}.")
    lines += _budgets(table.runs)
    lines += _revisions(table.runs)
    lines += _versions(table.runs)
    for row in table.rows:
        lines += _remarks(row)
    return lines


def _protocol(table: ComparisonTable) -> str:
    result = table.result
    labels = result.labels
    return (
        f"Mode {labels.mode}, shots {labels.shots}, draw {labels.draw}, {result.trials} trial(s), {result.n_probes} "
        f"probes; Rank-k counts {labels.ranks}; not counted: {labels.exclusion}."
    )


def _reproduction(table: ComparisonTable) -> list[str]:
    """How margins come about, over how many splits a mean is, and why a row has no margin; none without printed numbers."""
    lines = []
    reasons: dict[str, list[str]] = {}
    reproduces = False
    for row in table.rows:
        found = reproductions(row)
        if found:
            reproduces = True
            margin = found[0].margin  # of Rank-1, which comes first
            if isinstance(margin, str):
                reasons.setdefault(margin, []).append(row.label)
    if reproduces:
        lines.append(
            "Margin, in points: how far noise alone may bring ours from a published number (95 %). Narrow: between trainings "
            "and between drawn galleries, on the same persons; wide: with other persons in the test too. Within: yes "
            "(narrow), with other persons (wide alone), above or below."
        )
    lines += _verdicts(table)
    for reason, labels in reasons.items():
        lines.append(f"No margin of {', '.join(labels)}: {reason}.")
    for row in table.rows:
        for seed, result in row.results.items():
            if result.labels.repeats == "split" and result.trials < SPLITS_OF_REGDB:
                lines.append(
                    f"{row.label}, seed {seed}: a mean over {result.labels.draw}, and published numbers are over all."
                )
    return lines


def _verdicts(table: ComparisonTable) -> list[str]:
    """Which rows are within the margin of a published Rank-1, and which are not, where there is no room for the columns."""
    # Verdict -> rows, each once: a row may have several printed numbers, and ours be as far from two of them.
    rows: dict[str, dict[str, None]] = {}
    for row in table.rows:
        for one in reproductions(row):
            if one.metric == "rank1" and one.verdict:
                named = f"{row.label} ({100 * one.difference:+.1f})"
                rows.setdefault(one.verdict, {})[named] = None
    lines = []
    for verdict, sentence in _VERDICTS.items():
        if verdict in rows:
            lines.append(f"{sentence}: {', '.join(rows[verdict])}.")
    return lines


def _budgets(runs: Iterable[Run]) -> list[str]:
    """None where no run had a budget of time."""
    budgets = set()
    for run in runs:
        budget = run.config["trainer"].get("time_budget") or "none"
        budgets.add(str(budget))
    if budgets <= {"none"}:
        return []
    return [f"Time budget of training a run, in seconds: {', '.join(sorted(budgets))}."]


def _revisions(runs: Iterable[Run]) -> list[str]:
    """None where all are of one revision."""
    revisions = {str(run.facts.get("git")) for run in runs}
    if len(revisions) < 2:
        return []
    return [f"The runs are of different git revisions: {', '.join(sorted(revisions))}."]


def _versions(runs: Sequence[Run]) -> list[str]:
    """A sentence for each package of which the runs had different versions."""
    packages: set[str] = set()
    for run in runs:
        packages.update(run.facts.get("versions") or {})
    lines = []
    for package in sorted(packages):
        versions: set[str] = set()
        for run in runs:
            versions_of_run = run.facts.get("versions") or {}
            versions.add(str(versions_of_run.get(package)))
        if len(versions) > 1:
            lines.append(f"The runs are of different versions of {package}: {', '.join(sorted(versions))}.")
    return lines


def _remarks(row: Row) -> list[str]:
    """Why it has no interval, whether it is near chance, and what is disputed of its published numbers."""
    lines = []
    for metric, interval in row.intervals.items():
        if isinstance(interval, str):
            lines.append(f"{row.label}: no interval of {metric}: {interval}")
    if row.near_chance:
        lines.append(f"{row.label}: near chance level.")
    for entry in row.published:
        if entry.disputed:
            lines.append(f"{row.label}, {entry.source}, disputed: {entry.disputed}")
    return lines
