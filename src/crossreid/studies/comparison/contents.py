"""Comparison tables as plain values, for JSON; fractions in [0, 1]."""

from __future__ import annotations

from math import isnan
from typing import Any

from crossreid.runs.reading import Run
from crossreid.studies.comparison.reproduction import reproductions
from crossreid.studies.comparison.rows import Row
from crossreid.studies.comparison.tables import ComparisonTable

_FACTS = (
    "started",
    "resumed",
    "finished",
    "git",
    "python",
    "versions",
    "machine",
    "command",
    "training_seconds",
    "seconds",
)
"""Of run.json."""


def table_json(table: ComparisonTable) -> dict[str, Any]:
    """Everything in a table."""
    result = table.result
    labels = result.labels
    chance: dict[str, float | None] = {}
    for metric, value in result.chance.items():
        chance[metric] = None if isnan(value) else float(value)  # JSON knows no NaN
    return {
        "dataset": table.dataset,
        "protocol": table.protocol,
        "labels": {
            "mode": labels.mode,
            "shots": labels.shots,
            "draw": labels.draw,
            "exclusion": labels.exclusion,
            "ranks": labels.ranks,
        },
        "trials": result.trials,
        "chance": chance,
        "plain": list(map(_row_json, table.plain)),
        "not_comparable": list(map(_row_json, table.others)),
    }


def run_json(run: Run) -> dict[str, Any]:
    """Where a run lies, and what it recorded of itself."""
    facts = {key: run.facts.get(key) for key in _FACTS}
    return {"folder": str(run.folder), "name": run.name, "seed": run.seed, **facts}


def _row_json(row: Row) -> dict[str, Any]:
    metrics = {}
    for metric in row.settings.metrics:
        metrics[metric] = _metric_json(row, metric)
    published = []
    for entry in row.published:
        published.append({**vars(entry), "dataset": entry.dataset})
    return {
        "row": row.label,
        "name": row.kind.name,
        "variant": row.kind.variant,
        "inference": row.kind.inference,
        "seeds": sorted(row.results),
        "missing_seeds": list(row.missing),
        "feature": row.kind.feature,
        "metrics": metrics,
        "interval_95": _intervals_json(row),
        "near_chance": row.near_chance,
        "recipe": row.recipe(),
        "published": published,
        "reproduction": [one.to_json() for one in reproductions(row)],
        "runs": {str(seed): str(run.folder) for seed, run in row.runs.items()},
    }


def _metric_json(row: Row, metric: str) -> dict[str, Any]:
    mean = row.mean(metric)
    by_seed = {str(seed): value for seed, value in row.by_seed(metric).items()}
    return {"mean": mean.value, "std_over_seeds": mean.deviation, "by_seed": by_seed}


def _intervals_json(row: Row) -> dict[str, Any]:
    intervals: dict[str, Any] = {}
    for metric, interval in row.intervals.items():
        if isinstance(interval, str):
            intervals[metric] = {"left_out": interval}
        else:
            intervals[metric] = list(interval)
    return intervals
