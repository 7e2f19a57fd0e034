"""Labelled pairs of images, from a CSV: who is one person follows from the pairs that say so."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from crossreid.data.datasets.lists import read_text
from crossreid.errors import DataError
from crossreid.evaluation import Embeddings
from crossreid.evaluation.array_files import Array
from crossreid.evaluation.calibration import modality_pair
from crossreid.evaluation.scorers import normalised
from crossreid.evaluation.verification import Pairs

COLUMNS = ("first", "second", "same")
_YES = ("yes", "same", "true", "1")
_NO = ("no", "different", "false", "0")


@dataclass(frozen=True)
class LabelledPairs:
    """Pairs of images.

    Attributes:
        paths: N images, each once.
        first: (M,) place of a pair's first image.
        second: (M,) place of its second image.
        persons: (N,) persons, numbered from 1: images that a chain of genuine pairs joins show one person, any other image a
            person of its own.
    """

    paths: tuple[Path, ...]
    first: Array
    second: Array
    persons: Array


def read_pairs(path: Path) -> LabelledPairs:
    """Read a CSV with the columns ``first``, ``second`` (image files, relative to its folder) and ``same`` (yes or no).

    Raises:
        DataError: it is missing or damaged, a line has no such cells, or pairs contradict each other.
    """
    if not path.is_file():
        raise DataError(f"There is no list of pairs '{path}'.")
    try:
        lines = list(csv.DictReader(io.StringIO(read_text(path, "list of pairs"))))
    except csv.Error as error:
        raise DataError(f"'{path}' is no CSV table ({error}).") from error
    if not lines or not set(COLUMNS) <= set(lines[0]):
        raise DataError(f"'{path}' needs the columns {', '.join(COLUMNS)} and a line for each pair.")
    places: dict[Path, int] = {}
    first: list[int] = []
    second: list[int] = []
    same: list[bool] = []
    for number, line in enumerate(lines, start=2):  # line 1 holds the columns' names
        one = _image(line["first"], path)
        other = _image(line["second"], path)
        word = (line["same"] or "").strip().lower()
        if one is None or other is None or one == other or word not in (*_YES, *_NO):
            raise DataError(
                f"Line {number} of '{path}' is no pair: two different images, and yes or no in the column same."
            )
        # An image that was seen before keeps its place, a new one comes last.
        first.append(places.setdefault(one, len(places)))
        second.append(places.setdefault(other, len(places)))
        same.append(word in _YES)
    persons = _joined(len(places), first, second, same)
    for number, (place, other_place, is_same) in enumerate(zip(first, second, same, strict=True), start=2):
        if not is_same and persons[place] == persons[other_place]:
            raise DataError(
                f"Line {number} of '{path}' says that two images show two persons, and other lines that they show one: correct "
                "one of them."
            )
    return LabelledPairs(tuple(places), np.array(first), np.array(second), persons)


def _image(cell: str | None, path: Path) -> Path | None:
    if not cell or not cell.strip() or "\0" in cell:
        return None
    return path.parent / cell.strip()


def _joined(count: int, first: Sequence[int], second: Sequence[int], same: Sequence[bool]) -> Array:
    """Persons (N,) from 1, by joining the images of genuine pairs."""
    # Union-find: images of one person point, step by step, to one of them, their leader.
    leader = list(range(count))

    def leader_of(image: int) -> int:
        while leader[image] != image:
            leader[image] = leader[leader[image]]  # each second step is left out the next time
            image = leader[image]
        return image

    for one, other, is_same in zip(first, second, same, strict=True):
        if is_same:
            leader[leader_of(one)] = leader_of(other)
    leaders = [leader_of(image) for image in range(count)]
    _, persons = np.unique(leaders, return_inverse=True)
    return np.asarray(persons + 1)


def scored_pairs(embeddings: Embeddings, labelled: LabelledPairs) -> dict[str, Pairs]:
    """The pairs with their cosine, by modalities; ``embeddings`` are of the labelled images, in their order."""
    vectors = normalised(embeddings.features["main"])
    scores = (vectors[labelled.first] * vectors[labelled.second]).sum(axis=1).astype(np.float32)
    person = labelled.persons - 1
    # How many of a pair's images are infrared says its two modalities.
    infrared = embeddings.infrared.astype(int)
    kinds = infrared[labelled.first] + infrared[labelled.second]
    groups = {}
    for kind, (one, other) in enumerate(((False, False), (False, True), (True, True))):
        chosen = kinds == kind
        groups[modality_pair(one, other)] = Pairs(
            scores[chosen],
            person[labelled.first[chosen]],
            person[labelled.second[chosen]],
            int(labelled.persons.max()),
            np.empty((0, 2), np.int64),  # the list says no cameras
        )
    return groups
