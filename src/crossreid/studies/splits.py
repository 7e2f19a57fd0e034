"""What a multirun does when all its jobs are over."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hydra.experimental.callback import Callback
from omegaconf import DictConfig

from crossreid.console import console, notice
from crossreid.evaluation import RetrievalResult, average_splits, results_table, write_results_json

Rows = dict[str, dict[str, list[RetrievalResult]]]
"""Row of a table -> protocol key -> results of the splits."""


class AverageSplits(Callback):
    """Prints and keeps the mean over splits: standard deviations in its table are over splits.

    It stands in a sweep file under ``hydra.callbacks``. A split whose run did not finish is named and left out.
    """

    def on_multirun_end(self, config: DictConfig, **kwargs: Any) -> None:
        """Gather ``results.json`` of every job below the sweep's folder."""
        folder = Path(config.hydra.sweep.dir)
        rows, missing = gather(folder)
        if missing:
            notice(f"Without results, so not in the mean: {', '.join(missing)}")
        if not rows:
            return
        means = {name: {key: average_splits(found) for key, found in keys.items()} for name, keys in rows.items()}
        console.print(
            results_table([(name, r) for name, keys in means.items() for r in keys.values()], "mean over splits")
        )
        for name, results in means.items():
            path = folder / f"mean_{name.replace('/', '_').replace(' ', '_')}.json"
            write_results_json(path, results, details=True)
            notice(f"Results: {path}")


def gather(folder: Path) -> tuple[Rows, list[str]]:
    """Results of the jobs below a sweep's folder, by their number, and the jobs that left none."""
    rows: Rows = {}
    missing = []
    jobs = sorted(
        (path for path in folder.iterdir() if path.is_dir() and path.name.isdecimal()), key=lambda p: int(p.name)
    )
    for job in jobs:
        path = job / "results.json"
        if not path.is_file():
            missing.append(f"job {job.name}")
            continue
        content: Mapping[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        for name, row in content["rows"].items():
            for key, result in row["protocols"].items():
                rows.setdefault(name, {}).setdefault(key, []).append(RetrievalResult.from_json(result))
    return rows, missing
