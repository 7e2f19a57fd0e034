"""Which images of each person and camera make the gallery of a trial: the official draw and the seeded one."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from crossreid.errors import DataError
from crossreid.evaluation.array_files import Array
from crossreid.evaluation.embeddings import Embeddings
from crossreid.evaluation.matlab import Cells, read_matlab
from crossreid.evaluation.subsets import PersonInCamera, images_by_person

Draw = Callable[[Mapping[PersonInCamera, int], int, int], dict[PersonInCamera, Array]]
"""From the number of images of each person in each camera, the trial and the shots: places (0-based) of the images."""


def seeded_draw(counts: Mapping[PersonInCamera, int], trial: int, shots: int) -> dict[PersonInCamera, Array]:
    """The draw of AGW, DDAG, LbA and of LLCM: a generator seeded with the trial, ids ascending, then cameras, then files.

    One shot is ``random.choice`` of the sorted files, as published. More shots are ``random.sample`` of them, all of
    them where there are fewer: this is ours, the published code has one shot only.
    """
    rng = random.Random(trial)
    drawn: dict[PersonInCamera, Array] = {}
    # the generator goes on from person to person, so their order is part of the draw
    for camera, pid in sorted(counts, key=identity_first):
        files = range(counts[camera, pid])
        # choice, not sample of one: the two take different numbers from the generator
        if shots == 1:
            places = [rng.choice(files)]
        else:
            places = rng.sample(files, min(shots, len(files)))
        drawn[camera, pid] = np.array(places, dtype=np.int64)
    return drawn


def identity_first(person: PersonInCamera) -> tuple[int, int]:
    """Sorts by identity, then by camera."""
    camera, pid = person
    return pid, camera


def draw_images(people: Mapping[PersonInCamera, Array], draw: Draw, trial: int, shots: int) -> Array:
    """Some images of each person in each camera, in the order of ``people``.

    Args:
        people: (camera, pid) -> the places of all their images, by ascending frame.
        draw: which of them are taken.
        trial: number of the trial, from 0.
        shots: images to take of each.
    """
    # A draw knows numbers of images and no more, so it gives places among each person's images.
    counts = {person: len(images) for person, images in people.items()}
    drawn = draw(counts, trial, shots)
    gallery = []
    for person, images in people.items():
        gallery.append(images[drawn[person]])
    return np.concatenate(gallery)


@dataclass(frozen=True, eq=False)
class GalleryPermutations:
    """The official draw of SYSU-MM01: a permutation of each person's images in each camera for each trial.

    Attributes:
        source: where it was read, for messages.
        orders: (camera, pid) -> (T, n) places 0..n-1; people whom a camera never saw are not there.
    """

    source: str
    orders: Mapping[PersonInCamera, Array]

    @classmethod
    def from_mat(cls, path: str | Path) -> GalleryPermutations:
        """Read ``rand_perm_cam.mat`` of the dataset authors: cells camera -> pid -> (T, n) permutations of 1..n.

        Raises:
            DataError: the file is missing, is no .mat file, or holds something else.
        """
        path = Path(path)
        if not path.is_file():
            raise DataError(
                f"There is no permutation file '{path}': set protocol.permutations to the path of rand_perm_cam.mat, or "
                "protocol.draw=seeded."
            )
        content = read_matlab(path)
        if "rand_perm_cam" not in content:
            raise DataError(f"{path} has no variable 'rand_perm_cam', so it is not the gallery draw of SYSU-MM01.")
        orders: dict[PersonInCamera, Array] = {}
        for camera, people in enumerate(_cells(content["rand_perm_cam"], path), start=1):
            for pid, order in enumerate(_cells(people, path), start=1):
                if np.size(order):  # an absent person is an empty (T, 0)
                    orders[camera, pid] = _order(order, path, camera, pid)
        return cls(str(path), orders)

    def count(self, camera: int, pid: int) -> int:
        """Number of images the file knows of a person in a camera, 0 where there is none."""
        order = self.orders.get((camera, pid))
        if order is None:
            return 0
        return int(order.shape[1])

    def __call__(self, counts: Mapping[PersonInCamera, int], trial: int, shots: int) -> dict[PersonInCamera, Array]:
        """The first ``shots`` entries of each permutation (all, where there are fewer).

        Raises:
            DataError: the file has fewer trials, or is without one of the people.
        """
        drawn = {}
        for camera, pid in counts:
            order = self.orders.get((camera, pid))
            if order is None:
                raise DataError(f"{self.source} has no images of person {pid} in camera {camera}.")
            if trial >= len(order):
                raise DataError(f"{self.source} holds {len(order)} trials, so trial {trial + 1} cannot be drawn.")
            drawn[camera, pid] = order[trial, :shots]
        return drawn

    def descending(self, counts: Mapping[PersonInCamera, int], trial: int, shots: int) -> dict[PersonInCamera, Array]:
        """As a call, for files that are counted from the last one: place p becomes n - 1 - p.

        AlignGAN's and JSIA-ReID's code sorts file names in descending order before it takes the official permutation.
        """
        drawn: dict[PersonInCamera, Array] = {}
        for person, places in self(counts, trial, shots).items():
            drawn[person] = counts[person] - 1 - places
        return drawn

    def check(self, embeddings: Embeddings, cameras: Sequence[int], ids: Sequence[int] | None) -> None:
        """Verify that embeddings and file agree on every person's images in these cameras.

        Raises:
            DataError: names the camera, the person and both counts; or frames that are not 0..n-1.
        """
        people = images_by_person(embeddings, cameras, ids)
        pids = set(embeddings.pids.tolist())
        if ids is not None:
            pids = set(ids)
        # of both sides, since either can lack a person
        known = set(people)
        for camera, pid in self.orders:
            if camera in cameras and pid in pids:
                known.add((camera, pid))
        for camera, pid in sorted(known):
            images = people.get((camera, pid), np.empty(0, np.int64))
            count = len(images)
            expected = self.count(camera, pid)
            if count != expected:
                raise DataError(
                    f"Camera {camera}, person {pid}: the permutation file {self.source} has {expected} images "
                    f"and the embeddings have {count}."
                )
            if not np.array_equal(embeddings.frames[images], np.arange(count)):
                raise DataError(
                    f"Camera {camera}, person {pid}: frames of the embeddings should be 0 to {count - 1}, each once "
                    "(the place of an image among that person's images in that camera, in ascending file order)."
                )


def _cells(value: Array | Cells, path: Path) -> Cells:
    """The entries of a MATLAB cell array."""
    if not isinstance(value, list):
        raise DataError(f"'rand_perm_cam' in {path} is not a cell of cells (camera, then person).")
    return value


def _order(value: Array | Cells, path: Path, camera: int, pid: int) -> Array:
    """(T, n) permutations of 1..n as places 0..n-1."""
    if isinstance(value, list):
        raise DataError(f"{path} should hold a (trials, images) matrix for camera {camera}, person {pid}.")
    each_once = np.broadcast_to(np.arange(1, value.shape[1] + 1), value.shape)
    if not np.array_equal(np.sort(value, axis=1), each_once):
        raise DataError(f"{path} holds no permutation of 1..{value.shape[1]} for camera {camera}, person {pid}.")
    return value.astype(np.int64) - 1
