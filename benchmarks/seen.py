"""Persons that runs were trained on beside persons that they were not: what was learned, and what of it carries over.

    python benchmarks/seen.py RUN ... --out benchmarks/results/pilot/seen.json

As many test persons are taken as there are training persons, so that both stand in galleries of one size. Scores are of the
first setting of the run's protocol, by the row's first way of inference, in [0, 1]. What is in the file already stays.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np

from crossreid.runs.folder import write_json
from crossreid.settings.data import TrainedDataConfig
from crossreid.settings.protocol import TrainedProtocolConfig
from crossreid.settings.run import TrainerConfig
from crossreid.training.figures import embed_rows
from crossreid.training.loading import Restored, checkpoint_at, restore


def seen_and_unseen(run: Restored) -> dict[str, Any]:
    """Rank-1 and mAP of training persons and of as many test persons."""
    dataset = run.data.dataset
    training = np.sort(np.concatenate([rows for person in run.data.index.rows for rows in person.values()]))
    persons = len({dataset.records[row].pid for row in training})
    test = dataset.rows("test")
    strangers = sorted({dataset.records[row].pid for row in test})[:persons]
    of_strangers = np.array([row for row in test if dataset.records[row].pid in strangers])
    protocol = run.protocols.test[0]
    scores: dict[str, Any] = {"protocol": protocol.key, "persons": persons}
    for name, rows in {"training": training, "test": of_strangers}.items():
        result = protocol(embed_rows(run.module, run.data, rows), run.scorers()[""])
        scores[name] = {"rank1": round(float(result.rank(1).mean()), 6), "mAP": round(float(result.mean_ap.mean()), 6)}
    return scores


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", nargs="+", type=Path)
    parser.add_argument("--out", required=True, type=Path)
    arguments = parser.parse_args()
    kept: dict[str, Any] = {}
    if arguments.out.is_file():
        kept = json.loads(arguments.out.read_text(encoding="utf-8"))
    for folder in arguments.runs:
        name = f"{folder.parent.name}/{folder.name}"  # METHOD/ROW_seedN, as multirun folders are named
        if name in kept:
            continue
        run = restore(checkpoint_at(folder), TrainedDataConfig(), TrainedProtocolConfig(), TrainerConfig())
        kept[name] = seen_and_unseen(run)
        print(name, kept[name])
        write_json(arguments.out, dict(sorted(kept.items())))


if __name__ == "__main__":
    main()
