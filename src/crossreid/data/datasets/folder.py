"""One's own images in folders: no lists, no counts, everything from names.

Two styles, told apart by what lies in the folder:

* **one folder a person**, any file names: ``anna/c2_0001.jpg``. Folder names that are all numbers are the identities;
  otherwise people are numbered from 1 in the order of their names, over all splits. The camera is the number after ``c``
  or ``cam`` at the start of the file name or after an underscore (``c2_0001.jpg``, ``anna_cam2_0001.jpg``,
  ``0002_c1s1_000451_03.jpg``). If no file name of the set has one, visible images are camera 1 and infrared ones camera 2:
  enough to search across modalities, not within one, where a match must come from another camera.
* **names as in Market-1501**, all images in one folder: ``0002_c1s1_000451_03.jpg`` shows person 2, seen by camera 1.
  Images of person -1 are not read (in Market-1501 they show no person); person 0 is read like any other.

Around them, both optional, in this order:

* **splits**: ``train``, ``val`` and ``test``; ``query`` and ``gallery`` are both ``test``, since every image of the one
  modality queries every image of the other; Market-1501's ``bounding_box_train`` and ``bounding_box_test`` are ``train``
  and ``test``. Without such a folder everything is ``test``; beside one, other folders are not read.
* **modalities**: ``visible``, ``rgb``, ``vis`` or ``color``; ``infrared``, ``ir``, ``nir`` or ``thermal``. Without them
  the modality is an argument: one for all images, or the numbers of the infrared cameras.

Capital letters in these folder names and in file endings do not matter. Example::

    people/train/visible/anna/c1_0001.jpg       people/query/0002_c3s1_000451_03.jpg
    people/train/infrared/anna/c2_0001.jpg      people/gallery/0002_c1s1_000551_01.jpg
    people/test/visible/ben/c1_0001.jpg         (infrared_cameras=[3, 6])
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from crossreid.data.datasets.base import FoundImage, ReIDDataset, as_records
from crossreid.data.datasets.lists import IMAGE_SUFFIXES, Complain, list_images, refuse, some
from crossreid.data.records import MODALITIES, Modality
from crossreid.errors import ConfigError, DataError

SPLIT_FOLDERS: Mapping[str, str] = {
    "train": "train",
    "bounding_box_train": "train",
    "val": "val",
    "test": "test",
    "query": "test",
    "gallery": "test",
    "bounding_box_test": "test",
}
MODALITY_FOLDERS: Mapping[str, Modality] = {
    **dict.fromkeys(("visible", "rgb", "vis", "color"), MODALITIES[0]),
    **dict.fromkeys(("infrared", "ir", "nir", "thermal"), MODALITIES[1]),
}

_MARKET = re.compile(r"(-1|\d+)_c\d+.*")
_CAMERA = re.compile(r"(?:^|_)c(?:am)?(\d+)(?=s\d|[_.-])", re.IGNORECASE)


class _Image(NamedTuple):
    """An image file, its split, whom it shows by name, and its modality where a folder says it."""

    path: Path
    split: str
    person: str
    modality: Modality | None


def read_folder(
    root: Path,
    *,
    modality: Modality | None = None,
    infrared_cameras: Sequence[int] | None = None,
    name: str = "folder",
    complain: Complain = refuse,
) -> ReIDDataset:
    """List the images of a folder of one's own; the module says which names mean what.

    A set of one modality can be scored within it. Identities without a partner in the other modality are read too.

    Args:
        root: the folder.
        modality: the modality of all images, where no folder says it.
        infrared_cameras: the cameras that are infrared, the others being visible, where no folder says it.
        name: name of the dataset in tables.
        complain: told of every problem after which reading can go on; raises by default.

    Raises:
        ConfigError: the modality is said twice, or not at all.
        DataError: the folder, or a person's folder, is missing or without images, names fit neither style, some file
            names have a camera and some have none, or an identity is in two splits.
    """
    if not root.is_dir():
        raise DataError(f"There is no image folder '{root}': set data.root to the folder that holds your images.")
    found = [image for split, folder in _split_folders(root) for image in _images_of_split(split, folder)]
    if not found:
        raise DataError(
            f"There are no images in '{root}': they lie in one folder a person, or are named <person>_c<camera>_... as "
            f"in Market-1501; files end in {', '.join(sorted(IMAGE_SUFFIXES))}."
        )
    _require_one_source(root, found, modality, infrared_cameras)
    cameras, pids = _cameras(found), _identities(found)
    _require_separate_splits(found, pids, complain)
    infrared = frozenset(infrared_cameras or ())
    images, split_of = [], {}
    for image, camid in zip(found, cameras, strict=True):
        seen = image.modality or modality or MODALITIES[camid in infrared]
        own = camid if camid is not None else 1 + MODALITIES.index(seen)
        images.append(FoundImage(image.path, pids[image.person], own, seen))
        split_of[image.path] = image.split
    records = as_records(images)
    splits = {
        split: np.array([r.row for r in records if split_of[r.path] == split], dtype=np.int64)
        for split in dict.fromkeys(SPLIT_FOLDERS.values())
        if split in split_of.values()
    }
    shared = len({(r.camid, r.modality) for r in records}) > len({r.camid for r in records})
    return ReIDDataset(name=name, root=root, records=records, splits=splits, shared_cameras=shared)


def _split_folders(root: Path) -> list[tuple[str, Path]]:
    named = [(SPLIT_FOLDERS[f.name.lower()], f) for f in _folders(root) if f.name.lower() in SPLIT_FOLDERS]
    return named or [("test", root)]


def _images_of_split(split: str, folder: Path) -> list[_Image]:
    folders = _folders(folder)
    named = [(MODALITY_FOLDERS[f.name.lower()], f) for f in folders if f.name.lower() in MODALITY_FOLDERS]
    if named and len(named) < len(folders):
        strangers = some(f.name for f in folders if f.name.lower() not in MODALITY_FOLDERS)
        raise DataError(
            f"'{folder}' holds folders of modalities and others ({strangers}): put people into the modalities' folders."
        )
    places: list[tuple[Modality | None, Path]] = [*named] or [(None, folder)]
    return [_Image(path, split, person, modality) for modality, place in places for path, person in _people(place)]


def _people(folder: Path) -> list[tuple[Path, str]]:
    """Image files and whom they show, in one of the two styles."""
    flat, folders = list_images(folder), _folders(folder)
    if flat and folders:
        raise DataError(
            f"'{folder}' holds both images ({flat[0].name}) and folders ({folders[0].name}): keep either one folder a "
            "person, or all images in one folder."
        )
    by_person = {person: list_images(person) for person in folders}
    if empty := [person for person, images in by_person.items() if not images]:
        raise DataError(
            f"'{empty[0]}' should be a person's folder and holds no images: put the images directly into it, or remove it."
        )
    if folders:
        return [(path, person.name) for person, images in by_person.items() for path in images]
    people = []
    for path in flat:
        match = _MARKET.fullmatch(path.name)
        if match is None:
            raise DataError(
                f"The name of '{path}' does not say whom it shows: name images <person>_c<camera>_... as in Market-1501, "
                "or make one folder a person."
            )
        if match[1] != "-1":
            people.append((path, match[1]))
    return people


def _folders(folder: Path) -> list[Path]:
    return sorted(p for p in folder.iterdir() if p.is_dir() and not p.name.startswith("."))


def _require_one_source(
    root: Path, images: Sequence[_Image], modality: Modality | None, infrared_cameras: Sequence[int] | None
) -> None:
    """The modality of every image is said once: by its folder, for all images, or by its camera."""
    if modality is not None and modality not in MODALITIES:
        raise ConfigError(f"A modality is {' or '.join(MODALITIES)}, not {modality!r}.")
    if modality is not None and infrared_cameras is not None:
        raise ConfigError("Give either the modality of all images or the infrared cameras, not both.")
    by_folder = [image for image in images if image.modality is not None]
    by_argument = modality is not None or infrared_cameras is not None
    if by_folder and by_argument:
        raise ConfigError(
            f"The modality is said twice: by the folder of '{by_folder[0].path}' and by an argument; leave the argument out."
        )
    if len(by_folder) < len(images) and not by_argument:
        first = next(image for image in images if image.modality is None)
        raise ConfigError(
            f"Nothing says whether '{first.path}' is visible or infrared: put images into folders visible and infrared, or "
            "give the modality of all images or the list of infrared cameras."
        )
    if infrared_cameras is not None and not any(_CAMERA.search(image.path.name) for image in images):
        raise ConfigError(
            f"Infrared cameras are given, but no file name in '{root}' has a camera, such as c3_0001.jpg."
        )


def _cameras(images: Sequence[_Image]) -> list[int | None]:
    """The camera in each file name; all None where no name has one."""
    matches = [_CAMERA.search(image.path.name) for image in images]
    without = [image.path for image, match in zip(images, matches, strict=True) if match is None]
    if without and len(without) < len(images):
        raise DataError(
            f"The name of '{without[0]}' has no camera, such as c1_..., and other images have one: name all of them alike."
        )
    cameras = [None if match is None else int(match[1]) for match in matches]
    if 0 in cameras:
        raise DataError(f"The name of '{images[cameras.index(0)].path}' says camera 0: cameras count from 1.")
    return cameras


def _identities(images: Sequence[_Image]) -> dict[str, int]:
    """Person -> identity: the name as a number where all names are numbers, else its place among the names from 1."""
    people = sorted({image.person for image in images})
    if all(person.isdecimal() for person in people):
        return {person: int(person) for person in people}
    return {person: place for place, person in enumerate(people, start=1)}


def _require_separate_splits(images: Sequence[_Image], pids: Mapping[str, int], complain: Complain) -> None:
    split_of: dict[int, str] = {}
    for image in images:
        other = split_of.setdefault(pids[image.person], image.split)
        if other != image.split:
            return complain(
                f"Person '{image.person}' is in the splits {other} and {image.split} ('{image.path}'), so a test would "
                "know its people: keep each person in one split, or rename different people."
            )
