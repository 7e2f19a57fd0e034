"""Persons of a folder that were trained on: noted with the run, and kept out of what is scored afterwards."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

from crossreid.console import notice
from crossreid.data.datasets import ReIDDataset
from crossreid.errors import ConfigError, DataError
from crossreid.runs.folder import write_json
from crossreid.settings.data import FolderConfig
from crossreid.untrusted import read_json

PERSONS = "persons.json"
"""In a run's folder: how the persons of a folder were divided."""


def note_persons(dataset: ReIDDataset, run: Path) -> None:
    """Write each split's persons, by number and first image, into a run's folder."""
    persons: dict[str, dict[str, str]] = {}
    for split in dataset.splits:
        persons[split] = {}
        for row in dataset.rows(split).tolist():
            record = dataset.records[row]
            persons[split].setdefault(str(record.pid), str(record.path.relative_to(dataset.root)))
    write_json(run / PERSONS, {"folder": str(dataset.root), "persons": persons})


def divided_as_trained(asked: FolderConfig, trained: FolderConfig) -> FolderConfig:
    """A folder to be scored: divided as in training where it is the one of training, so that strangers alone are scored.

    Raises:
        ConfigError: it is, and another division is asked for.
    """
    if trained.divide is None or asked.folder.resolve() != trained.folder.resolve():
        return asked
    if asked.divide is None:
        notice(
            f"The model was trained on persons of '{asked.folder}': only those whom it was not trained on are taken."
        )
        return replace(asked, divide=trained.divide, divide_seed=trained.divide_seed)
    if (asked.divide, asked.divide_seed) != (trained.divide, trained.divide_seed):
        raise ConfigError(
            f"The model was trained on persons of '{asked.folder}' by data.divide={trained.divide} and "
            f"data.divide_seed={trained.divide_seed}: leave both out, or persons who were trained on would be taken."
        )
    return asked


def warn_of_trained_persons(run: Path, dataset: ReIDDataset) -> None:
    """Say it where images of persons who were trained on are among those that are to be scored, here or in a moved folder.

    Args:
        run: the folder of the run, with what :func:`note_persons` wrote; nothing is said where it wrote nothing.
        dataset: to be scored.
    """
    try:
        noted = read_json(run / PERSONS)
        trained_in = Path(noted["folder"])
        first_images = [Path(place) for place in noted["persons"]["train"].values()]
    except (DataError, KeyError, TypeError, AttributeError):
        return
    scored = {os.path.abspath(dataset.records[row].path) for row in dataset.rows("test").tolist()}
    same = []
    for place in first_images:
        if scored & {os.path.abspath(trained_in / place), os.path.abspath(dataset.root / place)}:
            same.append(place)
    if same:
        notice(
            f"Warning: '{dataset.root}' has images of at least {len(same)} of the {len(first_images)} persons who were trained "
            f"on, or images of the same names ({min(same)}): leave data=folder out, and say data.root alone where the folder "
            "was moved, or they are scored too."
        )
