"""What every reader returns."""

from __future__ import annotations

import hashlib
import os
from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from crossreid.data.datasets.lists import SkippedFiles
from crossreid.data.records import MODALITIES, ImageRecord, Modality, Role
from crossreid.errors import DataError


class CameraCount(NamedTuple):
    """How many identities and images one camera holds in one split."""

    ids: int
    images: int


SplitCounts = Mapping[str, Mapping[int, CameraCount]]
"""Split name -> camera (1-based) -> counts; see :meth:`ReIDDataset.counts` for the names."""


class FoundImage(NamedTuple):
    """An image that a reader found, before it has a place in the list of records."""

    path: Path
    pid: int
    camid: int
    modality: Modality
    role: Role = "any"


@dataclass(frozen=True)
class ReIDDataset:
    """A dataset on disk as a list of records and its splits.

    Attributes:
        name: what the dataset is called in tables and folders.
        root: folder that holds it.
        records: all images of all splits; ``records[i].row == i``.
        splits: split name -> rows (n,) into ``records``, ascending.
        shared_cameras: a camera number stands for a visible and an infrared camera (LLCM), so counts are given by
            split and modality.
        names: a way of naming images, in words -> rows (n,) of the images that are named so.
        skipped: what lies there and is not read, by reason.
        notes: what else was decided in reading, a sentence each.
    """

    name: str
    root: Path
    records: tuple[ImageRecord, ...]
    splits: Mapping[str, npt.NDArray[np.int64]]
    shared_cameras: bool = False
    names: Mapping[str, npt.NDArray[np.int64]] = field(default_factory=dict)
    skipped: tuple[SkippedFiles, ...] = ()
    notes: tuple[str, ...] = ()

    @cached_property
    def digest(self) -> str:
        """Of all images by split: file, person, camera, modality, place, role; the same wherever the dataset lies."""
        summed = hashlib.sha256()
        root = f"{self.root}{os.sep}" if self.root != Path() else ""
        for split in sorted(self.splits):
            for row in self.splits[split].tolist():
                record = self.records[row]
                place = str(record.path).removeprefix(root)
                facts = f"{record.pid} {record.camid} {record.modality} {record.frame} {record.role}"
                summed.update(f"{split}\0{place}\0{facts}\n".encode(errors="surrogateescape"))
        return summed.hexdigest()[:16]

    def rows(self, *splits: str) -> npt.NDArray[np.int64]:
        """Rows (n,) of the named splits together, ascending.

        Raises:
            DataError: the dataset lacks one of them, or none is named.
        """
        if not splits:
            raise DataError(self._no_split("train"))
        for name in splits:
            if name not in self.splits:
                raise DataError(self._no_split(name))
        return np.sort(np.concatenate([self.splits[name] for name in splits]))

    def _no_split(self, name: str) -> str:
        there = ", ".join(self.splits) or "none"
        return f"{self.name} at '{self.root}' has no split '{name}' (splits there: {there}): add its folder or list."

    def without(self, rows: Collection[int]) -> ReIDDataset:
        """The same records, of which no split has these rows."""
        left_out = np.fromiter(rows, dtype=np.int64, count=len(rows))
        splits = {}
        for split, rows_of_split in self.splits.items():
            splits[split] = np.setdiff1d(rows_of_split, left_out)
        return replace(self, splits=splits)

    def people(self, split: str) -> set[int]:
        """The identities of a split, without distractors."""
        people: set[int] = set()
        for row in self.splits[split]:
            record = self.records[row]
            if record.role != "distractor":
                people.add(record.pid)
        return people

    def remarks(self) -> list[str]:
        """What a person should know of how the set was read: its notes, and what was left out; a sentence each."""
        if not self.skipped:
            return list(self.notes)
        parts = [f"{part.files} x {part.reason} (such as '{part.example}')" for part in self.skipped]
        return [*self.notes, f"Not read in '{self.root}': {'; '.join(parts)}."]

    def counts(self) -> dict[str, dict[int, CameraCount]]:
        """Identities and images per split and camera, as found.

        With ``shared_cameras`` the names are ``train visible``, ``train infrared`` and so on.
        """
        counts: dict[str, dict[int, CameraCount]] = {}
        for split, rows in self.splits.items():
            records = [self.records[row] for row in rows]
            if not self.shared_cameras:
                counts[split] = count_cameras(records)
                continue
            for modality in MODALITIES:
                of_modality = [record for record in records if record.modality == modality]
                counts[f"{split} {modality}"] = count_cameras(of_modality)
        return counts


def as_records(images: Iterable[FoundImage]) -> tuple[ImageRecord, ...]:
    """Records in the order camera, identity, modality, file; frames count a person's images in a camera and modality."""

    def place(image: FoundImage) -> tuple[int, int, int, str]:
        # by all that an image is, so that records do not depend on the order in which a reader found them
        return image.camid, image.pid, MODALITIES.index(image.modality), str(image.path)

    order = sorted(images, key=place)
    frames: dict[tuple[int, int, Modality], int] = {}  # how many there have been
    records = []
    for row, image in enumerate(order):
        person = (image.camid, image.pid, image.modality)
        frame = frames.get(person, 0)
        frames[person] = frame + 1
        records.append(ImageRecord(image.path, image.pid, image.camid, image.modality, frame, row, image.role))
    return tuple(records)


def count_cameras(images: Iterable[ImageRecord | FoundImage]) -> dict[int, CameraCount]:
    """Identities and images per camera; distractors are images, and no identities."""
    pids: dict[int, set[int]] = {}
    totals: Counter[int] = Counter()
    for image in images:
        totals[image.camid] += 1
        of_camera = pids.setdefault(image.camid, set())
        if image.role != "distractor":
            of_camera.add(image.pid)
    counts: dict[int, CameraCount] = {}
    for camid in sorted(totals):
        counts[camid] = CameraCount(len(pids[camid]), totals[camid])
    return counts


def verify_counts(found: SplitCounts, expected: SplitCounts, *, advice: str) -> None:
    """Compare counts per split and camera.

    Raises:
        DataError: names every split and camera that differs, with both counts, and ends with ``advice``.
    """
    differences = []
    for split, cameras in expected.items():
        for camid in sorted({*cameras, *found.get(split, {})}):
            want = cameras.get(camid, CameraCount(0, 0))
            have = found.get(split, {}).get(camid, CameraCount(0, 0))
            if have != want:
                differences.append(
                    f"{split} camera {camid} holds {have.ids} ids and {have.images} images "
                    f"where {want.ids} and {want.images} belong"
                )
    if differences:
        raise DataError(f"The dataset is not complete: {'; '.join(differences)}. {advice}")
