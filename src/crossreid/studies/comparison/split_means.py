"""Runs of RegDB's splits as one run whose trials are the splits, as the literature scores it."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from crossreid.errors import DataError
from crossreid.evaluation import RetrievalResult, average_splits
from crossreid.runs.reading import Problem, Run, fingerprint_of_data
from crossreid.studies.comparison.grouping import group_by
from crossreid.studies.splits import settings_but_split


def split_means(runs: Sequence[Run]) -> tuple[list[Run], list[Problem]]:
    """One run for each name, seed and settings of which there are several splits, with means as its results.

    Args:
        runs: usable ones, at most one a dataset, name and seed; those of datasets without splits are left alone.

    Returns:
        The means, whose setting ``data.split`` is None, and why others have none.
    """
    of_splits = [run for run in runs if run.config["data"].get("split") is not None]
    means = []
    problems = []
    for together in group_by(of_splits, _kind).values():
        if len(together) < 2:
            continue
        try:
            means.append(_mean(together))
        except DataError as error:
            folders = tuple(str(run.folder) for run in together)
            problems.append(Problem("splits", together[0].label, f"no mean over its splits: {error}", folders))
    return means, problems


def _kind(run: Run) -> tuple[str, str, int]:
    return run.name, settings_but_split(run), run.seed


def _mean(runs: Sequence[Run]) -> Run:
    """Of runs that differ in the split alone."""
    first = runs[0]
    data = {**first.config["data"], "split": None}
    config = {**first.config, "data": data}
    results: dict[str, Mapping[str, RetrievalResult]] = {}
    for row, by_key in first.results.items():
        results[row] = _means_of_row(runs, row, list(by_key))
    folder = Path(os.path.commonpath([run.folder for run in runs]))
    trained = {**first.trained, "training_seconds": _mean_seconds(runs)}
    return replace(
        first,
        folder=folder,
        dataset=fingerprint_of_data(config),  # one of its own: the mean is beside no single split in a table
        config=config,
        results=results,
        trained=trained,
    )


def _means_of_row(runs: Sequence[Run], row: str, keys: Sequence[str]) -> dict[str, RetrievalResult]:
    """Protocol key -> mean of the runs that have it."""
    means = {}
    for key in keys:
        results = []
        for run in runs:
            if key in run.results.get(row, {}):
                results.append(run.results[row][key])
        means[key] = average_splits(results)
    return means


def _mean_seconds(runs: Sequence[Run]) -> float | None:
    """Of training, a run; None where one of them did not record it."""
    total = 0.0
    for run in runs:
        seconds = run.trained.get("training_seconds")
        if seconds is None:
            return None
        total += float(seconds)
    return total / len(runs)
