"""LLCM (Zhang and Wang, "Diverse Embedding Expansion Network and Low-Light Cross-Modality Benchmark for
Visible-Infrared Person Re-identification", CVPR 2023).

Facts: 46,767 images of 1,064 identities (713 to train on, 351 to test on) by nine places with a visible and a
near-infrared camera each; there are no near-infrared images of place 3.
Layout: ``vis``, ``nir`` and ``idx/train_{vis,nir}.txt`` to train on, lines
``nir/0891/0891_c06_s183650_f2130_nir.jpg 0`` (identity: the folder; camera: after ``_c``; the number after the path is not
used); ``test_vis/cam<camera>/<4-digit pid>/``, ``test_nir/...`` and ``idx/test_id.txt`` (comma-separated ids) to test on.
The set is given out by its authors after a signed agreement.

Visible and near-infrared images of a place have one camera number, as in the protocol. No validation split is published.

Example:
    >>> dataset = read_llcm(Path("/data/LLCM"))  # doctest: +SKIP
    >>> len(dataset.rows("train"))  # doctest: +SKIP
    30921
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from crossreid.data.datasets.base import CameraCount, FoundImage, ReIDDataset, SplitCounts, as_records, verify_counts
from crossreid.data.datasets.lists import (
    Complain,
    Skipped,
    camera_number,
    is_folder,
    is_image,
    list_entries,
    list_images,
    person_number,
    read_ids,
    read_image_list,
    refuse,
    require_folders,
    shortened,
    some,
)
from crossreid.data.records import Modality
from crossreid.errors import DataError

FOLDERS: Mapping[Modality, str] = {"visible": "vis", "infrared": "nir"}
TRAIN_NAMES = "LLCM, training: vis/<person>/..._c<camera>_..., likewise nir"
TEST_NAMES = "LLCM, test: test_vis/cam<camera>/<person>/<image>, likewise test_nir"

LLCM_COUNTS: SplitCounts = {
    "train visible": {
        1: CameraCount(16, 290),
        2: CameraCount(6, 39),
        3: CameraCount(345, 5733),
        4: CameraCount(347, 5769),
        5: CameraCount(192, 3728),
        6: CameraCount(2, 14),
        7: CameraCount(47, 571),
        8: CameraCount(19, 633),
        9: CameraCount(11, 169),
    },
    "train infrared": {
        1: CameraCount(7, 53),
        2: CameraCount(15, 98),
        4: CameraCount(7, 74),
        5: CameraCount(479, 4291),
        6: CameraCount(687, 8436),
        7: CameraCount(30, 431),
        8: CameraCount(22, 456),
        9: CameraCount(13, 136),
    },
    "test visible": {
        1: CameraCount(9, 139),
        2: CameraCount(2, 12),
        3: CameraCount(162, 2773),
        4: CameraCount(171, 3063),
        5: CameraCount(99, 1994),
        6: CameraCount(3, 18),
        7: CameraCount(24, 345),
        8: CameraCount(9, 252),
        9: CameraCount(5, 84),
    },
    "test infrared": {
        1: CameraCount(4, 19),
        2: CameraCount(6, 47),
        4: CameraCount(5, 58),
        5: CameraCount(221, 2119),
        6: CameraCount(338, 4276),
        7: CameraCount(19, 217),
        8: CameraCount(15, 311),
        9: CameraCount(11, 119),
    },
}
"""Identities and images per split, modality and camera of a complete copy."""

REQUEST = (
    "Ask the authors of LLCM for a complete copy (the agreement is in their repository ZYK100/LLCM), or set "
    "data.counts=any for a set of your own in this layout."
)


def read_llcm(
    root: Path, counts: SplitCounts | None = LLCM_COUNTS, *, name: str = "llcm", complain: Complain = refuse
) -> ReIDDataset:
    """Verify a folder in the LLCM layout, then list its images, with the splits ``train`` and ``test``.

    A frame is the place among that person's images of that camera and modality.

    Args:
        root: folder with ``vis``, ``nir``, ``test_vis``, ``test_nir`` and ``idx``.
        counts: what each split, modality and camera must hold; ``None`` takes what there is.
        name: name of the dataset in tables.
        complain: told of every problem after which reading can go on; raises by default.

    Raises:
        DataError: a folder, a list or a listed image is missing, a list names an image of the other modality or without
            a camera, an identity is in both splits, a test identity has no image, or the counts differ from ``counts``.
    """
    require_folders(root, ("vis", "nir", "test_vis", "test_nir", "idx"), REQUEST, complain)
    train: list[FoundImage] = []
    for modality in FOLDERS:
        train += _training_images(root, modality, complain)
    ids = read_ids(root / "idx" / "test_id.txt", of_dataset=True)
    skipped = Skipped()
    test: list[FoundImage] = []
    for modality in FOLDERS:
        test += _test_images(root, modality, ids, skipped)
    shared = sorted(ids & {image.pid for image in train})
    if shared:
        complain(
            f"The lists in '{root / 'idx'}' do not match: {some(shared)} stand in test_id.txt and in the training lists; "
            "restore the lists that came with the dataset."
        )
    absent = sorted(ids - {image.pid for image in test})
    if absent:
        complain(
            f"test_id.txt lists {some(absent)}, but neither '{root / 'test_vis'}' nor 'test_nir' has images of them; "
            "restore the images, or the list that came with them."
        )
    records = as_records([*train, *test])
    # a person is in one part alone only where the lists are right; an image always is
    test_paths = {image.path for image in test}
    is_test = np.array([record.path in test_paths for record in records], dtype=np.bool_)
    splits = {"train": np.flatnonzero(~is_test), "test": np.flatnonzero(is_test)}
    dataset = ReIDDataset(
        name=name,
        root=root,
        records=records,
        splits=splits,
        shared_cameras=True,
        names={TRAIN_NAMES: splits["train"], TEST_NAMES: splits["test"]},
        skipped=skipped.by_reason(),
    )
    if counts is not None:
        verify_counts(dataset.counts(), counts, advice=REQUEST)
    return dataset


def _training_images(root: Path, modality: Modality, complain: Complain) -> list[FoundImage]:
    folder = FOLDERS[modality]
    path = root / "idx" / f"train_{folder}.txt"
    pattern = re.compile(rf"{folder}/(\d+)/[^/]*_c(\d+)_[^/]*", re.ASCII)
    images = []
    for name in read_image_list(path):
        match = pattern.fullmatch(name)
        if match is None:
            raise DataError(
                f"'{path}' names {shortened(name)} where '{folder}/<person>/<person>_c<camera>_<image>' belongs; restore it."
            )
        pid = person_number(match[1], path)
        camid = camera_number(match[2], root / name)
        if not is_image(root / name):
            complain(f"The image '{root / name}' is missing, which '{path.name}' names; restore it.")
            continue
        images.append(FoundImage(root / name, pid, camid, modality))
    return images


def _test_images(root: Path, modality: Modality, ids: frozenset[int], skipped: Skipped) -> list[FoundImage]:
    cameras = root / f"test_{FOLDERS[modality]}"
    images = []
    for camera in list_entries(cameras):
        number = camera.name.removeprefix("cam")
        if number == camera.name:  # no camera's folder
            continue
        if not (number.isascii() and number.isdecimal()):
            raise DataError(f"'{camera}' should be a camera's folder, cam1, cam2 and so on; rename or remove it.")
        if not is_folder(camera):
            raise DataError(f"'{camera}' is a link that leads nowhere: restore the camera's folder, or remove it.")
        camid = camera_number(number, camera)
        for pid in sorted(ids):
            folder = camera / f"{pid:04d}"
            if not is_folder(folder):
                continue
            for path in list_images(folder, skipped):
                images.append(FoundImage(path, pid, camid, modality))
    return images
