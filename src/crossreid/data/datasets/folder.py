"""One's own images in folders: no lists, no counts, everything from names.

Two styles, told apart by what lies in the folder:

* **one folder a person**, any file names: ``anna/c2_0001.jpg``. Folder names that are all numbers are the identities;
  otherwise people are numbered from 1 in the order of their names, over all splits. Names that differ in their Unicode form
  only (an accent as a sign of its own or not) are one person.
* **names that say the person**, all images in one folder: ``0002_c1s1_000451_03.jpg`` shows person 2, seen by camera 1.

In both, the camera is what the file name says (:mod:`~crossreid.data.datasets.names`): ``c`` or ``cam`` and a number at the
start or after an underscore (``c2_0001.jpg``, ``anna_cam2_0001.jpg``, and the names of Market-1501 and DukeMTMC-reID), the
third number in names of MSMT17, the number after ``C`` in names of MARS. If no file name of the set has one, visible images
are camera 1 and infrared ones camera 2: enough to search across modalities, not within one, where a match must come from
another camera.

* **Junk and distractors** follow Market-1501: images of person ``-1`` (MARS: ``00-1``) are not read. Where file names say
  person ``0000``, their images are in test galleries only: they query nothing, match nobody and are not trained on. In names
  of MSMT17 person 0 is a person, as in folders ``0000`` whose file names say no person.
* **Cameras that are numbered per modality** (visible 1 and 2, infrared 1 and 2) are different cameras: where a number is in
  both modalities, all infrared cameras of the set are counted from 101 (from 1001 where there are that many).

Around them, both optional, in this order:

* **splits**: ``train``, ``val`` and ``test``; ``query`` and ``gallery`` are both ``test``, and the protocol keeps them apart
  (``protocol.queries``); Market-1501's ``bounding_box_train`` and ``bounding_box_test`` are ``train`` and ``gallery``, MARS's
  ``bbox_train`` and ``bbox_test`` are ``train`` and ``test``. Without such a folder everything is ``test``; beside one,
  other folders are not read.
* **modalities**: ``visible``, ``rgb``, ``vis`` or ``color``; ``infrared``, ``ir``, ``nir`` or ``thermal``. Without them
  the modality is an argument: one for all images, or the numbers of the infrared cameras.

Capital letters in these folder names and in file endings do not matter. Example::

    people/train/visible/anna/c1_0001.jpg       people/query/0002_c3s1_000451_03.jpg
    people/train/infrared/anna/c2_0001.jpg      people/gallery/0002_c1s1_000551_01.jpg
    people/test/visible/ben/c1_0001.jpg         (infrared_cameras=[3, 6])
"""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from crossreid.data.datasets.base import FoundImage, ReIDDataset, as_records
from crossreid.data.datasets.lists import (
    IMAGE_SUFFIXES,
    Complain,
    Skipped,
    as_number,
    is_folder,
    kind_of,
    list_entries,
    list_folders,
    list_images,
    refuse,
    some,
)
from crossreid.data.datasets.names import JUNK, NameReading, read_name, require_one_numbering
from crossreid.data.records import MODALITIES, Modality, Role
from crossreid.errors import ConfigError, DataError

SPLIT_FOLDERS: Mapping[str, str] = {
    "train": "train",
    "bounding_box_train": "train",
    "bbox_train": "train",
    "val": "val",
    "test": "test",
    "bbox_test": "test",
    "query": "test",
    "gallery": "test",
    "bounding_box_test": "test",
}
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


class _Image(NamedTuple):
    """An image file, where it lies, whom it shows by name, and what its name says."""

    path: Path
    place: _Place
    person: str
    reading: NameReading

    @property
    def distractor(self) -> bool:
        """It shows somebody who is none of the persons sought."""
        return self.reading.distractor and as_number(self.person) == 0


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
        ConfigError: the modality is said twice, or not at all, or of a camera that no file name has.
        DataError: the folder, or a person's folder, is missing or without images, names fit neither style, some file
            names have a camera and some have none, names are of two numberings, or an identity is in two splits.
    """
    if not is_folder(root):
        raise DataError(f"There is no image folder '{root}': set data.root to the folder that holds your images.")
    skipped = Skipped()
    read = [image for place in _places(root, skipped) for image in _images_of(place, skipped)]
    found = [image for image in read if not (image.place.split == "train" and image.distractor)]
    for image in read:
        if image.place.split == "train" and image.distractor:
            skipped.add("distractor (0000), not trained on", image.path)
    if not found:
        raise DataError(
            f"There are no images in '{root}': they lie in one folder a person, or are named <person>_c<camera>_... as "
            f"in Market-1501; files end in {', '.join(sorted(IMAGE_SUFFIXES))}."
        )
    require_one_numbering([(image.path, image.reading) for image in found])
    _require_one_source(root, found, modality, infrared_cameras)
    pids = _identities(found)
    _require_separate_splits(found, pids, complain)

    seen = [_modality_of(image, modality, infrared_cameras) for image in found]
    cameras, notes = _cameras(found, seen)
    images = []
    for image, seen_as, camera, pid in zip(found, seen, cameras, pids, strict=True):
        role: Role = "distractor" if image.distractor else image.place.role
        images.append(FoundImage(image.path, pid, camera, seen_as, role))
    records = as_records(images)

    by_path = {image.path: image for image in found}
    split_of = [by_path[record.path].place.split for record in records]
    way_of = [by_path[record.path].reading.pattern.name for record in records]
    in_order = [split for split in dict.fromkeys(SPLIT_FOLDERS.values()) if split in split_of]
    return ReIDDataset(
        name=name,
        root=root,
        records=records,
        splits={split: np.flatnonzero([other == split for other in split_of]) for split in in_order},
        names={way: np.flatnonzero([other == way for other in way_of]) for way in dict.fromkeys(way_of)},
        skipped=skipped.by_reason(),
        notes=(*notes, *_notes_on_people(found)),
    )


# ---------------------------------------------------------------------- what lies where


def _places(root: Path, skipped: Skipped) -> list[_Place]:
    """Folders of people, by split and modality."""
    folders = list_folders(root)
    named = [folder for folder in folders if folder.name.lower() in SPLIT_FOLDERS]
    _refuse_files(root, SPLIT_FOLDERS, "a split's images")
    if not named:
        return _places_of_split(root, "test", "any")
    for folder in folders:
        if folder not in named:
            skipped.add("folder beside those of the splits", folder)
    _count_images_beside(root, skipped)
    places = []
    for folder in named:
        word = folder.name.lower()
        places += _places_of_split(folder, SPLIT_FOLDERS[word], ROLE_FOLDERS.get(word, "any"))
    return places


def _count_images_beside(folder: Path, skipped: Skipped) -> None:
    """Count images that lie beside the folders of splits, and so in none of them."""
    for path in list_images(folder, beside_folders=True):
        skipped.add("image beside the folders of the splits", path)


def _places_of_split(folder: Path, split: str, role: Role) -> list[_Place]:
    folders = list_folders(folder)
    named = [inside for inside in folders if inside.name.lower() in MODALITY_FOLDERS]
    _refuse_files(folder, MODALITY_FOLDERS, "a modality's images")
    if named and len(named) < len(folders):
        strangers = some(inside.name for inside in folders if inside not in named)
        raise DataError(
            f"'{folder}' holds folders of modalities and others ({strangers}): put people into the modalities' folders."
        )
    if not named:
        return [_Place(folder, split, role, None)]
    beside = list_images(folder, beside_folders=True)
    if beside:
        raise DataError(
            f"'{folder}' holds folders of modalities and an image ({beside[0].name}): put it into one of the folders."
        )
    return [_Place(inside, split, role, MODALITY_FOLDERS[inside.name.lower()]) for inside in named]


def _refuse_files(folder: Path, names: Mapping[str, object], what: str) -> None:
    """Raise :class:`DataError` where a file, or a link that leads nowhere, has a name that only a folder can have."""
    for path in list_entries(folder):
        if path.name.lower() in names and kind_of(path) != "folder":
            raise DataError(f"'{path}' is no folder where {what} belong ({kind_of(path)}): remove or rename it.")


def _images_of(place: _Place, skipped: Skipped) -> list[_Image]:
    """Image files and whom they show, in one of the two styles; junk is counted and left out."""
    flat = list_images(place.folder, skipped, beside_folders=True)
    folders = list_folders(place.folder)
    if flat and folders:
        raise DataError(
            f"'{place.folder}' holds both images ({flat[0].name}) and folders ({folders[0].name}): keep either one folder "
            "a person, or all images in one folder."
        )
    if folders:
        images = [image for folder in folders for image in _images_of_person(folder, place, skipped)]
    else:
        images = [_Image(path, place, _person_in(path), read_name(path)) for path in flat]
    kept = []
    for image in images:
        if image.reading.junk or JUNK.fullmatch(image.person):
            skipped.add("junk (person -1)", image.path)
        else:
            kept.append(image)
    return kept


def _images_of_person(folder: Path, place: _Place, skipped: Skipped) -> list[_Image]:
    paths = list_images(folder, skipped)
    if not paths:
        raise DataError(
            f"'{folder}' should be a person's folder and holds no images: put the images directly into it, or remove it."
        )
    person = unicodedata.normalize("NFC", folder.name)
    return [_Image(path, place, person, read_name(path)) for path in paths]


def _person_in(path: Path) -> str:
    """The person that a file's name says."""
    person = read_name(path).person
    if person is None:
        raise DataError(
            f"The name of '{path}' does not say whom it shows: name images <person>_c<camera>_... as in Market-1501, "
            "or make one folder a person."
        )
    return person


# ---------------------------------------------------------------------- what it means


def _require_one_source(
    root: Path, images: Sequence[_Image], modality: Modality | None, infrared_cameras: Sequence[int] | None
) -> None:
    """The modality of every image is said once: by its folder, for all images, or by its camera."""
    if modality is not None and modality not in MODALITIES:
        raise ConfigError(f"A modality is {' or '.join(MODALITIES)}, not {modality!r}.")
    if modality is not None and infrared_cameras is not None:
        raise ConfigError("Give either the modality of all images or the infrared cameras, not both.")
    by_folder = [image for image in images if image.place.modality is not None]
    by_argument = modality is not None or infrared_cameras is not None
    if by_folder and by_argument:
        raise ConfigError(
            f"The modality is said twice: by the folder of '{by_folder[0].path}' and by an argument; leave the argument out."
        )
    if len(by_folder) < len(images) and not by_argument:
        first = next(image for image in images if image.place.modality is None)
        raise ConfigError(
            f"Nothing says whether '{first.path}' is visible or infrared: put images into folders visible and infrared, or "
            "give the modality of all images or the list of infrared cameras."
        )
    if infrared_cameras is None:
        return
    cameras = sorted({image.reading.camera for image in images if image.reading.camera is not None})
    if not cameras:
        raise ConfigError(
            f"Infrared cameras are given, but no file name in '{root}' has a camera, such as c3_0001.jpg."
        )
    if absent := sorted(set(infrared_cameras) - set(cameras)):
        raise ConfigError(
            f"data.infrared_cameras names {some(absent)}, but the file names in '{root}' have the cameras {some(cameras)}: "
            "name cameras that there are."
        )


def _modality_of(image: _Image, modality: Modality | None, infrared_cameras: Sequence[int] | None) -> Modality:
    """What the image's folder says, else what is said of all images, else what its camera is."""
    said = image.place.modality or modality
    if said is not None:
        return said
    return MODALITIES[image.reading.camera in (infrared_cameras or ())]


def _cameras(images: Sequence[_Image], seen: Sequence[Modality]) -> tuple[list[int], list[str]]:
    """The camera of each image, and what is to be said of the cameras.

    A number in both modalities is two cameras: as one, they would lose their matches by the rule that leaves out images
    of the probe's person from the probe's camera.
    """
    by_modality: dict[Modality, set[int]] = {modality: set() for modality in MODALITIES}
    for image, modality in zip(images, seen, strict=True):
        if image.reading.camera is not None:
            by_modality[modality].add(image.reading.camera)
    shared = sorted(by_modality["visible"] & by_modality["infrared"])
    highest = max((camera for cameras in by_modality.values() for camera in cameras), default=0)
    start = 100
    while start <= highest:
        start *= 10
    cameras = []
    for image, modality in zip(images, seen, strict=True):
        camera = image.reading.camera
        if camera is None:
            camera = 1 + MODALITIES.index(modality)
        elif shared and modality == "infrared":
            camera += start
        cameras.append(camera)
    if not shared:
        return cameras, []
    infrared = sorted(by_modality["infrared"])
    counted = some(f"{camera} as {camera + start}" for camera in infrared)
    note = (
        f"Cameras {some(shared)} have visible and infrared images and are taken as two cameras each: the infrared ones are "
        f"counted {counted}."
    )
    return cameras, [note]


def _identities(images: Sequence[_Image]) -> list[int]:
    """The identity of each image.

    Where all names are numbers, it is the number, or its place among the numbers if one is too long for 64 bits; else
    it is the place of the name among the names, from 1. Each distractor has a negative one of its own, so that no two
    of them match.
    """
    people = sorted({image.person for image in images if not image.distractor})
    if all(person.isdecimal() for person in people):
        numbers = {person: int(person) for person in people}
        if any(as_number(str(number)) is None for number in numbers.values()):
            places = {number: place for place, number in enumerate(sorted({*numbers.values()}), start=1)}
            numbers = {person: places[number] for person, number in numbers.items()}
    else:
        numbers = {person: place for place, person in enumerate(people, start=1)}
    identities = []
    distractors = 0
    for image in images:
        distractors += image.distractor
        identities.append(-distractors if image.distractor else numbers[image.person])
    return identities


def _require_separate_splits(images: Sequence[_Image], pids: Sequence[int], complain: Complain) -> None:
    split_of: dict[int, str] = {}
    for image, pid in zip(images, pids, strict=True):
        other = split_of.setdefault(pid, image.place.split)
        if other != image.place.split:
            return complain(
                f"Person '{image.person}' is in the splits {other} and {image.place.split} ('{image.path}'), so a test "
                "would know its people: keep each person in one split, or rename different people."
            )


def _notes_on_people(images: Sequence[_Image]) -> list[str]:
    """What is to be said of distractors."""
    distractors = [image.path for image in images if image.distractor]
    if not distractors:
        return []
    return [
        f"Person 0000 is nobody in particular, as in Market-1501: {len(distractors)} images (such as '{distractors[0]}') are "
        "in galleries only and match nobody."
    ]
