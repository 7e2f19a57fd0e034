"""Image files in a folder of one's own: where they lie, and what the names of files and folders say.

:mod:`crossreid.data.datasets.folder` has the rules, and makes persons and cameras of them.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from crossreid.data.datasets.lists import (
    IMAGE_SUFFIXES,
    Complain,
    Skipped,
    as_number,
    kind_of,
    list_entries,
    list_folders,
    list_images,
    refuse,
    some,
)
from crossreid.data.datasets.names import JUNK, NameReading, read_name
from crossreid.data.records import MODALITIES, Modality, Role
from crossreid.errors import DataError

SPLIT_FOLDERS: Mapping[str, str] = {
    "train": "train",
    "bounding_box_train": "train",
    "bbox_train": "train",
    "val": "val",
    "calibration": "calibration",
    "test": "test",
    "bbox_test": "test",
    "query": "test",
    "gallery": "test",
    "bounding_box_test": "test",
}
SPLITS = ("train", "val", "calibration", "test")
ROLE_FOLDERS: Mapping[str, Role] = {"query": "query", "gallery": "gallery", "bounding_box_test": "gallery"}
MODALITY_FOLDERS: Mapping[str, Modality] = {
    **dict.fromkeys(("visible", "rgb", "vis", "color"), MODALITIES[0]),
    **dict.fromkeys(("infrared", "ir", "nir", "thermal"), MODALITIES[1]),
}


class _Place(NamedTuple):
    """A folder of people, its split, the role of its images, and their modality where a folder says it."""

    folder: Path
    split: str
    role: Role
    modality: Modality | None


class FolderImage(NamedTuple):
    """An image file, where it lies, whom it shows by name, and what its name says."""

    path: Path
    place: _Place
    person: str
    reading: NameReading

    @property
    def distractor(self) -> bool:
        """It shows somebody who is none of the persons sought."""
        return self.reading.distractor and as_number(self.person) == 0


def has_splits(root: Path) -> bool:
    """Folders say who is for training and who for the test."""
    return bool(_part_by_name(list_folders(root), SPLIT_FOLDERS)[0])


def all_images(root: Path, skipped: Skipped, complain: Complain = refuse) -> list[FolderImage]:
    """The images of all splits; distractors that would be trained on are counted and left out.

    Args:
        root: the folder.
        skipped: takes what is not read.
        complain: told of a person's folder without images; raises by default.

    Raises:
        DataError: there is none.
    """
    images_of_places: list[FolderImage] = []
    for place in _places(root, skipped):
        images_of_places += _images_of(place, skipped, complain)
    images = []
    for image in images_of_places:
        if image.distractor and image.place.split == "train":
            skipped.add("distractor (0000), not trained on", image.path)
        else:
            images.append(image)
    if not images:
        raise DataError(
            f"There are no images in '{root}': they lie in one folder a person, or are named <person>_c<camera>_... as "
            f"in Market-1501; files end in {', '.join(sorted(IMAGE_SUFFIXES))}."
        )
    return images


def _places(root: Path, skipped: Skipped) -> list[_Place]:
    """Folders of people, by split and modality."""
    splits, others = _part_by_name(list_folders(root), SPLIT_FOLDERS)
    _refuse_files(root, SPLIT_FOLDERS, "a split's images")
    if not splits:
        return _places_of_split(root, "test", "any")
    for folder in others:
        skipped.add("folder beside those of the splits", folder)
    _count_images_beside(root, skipped)
    places = []
    for folder in splits:
        word = folder.name.lower()
        places += _places_of_split(folder, SPLIT_FOLDERS[word], ROLE_FOLDERS.get(word, "any"))
    return places


def _part_by_name(folders: Sequence[Path], names: Mapping[str, object]) -> tuple[list[Path], list[Path]]:
    """Folders that have one of the names, whatever the capital letters, and the others."""
    named = []
    others = []
    for folder in folders:
        if folder.name.lower() in names:
            named.append(folder)
        else:
            others.append(folder)
    return named, others


def _count_images_beside(folder: Path, skipped: Skipped) -> None:
    """Count images that lie beside the folders of splits, and so in none of them."""
    for path in list_images(folder, beside_folders=True):
        skipped.add("image beside the folders of the splits", path)


def _places_of_split(folder: Path, split: str, role: Role) -> list[_Place]:
    modalities, others = _part_by_name(list_folders(folder), MODALITY_FOLDERS)
    _refuse_files(folder, MODALITY_FOLDERS, "a modality's images")
    if not modalities:
        return [_Place(folder, split, role, None)]
    if others:
        strangers = some(other.name for other in others)
        raise DataError(
            f"'{folder}' holds folders of modalities and others ({strangers}): put people into the modalities' folders."
        )
    beside = list_images(folder, beside_folders=True)
    if beside:
        raise DataError(
            f"'{folder}' holds folders of modalities and an image ({beside[0].name}): put it into one of the folders."
        )
    return [_Place(inside, split, role, MODALITY_FOLDERS[inside.name.lower()]) for inside in modalities]


def _refuse_files(folder: Path, names: Mapping[str, object], what: str) -> None:
    """Raise :class:`DataError` where a file, or a link that leads nowhere, has a name that only a folder can have."""
    for path in list_entries(folder):
        if path.name.lower() in names and kind_of(path) != "folder":
            raise DataError(f"'{path}' is no folder where {what} belong ({kind_of(path)}): remove or rename it.")


def _images_of(place: _Place, skipped: Skipped, complain: Complain) -> list[FolderImage]:
    """Image files and whom they show, in one of the two styles; junk is counted and left out."""
    flat = list_images(place.folder, skipped, beside_folders=True)
    folders = list_folders(place.folder)
    if flat and folders:
        raise DataError(
            f"'{place.folder}' holds both images ({flat[0].name}) and folders ({folders[0].name}): keep either one folder "
            "a person, or all images in one folder."
        )
    images: list[FolderImage] = []
    for folder in folders:
        images += _images_of_person(folder, place, skipped, complain)
    for path in flat:
        images.append(FolderImage(path, place, _person_in(path), read_name(path)))
    images_of_people = []
    for image in images:
        if image.reading.junk or JUNK.fullmatch(image.person):
            skipped.add("junk (person -1)", image.path)
        else:
            images_of_people.append(image)
    return images_of_people


def _images_of_person(folder: Path, place: _Place, skipped: Skipped, complain: Complain) -> list[FolderImage]:
    paths = list_images(folder, skipped)
    if not paths:
        complain(
            f"'{folder}' should be a person's folder and holds no images: put the images directly into it, or remove it."
        )
    person = unicodedata.normalize("NFC", folder.name)  # an accent may be a sign of its own or not
    return [FolderImage(path, place, person, read_name(path)) for path in paths]


def _person_in(path: Path) -> str:
    """The person that a file's name says."""
    person = read_name(path).person
    if person is None:
        raise DataError(
            f"The name of '{path}' does not say whom it shows: name images <person>_c<camera>_... as in Market-1501, "
            "or make one folder a person."
        )
    return person
