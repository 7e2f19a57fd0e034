"""RegDB (Nguyen et al., "Person Recognition System Based on a Combination of Body Images from Visible Light and Thermal
Cameras", Sensors 2017), with the ten splits of Ye et al. that the literature averages over.

Facts: 412 identities, one visible and one thermal camera side by side, ten images of each identity and camera; each of
the ten splits trains on 206 identities and tests on the other 206.
Layout: ``Visible/<pid>/*.bmp``, ``Thermal/<pid>/*.bmp`` and ``idx/{train,test}_{visible,thermal}_{1..10}.txt`` with lines
``Visible/285/male_back_v_05528_285.bmp 0``. The number after the path counts identities in order of appearance; the
identity is the folder. The set is given out by its authors on request.

Camera 1 is the visible one, camera 2 the thermal one (modality ``infrared``).

Example:
    >>> dataset = read_regdb(Path("/data/RegDB"), split=1)  # doctest: +SKIP
    >>> len(dataset.rows("train"))  # doctest: +SKIP
    4120
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
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
    is_image,
    kind_of,
    person_number,
    read_image_list,
    refuse,
    require_folders,
    shortened,
    some,
)
from crossreid.data.records import MODALITIES, Modality
from crossreid.errors import ConfigError, DataError

REGDB_SPLITS = range(1, 11)
"""Numbers of the ten splits."""

CAMERAS: Mapping[Modality, int] = {"visible": 1, "infrared": 2}
FOLDERS: Mapping[Modality, str] = {"visible": "Visible", "infrared": "Thermal"}
PARTS = ("train", "test")
NAMES = "RegDB: Visible/<person>/<image> (camera 1) and Thermal/<person>/<image> (camera 2)"

REGDB_COUNTS: SplitCounts = {part: {1: CameraCount(206, 2060), 2: CameraCount(206, 2060)} for part in PARTS}
"""Identities and images per split and camera of a complete copy, the same for each of the ten splits."""

REQUEST = (
    "Ask the authors of RegDB (Dongguk University) for a complete copy and take the ten splits' lists with it, or set "
    "data.counts=any for a set of your own in this layout."
)

_Lists = Mapping[str, list[FoundImage]]
"""``train`` and ``test`` of one split -> images of both modalities."""


def read_regdb(
    root: Path,
    split: int = 1,
    counts: SplitCounts | None = REGDB_COUNTS,
    *,
    name: str = "regdb",
    complain: Complain = refuse,
) -> ReIDDataset:
    """Verify a folder in the RegDB layout, then list its images.

    The records are all images that any split lists, so they, and the decoded images, are the same for every ``split``;
    a frame is the place among that person's listed images of that camera. There is no validation split.

    Args:
        root: folder with ``Visible``, ``Thermal`` and ``idx``.
        split: which of the ten splits ``train`` and ``test`` are, 1 to 10.
        counts: what ``train`` and ``test`` of each of the ten splits must hold; ``None`` takes the splits and images
            that there are.
        name: name of the dataset in tables.
        complain: told of every problem after which reading can go on; raises by default.

    Raises:
        ConfigError: ``split`` is not 1 to 10.
        DataError: a folder, a list or a listed image is missing, a list names an image of the other modality, train and
            test of a split share an identity, visible and thermal lists of a split name different identities, or the
            counts differ from ``counts``.
    """
    if split not in REGDB_SPLITS:
        raise ConfigError(f"RegDB has the splits 1 to 10, not {split!r}.")
    require_folders(root, (*FOLDERS.values(), "idx"), REQUEST, complain)
    images: dict[str, FoundImage] = {}  # of all splits, by the path that lists give them
    lists: dict[int, _Lists] = {}
    for number in REGDB_SPLITS:
        # a complete copy has all ten; of another one, those that it has lists of
        if counts is not None or number == split or _any_list(root, number):
            lists[number] = _read_split(root, number, images, complain)
    records = as_records(images.values())
    if counts is not None:
        _verify(lists, len(records), counts)
    row_of = {record.path: record.row for record in records}
    splits = {}
    for part in PARTS:
        rows = [row_of[image.path] for image in lists[split][part]]
        splits[part] = np.sort(np.array(rows, dtype=np.int64))
    names = {NAMES: np.arange(len(records), dtype=np.int64)}
    return ReIDDataset(name=name, root=root, records=records, splits=splits, names=names)


def _list_path(root: Path, part: str, modality: Modality, split: int) -> Path:
    return root / "idx" / f"{part}_{FOLDERS[modality].lower()}_{split}.txt"


def _any_list(root: Path, split: int) -> bool:
    for part in PARTS:
        for modality in MODALITIES:
            if kind_of(_list_path(root, part, modality, split)) != "nothing":
                return True
    return False


def _read_split(root: Path, split: int, images: dict[str, FoundImage], complain: Complain) -> _Lists:
    """The lists of one split; adds to ``images`` (path in the list -> image) what other splits had not named."""
    lists: dict[str, list[FoundImage]] = {}
    for part in PARTS:
        visible_list = _list_path(root, part, "visible", split)
        thermal_list = _list_path(root, part, "infrared", split)
        visible = _read_list(root, visible_list, "visible", images, complain)
        thermal = _read_list(root, thermal_list, "infrared", images, complain)
        in_one_only = sorted(_people(visible) ^ _people(thermal))  # the symmetric difference
        if in_one_only:
            complain(
                f"'{visible_list}' and '{thermal_list.name}' name different identities ({some(in_one_only)} stand in one of "
                "them only); restore both lists."
            )
        lists[part] = visible + thermal
    shared = sorted(_people(lists["train"]) & _people(lists["test"]))
    if shared:
        complain(
            f"'{_list_path(root, 'train', 'visible', split)}' and '{_list_path(root, 'test', 'visible', split).name}' "
            f"share identities ({some(shared)}), so a test would know its people; restore both lists."
        )
    return lists


def _people(images: Iterable[FoundImage]) -> set[int]:
    return {image.pid for image in images}


def _read_list(
    root: Path, path: Path, modality: Modality, images: dict[str, FoundImage], complain: Complain
) -> list[FoundImage]:
    pattern = re.compile(rf"{FOLDERS[modality]}/(\d+)/[^/]+", re.ASCII)
    images_of_list = []
    for name in read_image_list(path):
        match = pattern.fullmatch(name)
        if match is None:
            raise DataError(
                f"'{path}' names {shortened(name)} where '{FOLDERS[modality]}/<person>/<image>' belongs; restore it."
            )
        if name not in images:
            pid = person_number(match[1], path)
            if not is_image(root / name):
                complain(f"The image '{root / name}' is missing, which '{path.name}' names; restore it.")
                continue
            images[name] = FoundImage(root / name, pid, CAMERAS[modality], modality)
        images_of_list.append(images[name])
    if not images_of_list:
        raise DataError(f"The list '{path}' names no image; restore it.")
    return images_of_list


def _verify(lists: Mapping[int, _Lists], total: int, counts: SplitCounts) -> None:
    """Every split holds what it must, and all of them divide the same images."""
    found: dict[str, Mapping[int, CameraCount]] = {}
    expected: dict[str, Mapping[int, CameraCount]] = {}
    for split, parts in lists.items():
        for part, images in parts.items():
            found[f"split {split} {part}"] = count_cameras(images)
            expected[f"split {split} {part}"] = counts[part]
    verify_counts(found, expected, advice=REQUEST)
    images_of_a_split = 0
    for cameras in counts.values():
        images_of_a_split += sum(count.images for count in cameras.values())
    if total != images_of_a_split:
        raise DataError(
            f"The ten splits name {total} different images where all of them should divide the same {images_of_a_split}. "
            f"{REQUEST}"
        )
