"""SYSU-MM01 (Wu et al., "RGB-Infrared Cross-Modality Person Re-Identification", ICCV 2017).

Facts: 491 available identities; cameras 1, 2, 4, 5 visible, 3 and 6 near-infrared; cameras 2 and 3 stand in one room.
Layout: ``cam1..cam6/<4-digit pid>/<4-digit index>.jpg`` and ``exp/{train,val,test,available}_id.txt`` (one line of
comma-separated 1-based ids). Identities that are in no split are not read. The set is given out by its authors after a
signed agreement.

Example:
    >>> dataset = read_sysu_mm01(Path("/data/SYSU-MM01"))  # doctest: +SKIP
    >>> len(dataset.rows("train", "val"))  # doctest: +SKIP
    34167
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import combinations
from pathlib import Path

import numpy as np

from crossreid.data.datasets.base import (
    CameraCount,
    FoundImage,
    ReIDDataset,
    SplitCounts,
    as_records,
    count_cameras,
    verify_counts,
)
from crossreid.data.datasets.lists import (
    Complain,
    Skipped,
    is_folder,
    list_images,
    read_ids,
    refuse,
    require_folders,
    some,
)
from crossreid.data.records import ImageRecord, Modality

CAMERAS: Mapping[int, Modality] = {
    1: "visible",
    2: "visible",
    3: "infrared",
    4: "visible",
    5: "visible",
    6: "infrared",
}
SPLITS = ("train", "val", "test")
NAMES = "SYSU-MM01: cam<camera>/<person>/<image>"

SYSU_MM01_COUNTS: SplitCounts = {
    "train": {
        1: CameraCount(194, 4721),
        2: CameraCount(195, 5753),
        3: CameraCount(293, 5929),
        4: CameraCount(283, 4821),
        5: CameraCount(294, 4989),
        6: CameraCount(200, 4000),
    },
    "val": {3: CameraCount(99, 1980), 4: CameraCount(99, 990), 5: CameraCount(96, 984)},
    "test": {
        1: CameraCount(56, 1374),
        2: CameraCount(56, 1565),
        3: CameraCount(93, 1883),
        4: CameraCount(94, 1918),
        5: CameraCount(95, 1918),
        6: CameraCount(96, 1920),
    },
}
"""Identities and images per split and camera of a complete copy."""

REQUEST = (
    "Ask the authors of SYSU-MM01 for a complete copy (the agreement is in their repository wuancong/SYSU-MM01), "
    "or set data.counts=any for a set of your own in this layout."
)


def read_sysu_mm01(
    root: Path,
    counts: SplitCounts | None = SYSU_MM01_COUNTS,
    *,
    name: str = "sysu_mm01",
    complain: Complain = refuse,
) -> ReIDDataset:
    """Verify a folder in the SYSU-MM01 layout, then list its images.

    Args:
        root: folder with ``cam1..cam6`` and ``exp``.
        counts: what each split and camera must hold; ``None`` takes what there is.
        name: name of the dataset in tables.
        complain: told of every problem after which reading can go on; raises by default.

    Raises:
        DataError: the folder, a camera or an id list is missing, an id is in two splits or in no camera, or the counts
            differ from ``counts``.
    """
    folders = [f"cam{camid}" for camid in CAMERAS]
    require_folders(root, [*folders, "exp"], REQUEST, complain)
    ids = _read_splits(root, complain)
    skipped = Skipped()
    of_any_split: frozenset[int] = frozenset().union(*ids.values())
    records = _list_records(root, of_any_split, skipped)
    splits = {}
    for split, pids in ids.items():
        rows = [record.row for record in records if record.pid in pids]
        splits[split] = np.array(rows, dtype=np.int64)
    names = {NAMES: np.arange(len(records), dtype=np.int64)}
    dataset = ReIDDataset(
        name=name, root=root, records=records, splits=splits, names=names, skipped=skipped.by_reason()
    )
    if counts is not None:
        verify_counts(dataset.counts(), counts, advice=REQUEST)
    _require_images(dataset, ids, complain)
    return dataset


def _read_splits(root: Path, complain: Complain) -> dict[str, frozenset[int]]:
    """Split -> available ids."""
    available = read_ids(root / "exp" / "available_id.txt", of_dataset=True)
    ids = {}
    for split in SPLITS:
        ids[split] = read_ids(root / "exp" / f"{split}_id.txt", of_dataset=True) & available
    # somebody in two splits would be trained on and tested
    for first, second in combinations(SPLITS, 2):
        shared = sorted(ids[first] & ids[second])
        if shared:
            complain(
                f"The id lists in '{root / 'exp'}' do not match: {some(shared)} stand in both {first}_id.txt and "
                f"{second}_id.txt; restore the lists that came with the dataset."
            )
    return ids


def _list_records(root: Path, pids: frozenset[int], skipped: Skipped) -> tuple[ImageRecord, ...]:
    """Records in the order camera, identity, file."""
    images: list[FoundImage] = []
    for camid, modality in CAMERAS.items():
        for pid in sorted(pids):
            folder = root / f"cam{camid}" / f"{pid:04d}"
            if not is_folder(folder):
                continue
            for path in list_images(folder, skipped):
                images.append(FoundImage(path, pid, camid, modality))
    return as_records(images)


def _require_images(dataset: ReIDDataset, ids: Mapping[str, frozenset[int]], complain: Complain) -> None:
    """Every listed identity has images, and every split that is listed has both modalities."""
    for split, pids in ids.items():
        absent = sorted(pids - dataset.people(split))
        if absent:
            complain(
                f"{split}_id.txt lists {some(absent)}, but no camera folder in '{dataset.root}' has images of them; "
                "restore the images, or the list that came with them."
            )
        cameras = count_cameras(dataset.records[row] for row in dataset.splits[split])
        modalities = {CAMERAS[camid] for camid in cameras}
        if pids and modalities != {"visible", "infrared"}:
            complain(
                f"The {split} split in '{dataset.root}' has images of one modality only (cameras {some(cameras)}); "
                "restore the other cameras' images."
            )
