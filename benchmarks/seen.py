"""Persons that runs were trained on beside persons that they were not: what was learned, and what of it carries over.

    python benchmarks/seen.py RUN ... --out benchmarks/results/pilot/seen.json

As many of the ones as of the others are taken, so that both stand in galleries of one size. Scores are of the
first setting of the run's protocol, by the row's first way of inference, in [0, 1]. ``centred``: the same test persons, each
vector less the mean of its modality's vectors, which no protocol allows: what an offset between the modalities costs. What is
in the file already stays.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from crossreid.data.datasets import ReIDDataset
from crossreid.evaluation import Embeddings
from crossreid.evaluation.array_files import Array
from crossreid.runs.folder import write_json
from crossreid.settings.data import TrainedDataConfig
from crossreid.settings.protocol import TrainedProtocolConfig
from crossreid.settings.run import TrainerConfig
from crossreid.training.figures import embed_rows
from crossreid.training.loading import Restored, checkpoint_at, restore

PERSONS = 64
"""Of each kind, where there are so many."""


def seen_and_unseen(run: Restored) -> dict[str, Any]:
    """Rank-1 and mAP of training persons, of as many test persons, and of these with the modalities' means taken away."""
    dataset = run.data.dataset
    training = np.sort(np.concatenate([rows for person in run.data.index.rows for rows in person.values()]))
    test = dataset.rows("test")
    persons = min(PERSONS, *(len(people_of(dataset, rows)) for rows in (training, test)))
    embeddings = {}
    for name, rows in {"training": training, "test": test}.items():
        chosen = people_of(dataset, rows)[:persons]
        of_chosen = np.array([row for row in rows if dataset.records[row].pid in chosen])
        embeddings[name] = embed_rows(run.module, run.data, of_chosen)
    if set(embeddings["test"].features) == {
        "main"
    }:  # a teacher's or specific vectors beside it are not what is ranked by
        embeddings["centred"] = centred(embeddings["test"])
    protocol = run.protocols.test[0]
    scores: dict[str, Any] = {"protocol": protocol.key, "persons": persons}
    for name, of_name in embeddings.items():
        result = protocol(of_name, run.scorers()[""])
        scores[name] = {"rank1": round(float(result.rank(1).mean()), 6), "mAP": round(float(result.mean_ap.mean()), 6)}
    return scores


def people_of(dataset: ReIDDataset, rows: Array) -> list[int]:
    """The persons on some rows, by their numbers."""
    return sorted({dataset.records[row].pid for row in rows})


def centred(embeddings: Embeddings) -> Embeddings:
    """Vectors less the mean of their modality's: what retrieval would be without an offset between the modalities."""
    vectors = embeddings.features["main"].copy()
    for infrared in (False, True):
        of_modality = embeddings.infrared == infrared
        vectors[of_modality] -= vectors[of_modality].mean(axis=0)
    return replace(embeddings, features={"main": vectors})


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
