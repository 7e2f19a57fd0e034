"""What a multirun over RegDB's splits does when all its jobs are over."""

from __future__ import annotations

import traceback
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hydra.experimental.callback import Callback
from omegaconf import DictConfig

from crossreid.console import console, notice, stop
from crossreid.errors import ConfigError, CrossReIDError, DataError
from crossreid.escaping import for_file_name
from crossreid.evaluation import RetrievalResult, average_splits, results_table, write_results_json
from crossreid.runs.folder import fingerprint
from crossreid.runs.reading import Run, find_runs
from crossreid.runs.results import UNTRAINED

Kind = tuple[str, int]
"""What runs of several splits have in common: a digest of their settings, and the seed."""


@dataclass(frozen=True)
class MeanOverSplits:
    """The mean over splits of one row of one run's settings and seed.

    Attributes:
        label: of the row, with what tells it from the others.
        results: protocol key -> mean, whose trials are the splits.
    """

    label: str
    results: dict[str, RetrievalResult]


class AverageSplits(Callback):
    """Prints and keeps the mean over splits, a mean for each seed and row: deviations in its table are over splits.

    It stands in a sweep file under ``hydra.callbacks``. A split whose run did not finish is named and left out, and the
    table says over how many splits a mean is. Where no mean can be made, the command ends with exit code 1 and says why.
    """

    def on_multirun_end(self, config: DictConfig, **kwargs: Any) -> None:
        """Gather the results of every job below the sweep's folder."""
        try:
            self._show(Path(config.hydra.sweep.dir))
        except CrossReIDError as error:
            stop(f"No mean over splits: {error}")
        except Exception as error:  # Hydra would drop it and end with exit code 0
            traceback.print_exc()
            stop(f"No mean over splits: {type(error).__name__}.")

    def _show(self, folder: Path) -> None:
        runs, missing = gather(folder)
        means, reasons = means_over_splits(runs)
        for mean in means:
            path = folder / f"mean_{for_file_name(mean.label)}.json"
            write_results_json(path, mean.results, details=True)
            notice(f"Results: {path}")
        if means:
            rows = []
            for mean in means:
                for result in mean.results.values():
                    rows.append((mean.label, result))
            console.print(results_table(rows, "mean over splits"))
        if missing:
            notice(f"Without results, so not in the mean: {', '.join(missing)}")
        if reasons:
            raise DataError("; ".join(reasons))
        if not means:
            raise DataError("no job left results.")


def gather(folder: Path) -> tuple[list[Run], list[str]]:
    """Finished runs below a sweep's folder, and what is missing: jobs without a run, unfinished and unreadable runs."""
    runs: list[Run] = []
    missing: list[str] = []
    with suppress(ConfigError):  # no job has begun a run
        runs, unreadable = find_runs([folder])
        for problem in unreadable:
            missing.append(f"{problem.what} ({problem.note})")
    finished: list[Run] = []
    for run in runs:
        if run.finished:
            finished.append(run)
        else:
            missing.append(f"{run.folder.name} ({run.label}: {run.status})")
    # Folders that are named by a job's number; without run.json they hold no run that could be found above.
    jobs = [path for path in folder.iterdir() if path.is_dir() and path.name.isdecimal()]
    for job in sorted(jobs, key=lambda path: int(path.name)):
        if not (job / "run.json").is_file():
            missing.append(f"job {job.name}")
    return finished, missing


def means_over_splits(runs: Sequence[Run]) -> tuple[list[MeanOverSplits], list[str]]:
    """A mean for each row of runs that differ in the split alone, and why others have none."""
    runs_of: dict[Kind, list[Run]] = {}
    for run in runs:
        kind = (settings_but_split(run), run.seed)
        runs_of.setdefault(kind, []).append(run)
    labels = _labels(runs_of)
    means: list[MeanOverSplits] = []
    reasons: list[str] = []
    for kind, runs_of_kind in runs_of.items():
        used = _newest_of_each_split(runs_of_kind)
        for variant, results_by_key in _results_by_row(used).items():
            label = labels[kind]
            if variant:
                label = f"{label}/{variant}"
            try:
                averages = {key: average_splits(results) for key, results in results_by_key.items()}
            except DataError as error:
                reasons.append(f"{label}: {error}")
            else:
                means.append(MeanOverSplits(label, averages))
    return means, reasons


def _results_by_row(runs: Sequence[Run]) -> dict[str, dict[str, list[RetrievalResult]]]:
    """Variant -> protocol key -> its results, one a run."""
    by_row: dict[str, dict[str, list[RetrievalResult]]] = {}
    for run in runs:
        for row, results in run.results.items():
            by_key = by_row.setdefault(_variant(row, run), {})
            for key, result in results.items():
                by_key.setdefault(key, []).append(result)
    return by_row


def settings_but_split(run: Run) -> str:
    """A digest of everything that decides what a run computes, but the seed and the split."""
    data = {**run.config["data"], "split": None}
    settings = {**run.config, "seed": 0, "data": data}
    return f"{run.name}/{fingerprint(settings)}"


def _labels(runs_of: dict[Kind, list[Run]]) -> dict[Kind, str]:
    """What each mean is called: the runs' name, the seed where there are several, else a part of the settings' digest."""
    seeds = {seed for _, seed in runs_of}
    labels: dict[Kind, str] = {}
    for kind, runs in runs_of.items():
        labels[kind] = runs[0].name
        if len(seeds) > 1:
            labels[kind] += f", seed {kind[1]}"
    times = Counter(labels.values())
    for kind, label in labels.items():
        if times[label] > 1:
            digest = kind[0].rpartition("/")[2]
            labels[kind] = f"{label} [{digest[:6]}]"
    return labels


def _newest_of_each_split(runs: Sequence[Run]) -> list[Run]:
    """Runs by their split; of several of one split the newest, saying so."""
    by_split: dict[Any, list[Run]] = {}
    for run in runs:
        by_split.setdefault(run.config["data"].get("split"), []).append(run)
    chosen = []
    # None, of data without splits, comes last: it cannot be compared with a number.
    for split in sorted(by_split, key=lambda split: (split is None, split)):
        of_split = by_split[split]
        newest = max(of_split, key=_recency)
        if len(of_split) > 1:
            notice(f"{len(of_split)} runs of {newest.label}, split {split}: used is {newest.folder}")
        chosen.append(newest)
    return chosen


def _recency(run: Run) -> tuple[str, str]:
    """Highest of the newest run; the folder decides between runs of one second."""
    return run.date, str(run.folder)


def _variant(row: str, run: Run) -> str:
    """What the name of a row says besides the run's name; empty for the method's own row."""
    if row == UNTRAINED:
        return row
    return row.removeprefix(run.name).removeprefix("/")
