"""What every reader returns."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from crossreid.data.records import ImageRecord
from crossreid.errors import DataError


class CameraCount(NamedTuple):
    """How many identities and images one camera holds in one split."""

    ids: int
    images: int


SplitCounts = Mapping[str, Mapping[int, CameraCount]]
"""Split name -> camera (1-based) -> counts."""


@dataclass(frozen=True)
class ReIDDataset:
    """A dataset on disk as a list of records and its splits.

    Attributes:
        name: what the dataset is called in tables and folders.
        root: folder that holds it.
        records: all images of all splits; ``records[i].row == i``.
        splits: split name -> rows (n,) into ``records``, ascending.
    """

    name: str
    root: Path
    records: tuple[ImageRecord, ...]
    splits: Mapping[str, npt.NDArray[np.int64]]

    def rows(self, *splits: str) -> npt.NDArray[np.int64]:
        """Rows (n,) of the named splits together, ascending."""
        return np.sort(np.concatenate([self.splits[name] for name in splits]))

    def counts(self) -> dict[str, dict[int, CameraCount]]:
        """Identities and images per split and camera, as found."""
        return {name: count_cameras(self.records[row] for row in rows) for name, rows in self.splits.items()}


def count_cameras(records: Iterable[ImageRecord]) -> dict[int, CameraCount]:
    """Identities and images per camera."""
    pids: dict[int, set[int]] = {}
    images: dict[int, int] = {}
    for record in records:
        pids.setdefault(record.camid, set()).add(record.pid)
        images[record.camid] = images.get(record.camid, 0) + 1
    return {camid: CameraCount(len(pids[camid]), images[camid]) for camid in sorted(pids)}


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
