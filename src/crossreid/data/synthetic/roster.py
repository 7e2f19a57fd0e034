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
    sizes = (people.train_ids, people.val_ids, people.test_ids)
    splits = [split for split, size in zip(SPLITS, sizes, strict=True) for _ in range(size)]
    order = rng.permutation(len(splits))
    indoor = iter(rng.permutation(people.test_ids) < round(_INDOOR_SHARE * people.test_ids))
    return [
        RosterEntry(pid, splits[place], _cameras(splits[place], indoor, rng))
        for pid, place in enumerate(order, start=1)
    ]


def _cameras(split: Split, indoor: Iterator[np.bool_], rng: np.random.Generator) -> tuple[int, ...]:
    if split == "train":
        seen = {camera for camera in CAMERAS if rng.random() < _TRAIN_SHARE[camera]}
        seen |= set() if seen & INFRARED_CAMERAS else {3}
        seen |= set() if seen - INFRARED_CAMERAS else {5}
    elif split == "val":
        seen = {3, 4} if rng.random() < _GAP else {3, 4, 5}
    else:
        seen = {1, 2, 3, 4, 5, 6} if next(indoor) else {3, 4, 5, 6}
        if rng.random() < 3 * _GAP:
            seen.remove(int(rng.integers(3, 7)))
    return tuple(sorted(seen))


def count_images(roster: list[RosterEntry], frames: int) -> dict[str, dict[str, dict[str, int]]]:
    """Numbers of identities and images: ``counts[split][camera]["ids" | "images"]``; keys are strings, as in JSON."""
    counts: dict[str, dict[str, dict[str, int]]] = {}
    for split in SPLITS:
        ids = {camera: sum(camera in e.cameras for e in roster if e.split == split) for camera in CAMERAS}
        counts[split] = {str(camera): {"ids": n, "images": n * frames} for camera, n in ids.items()}
    return counts
