"""Identities, cameras and places of images of one's own, from further columns; what nobody knows has numbers of its own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from crossreid.evaluation.embeddings import Cell

Numbers = npt.NDArray[np.int64]


class Labels(NamedTuple):
    """Who and where, as embeddings number it, (N,) each: see :class:`~crossreid.evaluation.Embeddings`."""

    pids: Numbers
    camids: Numbers
    frames: Numbers


def labels_of(columns: Mapping[str, Sequence[Cell]], infrared: npt.NDArray[np.bool_]) -> Labels:
    """What the columns ``person`` and ``camera`` say.

    A person that is not known is a negative number of its own, which matches nobody. Columns of whole numbers from 1 are
    taken as they are; others are numbered from 1 in the order of their values. Where no camera is known, visible images are
    camera 1 and infrared ones camera 2, as in folders without cameras.
    """
    count = len(infrared)
    # Numbers from 1, and 0 where a column says nothing.
    persons = _numbered(columns.get("person", (None,) * count))
    pids = np.where(persons > 0, persons, -1 - np.arange(count))
    cameras = _numbered(columns.get("camera", (None,) * count))
    unknown = cameras.max(initial=0) + 1 + infrared  # two numbers beyond all known ones, one a modality
    camids = np.where(cameras > 0, cameras, unknown)
    return Labels(pids, camids, _places(pids, camids, infrared))


def _numbered(cells: Sequence[Cell]) -> Numbers:
    """Values as numbers from 1; 0 where there is none."""
    known = {cell for cell in cells if cell is not None}
    if all(isinstance(cell, int) and cell >= 1 for cell in known):
        return np.array([cell or 0 for cell in cells], dtype=np.int64)
    names = sorted(known, key=lambda cell: (isinstance(cell, str), cell))  # numbers come before text
    number: dict[Cell, int] = {None: 0}
    for place, name in enumerate(names, start=1):
        number[name] = place
    return np.array([number[cell] for cell in cells], dtype=np.int64)


def _places(pids: Numbers, camids: Numbers, infrared: npt.NDArray[np.bool_]) -> Numbers:
    """The place of each image among those of its person, camera and modality, from 0."""
    counts: dict[tuple[int, int, bool], int] = {}
    places = []
    for key in zip(pids.tolist(), camids.tolist(), infrared.tolist(), strict=True):
        place = counts.get(key, 0)
        places.append(place)
        counts[key] = place + 1
    return np.array(places, dtype=np.int64)
