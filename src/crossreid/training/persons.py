"""Persons of a folder that were trained on: noted with the run, and kept out of what is scored afterwards."""

from __future__ import annotations

import filecmp
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from crossreid.console import notice
from crossreid.data.datasets import ReIDDataset
from crossreid.data.datasets.folder_images import has_splits
from crossreid.data.datasets.lists import is_folder
from crossreid.errors import ConfigError, DataError
from crossreid.runs.folder import write_json
from crossreid.settings.data import DataConfig, FolderConfig
from crossreid.untrusted import read_json

PERSONS = "persons.json"
"""In a run's folder: how the persons of a folder were divided."""


class NotedPersons(NamedTuple):
    """What a run notes of a folder that it was trained on.

    Attributes:
        folder: where it lay.
        first_images: of each person who was trained on, an image in it.
    """

    folder: Path
    first_images: Sequence[Path]


def note_persons(dataset: ReIDDataset, run: Path) -> None:
    """Write each split's persons, by number and first image, into a run's folder."""
    persons: dict[str, dict[str, str]] = {}
    for split in dataset.splits:
        persons[split] = {}
        for row in dataset.rows(split).tolist():
            record = dataset.records[row]
            persons[split].setdefault(str(record.pid), str(record.path.relative_to(dataset.root)))
    write_json(run / PERSONS, {"folder": str(dataset.root.resolve()), "persons": persons})


def noted_persons(run: Path) -> NotedPersons | None:
    """What :func:`note_persons` wrote; None where it wrote nothing, or it cannot be read."""
    try:
        noted = read_json(run / PERSONS)
        first_images = [Path(place) for place in noted["persons"]["train"].values()]
        return NotedPersons(Path(noted["folder"]), first_images)
    except (DataError, KeyError, TypeError, AttributeError):
        return None


def was_trained_on(folder: Path, trained: DataConfig, run: Path) -> bool:
    """A folder is the one that a run was trained on.

    Args:
        folder: that is asked about.
        trained: the dataset of the run; its folder may be named from where it was started.
        run: its folder.
    """
    noted = noted_persons(run)
    trained_in = trained.folder
    if noted is not None and noted.folder.is_absolute():
        trained_in = noted.folder
    return folder.resolve() == trained_in.resolve()


def divided_as_trained(asked: FolderConfig, trained: FolderConfig, run: Path) -> FolderConfig:
    """A folder to be scored: divided as in training where it is the one of training, so that strangers alone are scored.

    A folder that has got folders of splits since stays divided by these.

    Args:
        asked: the folder.
        trained: that of training.
        run: the folder of the run.

    Raises:
        ConfigError: it is the folder of training, and another division is asked for.
    """
    if trained.divide is None or not was_trained_on(asked.folder, trained, run):
        return asked
    if is_folder(asked.folder) and has_splits(asked.folder):
        return asked
    said = asked.divide is not None or asked.divide_seed != 0  # 0 is what stands there where nobody says a seed
    division = (asked.divide or trained.divide, asked.divide_seed)
    if said and division != (trained.divide, trained.divide_seed):
        raise ConfigError(
            f"The model was trained on persons of '{asked.folder}' by data.divide={trained.divide} and "
            f"data.divide_seed={trained.divide_seed}: leave both out, or persons who were trained on would be taken."
        )
    if asked.divide is None:
        notice(f"The model was trained on persons of '{asked.folder}', which is divided as it was in training.")
    return replace(asked, divide=trained.divide, divide_seed=trained.divide_seed)


def warn_of_trained_persons(run: Path, dataset: ReIDDataset) -> None:
    """Say it where persons who were trained on are among those that a folder has for something else.

    They are where the folder has other persons than in training, or is only a part of it, a copy, or the same one at another
    place.

    Args:
        run: the folder of the run, with what :func:`note_persons` wrote; nothing is said where it wrote nothing.
        dataset: the folder.
    """
    noted = noted_persons(run)
    if noted is None:
        return
    root = dataset.root.resolve()
    others: set[Path] = set()
    for split in dataset.splits:
        if split == "train":
            continue
        for row in dataset.rows(split).tolist():
            others.add(root / dataset.records[row].path.relative_to(dataset.root))
    found = []
    for place in noted.first_images:
        there = noted.folder / place
        here = root / place
        if there in others or (here in others and _alike(there, here)):
            found.append(place)
    if found:
        notice(
            f"Warning: '{dataset.root}' has at least {len(found)} of the {len(noted.first_images)} persons who were trained on "
            f"among its other persons ({min(found)} shows one): their scores say nothing of strangers. Leave the folder of "
            "training as it was, or move them out."
        )


def _alike(trained_on: Path, image: Path) -> bool:
    """Two files of one name in two folders are copies; where the first is not there any more, the name has to do."""
    if not trained_on.is_file():
        return True
    return filecmp.cmp(trained_on, image, shallow=False)
