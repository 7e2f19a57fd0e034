"""Who belongs to which split and appears in which camera, with the gaps that SYSU-MM01 has."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np

from crossreid.settings.data import SyntheticPeople

Split = Literal["train", "val", "test"]
SPLITS: tuple[Split, ...] = ("train", "val", "test")
CAMERAS: tuple[int, ...] = (1, 2, 3, 4, 5, 6)
INFRARED_CAMERAS: frozenset[int] = frozenset({3, 6})

_STREAM = 1  # keeps this module's random numbers apart from those of the pictures
_INDOOR_SHARE = 0.6  # of the test people appear in the two indoor visible cameras (56 of 96 in SYSU-MM01)
_GAP = 0.05  # of the people miss one of the cameras that nearly everyone passes
_TRAIN_SHARE = {1: 0.66, 2: 0.66, 3: 0.98, 4: 0.95, 5: 0.98, 6: 0.68}


@dataclass(frozen=True, slots=True)
class RosterEntry:
    """One identity: 1-based ``pid``, its split, and the cameras (ascending) in which it appears."""

    pid: int
    split: Split
    cameras: tuple[int, ...]


def make_roster(people: SyntheticPeople) -> list[RosterEntry]:
    """All identities in ascending order of pid; the splits are interleaved, as in SYSU-MM01."""
    rng = np.random.default_rng((people.seed, _STREAM))
    splits: list[Split] = []
    for split, size in zip(SPLITS, (people.train_ids, people.val_ids, people.test_ids), strict=True):
        splits += [split] * size
    order = rng.permutation(len(splits))
    # exactly that share of the test people, in a random order
    indoor = iter(rng.permutation(people.test_ids) < round(_INDOOR_SHARE * people.test_ids))
    roster = []
    for pid, place in enumerate(order, start=1):
        split = splits[place]
        roster.append(RosterEntry(pid, split, _cameras(split, indoor, rng)))
    return roster


def _cameras(split: Split, indoor: Iterator[np.bool_], rng: np.random.Generator) -> tuple[int, ...]:
    """The cameras that one person passes; ``indoor`` says it of one test person after the other."""
    if split == "train":
        cameras = set()
        for camera in CAMERAS:  # each is drawn, in this order
            if rng.random() < _TRAIN_SHARE[camera]:
                cameras.add(camera)
        if not cameras & INFRARED_CAMERAS:  # both modalities, or nobody could be trained on
            cameras.add(3)
        if not cameras - INFRARED_CAMERAS:
            cameras.add(5)
    elif split == "val":
        cameras = {3, 4, 5}
        if rng.random() < _GAP:
            cameras.remove(5)
    else:
        cameras = {3, 4, 5, 6}
        if next(indoor):
            cameras |= {1, 2}
        if rng.random() < 3 * _GAP:  # any one of the four
            cameras.remove(int(rng.integers(3, 7)))
    return tuple(sorted(cameras))


def count_images(roster: list[RosterEntry], frames: int) -> dict[str, dict[str, dict[str, int]]]:
    """Numbers of identities and images: ``counts[split][camera]["ids" | "images"]``; keys are strings, as in JSON."""
    counts: dict[str, dict[str, dict[str, int]]] = {}
    for split in SPLITS:
        ids = dict.fromkeys(CAMERAS, 0)
        for entry in roster:
            if entry.split == split:
                for camera in entry.cameras:
                    ids[camera] += 1
        counts[split] = {}
        for camera, number in ids.items():
            counts[split][str(camera)] = {"ids": number, "images": number * frames}
    return counts
