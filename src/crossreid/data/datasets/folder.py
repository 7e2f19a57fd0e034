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

* **splits**: ``train``, ``val``, ``calibration`` (persons whom nothing but a calibration looks at) and ``test``; ``query``
  and ``gallery`` are both ``test``, and the protocol keeps them apart (``protocol.queries``); Market-1501's
  ``bounding_box_train`` and ``bounding_box_test`` are ``train`` and ``gallery``, MARS's ``bbox_train`` and ``bbox_test`` are
  ``train`` and ``test``. Without such a folder everything is ``test``, or persons are divided
  (:mod:`~crossreid.data.datasets.division`); beside one, other folders are not read.
* **modalities**: ``visible``, ``rgb``, ``vis`` or ``color``; ``infrared``, ``ir``, ``nir`` or ``thermal``. Without them
  the modality is an argument: one for all images, or the numbers of the infrared cameras.

Capital letters in these folder names and in file endings do not matter. Example::

    people/train/visible/anna/c1_0001.jpg       people/query/0002_c3s1_000451_03.jpg
    people/train/infrared/anna/c2_0001.jpg      people/gallery/0002_c1s1_000551_01.jpg
    people/test/visible/ben/c1_0001.jpg         (infrared_cameras=[3, 6])
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from crossreid.data.datasets.base import FoundImage, ReIDDataset, as_records
from crossreid.data.datasets.division import PARTS, divide_persons
from crossreid.data.datasets.folder_images import SPLITS, FolderImage, all_images, has_splits
from crossreid.data.datasets.lists import (
    Complain,
    Skipped,
    as_number,
    is_folder,
    refuse,
    some,
)
from crossreid.data.datasets.names import require_one_numbering
from crossreid.data.records import MODALITIES, Modality
from crossreid.errors import ConfigError, DataError


def read_folder(
    root: Path,
    *,
    modality: Modality | None = None,
    infrared_cameras: Sequence[int] | None = None,
    divide: Sequence[float] | None = None,
    divide_seed: int = 0,
    name: str = "folder",
    complain: Complain = refuse,
) -> ReIDDataset:
    """List the images of a folder of one's own; the module says which names mean what.

    A set of one modality can be scored within it. Identities without a partner in the other modality are read too.

    Args:
        root: the folder.
        modality: the modality of all images, where no folder says it.
        infrared_cameras: the cameras that are infrared, the others being visible, where no folder says it.
        divide: shares of persons for training, calibration and test, where no folder says who is for what.
        divide_seed: of the division.
        name: name of the dataset in tables.
        complain: told of every problem after which reading can go on; raises by default.

    Raises:
        ConfigError: the modality is said twice, or not at all, or of a camera that no file name has; or folders say the splits
            and persons are to be divided all the same.
        DataError: the folder, or a person's folder, is missing or without images, names fit neither style, some file
            names have a camera and some have none, names are of two numberings, or an identity is in two splits.
    """
    if not is_folder(root):
        raise DataError(f"There is no image folder '{root}': set data.root to the folder that holds your images.")
    skipped = Skipped()
    images = all_images(root, skipped, complain)
    require_one_numbering([(image.path, image.reading) for image in images])
    _require_one_source(root, images, modality, infrared_cameras)
    pids = _identities(images)
    _require_separate_splits(images, pids, complain)

    modalities = [_modality_of(image, modality, infrared_cameras) for image in images]
    cameras, notes = _cameras(images, modalities)
    found = _found_images(images, pids, cameras, modalities)
    records = as_records(found)

    split_of: dict[int, str] = {}
    if divide is not None:
        split_of = _divided(root, found, images, pids, divide, divide_seed)
        notes = [*notes, _note_on_division(split_of, divide, divide_seed)]
    image_of = {image.path: image for image in images}  # records have an order of their own
    rows_of_split: dict[str, list[int]] = {}
    rows_of_pattern: dict[str, list[int]] = {}
    for record in records:
        image = image_of[record.path]
        split = split_of.get(record.pid, image.place.split)
        rows_of_split.setdefault(split, []).append(record.row)
        rows_of_pattern.setdefault(image.reading.pattern.name, []).append(record.row)
    splits = {}
    for split in SPLITS:  # in this order, whichever images come first
        if split in rows_of_split:
            splits[split] = _as_rows(rows_of_split[split])
    return ReIDDataset(
        name=name,
        root=root,
        records=records,
        splits=splits,
        names={pattern: _as_rows(rows) for pattern, rows in rows_of_pattern.items()},
        skipped=skipped.by_reason(),
        notes=(*notes, *_notes_on_people(images)),
    )


def _found_images(
    images: Sequence[FolderImage], pids: Sequence[int], cameras: Sequence[int], modalities: Sequence[Modality]
) -> list[FoundImage]:
    found = []
    for image, pid, camera, modality in zip(images, pids, cameras, modalities, strict=True):
        role = image.place.role
        if image.distractor:
            role = "distractor"
        found.append(FoundImage(image.path, pid, camera, modality, role))
    return found


def _divided(
    root: Path,
    found: Sequence[FoundImage],
    images: Sequence[FolderImage],
    pids: Sequence[int],
    shares: Sequence[float],
    seed: int,
) -> dict[int, str]:
    """Identity -> split; distractors stay in the test."""
    if has_splits(root):
        raise ConfigError(
            f"The folders in '{root}' say who is for training and who for the test: leave data.divide out."
        )
    names: dict[int, str] = {}
    modalities: dict[int, set[Modality]] = {}  # in which a person is seen
    for image, pid, seen in zip(images, pids, found, strict=True):
        if not image.distractor:
            names.setdefault(pid, image.person)
            modalities.setdefault(pid, set()).add(seen.modality)
    paired = {pid for pid, both in modalities.items() if len(both) == len(MODALITIES)}
    return divide_persons(names, paired, shares, seed)


def _note_on_division(split_of: Mapping[int, str], shares: Sequence[float], seed: int) -> str:
    splits = list(split_of.values())
    trained, kept, tested = (splits.count(part) for part in PARTS)
    listed = ",".join(f"{share:g}" for share in shares)
    return (
        f"No folder says who is for what: of the {len(split_of)} persons {trained} are trained on, {kept} are kept for "
        f"calibration and {tested} for the test (data.divide=[{listed}] data.divide_seed={seed})."
    )


def _as_rows(rows: Sequence[int]) -> npt.NDArray[np.int64]:
    return np.array(rows, dtype=np.int64)


# ---------------------------------------------------------------------- what it means


def _require_one_source(
    root: Path, images: Sequence[FolderImage], modality: Modality | None, infrared_cameras: Sequence[int] | None
) -> None:
    """The modality of every image is said once: by its folder, for all images, or by its camera."""
    if modality is not None and modality not in MODALITIES:
        raise ConfigError(f"A modality is {' or '.join(MODALITIES)}, not {modality!r}.")
    if modality is not None and infrared_cameras is not None:
        raise ConfigError("Give either the modality of all images or the infrared cameras, not both.")
    by_argument = modality is not None or infrared_cameras is not None
    for image in images:
        by_folder = image.place.modality is not None
        if by_folder and by_argument:
            raise ConfigError(
                f"The modality is said twice: by the folder of '{image.path}' and by an argument; leave the argument out."
            )
        if not by_folder and not by_argument:
            raise ConfigError(
                f"Nothing says whether '{image.path}' is visible or infrared: put images into folders visible and infrared, "
                "or give the modality of all images or the list of infrared cameras."
            )
    if infrared_cameras is not None:
        _require_cameras(root, images, infrared_cameras)


def _require_cameras(root: Path, images: Sequence[FolderImage], infrared_cameras: Sequence[int]) -> None:
    """File names have the cameras that are said to be infrared."""
    cameras: set[int] = set()
    for image in images:
        if image.reading.camera is not None:
            cameras.add(image.reading.camera)
    if not cameras:
        raise ConfigError(
            f"Infrared cameras are given, but no file name in '{root}' has a camera, such as c3_0001.jpg."
        )
    absent = sorted(set(infrared_cameras) - cameras)
    if absent:
        raise ConfigError(
            f"data.infrared_cameras names {some(absent)}, but the file names in '{root}' have the cameras "
            f"{some(sorted(cameras))}: name cameras that there are."
        )


def _modality_of(image: FolderImage, modality: Modality | None, infrared_cameras: Sequence[int] | None) -> Modality:
    """What the image's folder says, else what is said of all images, else what its camera is."""
    said = image.place.modality or modality
    if said is not None:
        return said
    if infrared_cameras and image.reading.camera in infrared_cameras:
        return "infrared"
    return "visible"


def _cameras(images: Sequence[FolderImage], modalities: Sequence[Modality]) -> tuple[list[int], list[str]]:
    """The camera of each image, and what is to be said of the cameras.

    A number in both modalities is two cameras: as one, they would lose their matches by the rule that leaves out images
    of the probe's person from the probe's camera.
    """
    numbers: dict[Modality, set[int]] = {"visible": set(), "infrared": set()}
    for image, modality in zip(images, modalities, strict=True):
        if image.reading.camera is not None:
            numbers[modality].add(image.reading.camera)
    shared = sorted(numbers["visible"] & numbers["infrared"])
    highest = max(numbers["visible"] | numbers["infrared"], default=0)
    start = 100  # behind all numbers that there are
    while start <= highest:
        start *= 10
    cameras = []
    for image, modality in zip(images, modalities, strict=True):
        camera = image.reading.camera
        if camera is None:  # then no name has one: a set with both is refused before
            camera = 1 + MODALITIES.index(modality)
        elif shared and modality == "infrared":
            camera += start
        cameras.append(camera)
    if not shared:
        return cameras, []
    new_numbers = some(f"{camera} as {camera + start}" for camera in sorted(numbers["infrared"]))
    note = (
        f"Cameras {some(shared)} have visible and infrared images and are taken as two cameras each: the infrared ones are "
        f"counted {new_numbers}."
    )
    return cameras, [note]


def _identities(images: Sequence[FolderImage]) -> list[int]:
    """The identity of each image.

    Where all names are numbers, it is the number, or its place among the numbers if one is too long for 64 bits; else
    it is the place of the name among the names, from 1. Each distractor has a negative one of its own, so that no two
    of them match.
    """
    people = sorted({image.person for image in images if not image.distractor})
    identity_of = _numbers_of(people)
    identities = []
    distractors = 0
    for image in images:
        if image.distractor:
            distractors += 1
            identities.append(-distractors)
        else:
            identities.append(identity_of[image.person])
    return identities


def _numbers_of(people: Sequence[str]) -> dict[str, int]:
    """Person -> identity, of names in ascending order."""
    if not all(map(str.isdecimal, people)):
        return {person: place for place, person in enumerate(people, start=1)}
    numbers = {person: int(person) for person in people}
    if all(as_number(str(number)) is not None for number in numbers.values()):
        return numbers
    in_order = sorted(set(numbers.values()))  # 7 and 007 are one person
    places = {number: place for place, number in enumerate(in_order, start=1)}
    return {person: places[number] for person, number in numbers.items()}


def _require_separate_splits(images: Sequence[FolderImage], pids: Sequence[int], complain: Complain) -> None:
    split_of: dict[int, str] = {}
    for image, pid in zip(images, pids, strict=True):
        other = split_of.setdefault(pid, image.place.split)
        if other != image.place.split:
            return complain(
                f"Person '{image.person}' is in the splits {other} and {image.place.split} ('{image.path}'), so a test "
                "would know its people: keep each person in one split, or rename different people."
            )


def _notes_on_people(images: Sequence[FolderImage]) -> list[str]:
    """What is to be said of distractors."""
    distractors = [image.path for image in images if image.distractor]
    if not distractors:
        return []
    return [
        f"Person 0000 is nobody in particular, as in Market-1501: {len(distractors)} images (such as '{distractors[0]}') are "
        "in galleries only and match nobody."
    ]
