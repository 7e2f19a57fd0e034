"""Rules that say which gallery images do not count for a probe."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol

import numpy as np

from crossreid.evaluation.array_files import Array
from crossreid.evaluation.embeddings import Embeddings


class Removal(Protocol):
    """A rule that says which gallery images do not count for a probe."""

    @property
    def label(self) -> str:
        """The rule in words, for tables: what is not counted."""

    def __call__(self, query: Embeddings, gallery: Embeddings) -> Array:
        """(Q, G) bool, True where a gallery image does not count."""


@dataclass(frozen=True)
class NothingRemoved:
    """Every gallery image counts (RegDB)."""

    label: str = "nothing"

    def __call__(self, query: Embeddings, gallery: Embeddings) -> Array:
        """(Q, G) bool, False everywhere."""
        return np.zeros((len(query), len(gallery)), dtype=np.bool_)


@dataclass(frozen=True)
class SameImage:
    """Only the probe itself does not count: for pairings within a modality that one camera took (RegDB)."""

    label: str = "the probe itself"

    def __call__(self, query: Embeddings, gallery: Embeddings) -> Array:
        """(Q, G) bool, True where both are one image: person, camera, modality and frame agree."""
        same_person = query.pids[:, None] == gallery.pids
        same_camera = query.camids[:, None] == gallery.camids
        same_modality = query.infrared[:, None] == gallery.infrared
        same_frame = query.frames[:, None] == gallery.frames
        return np.asarray(same_person & same_camera & same_modality & same_frame)


@dataclass(frozen=True)
class SamePersonSameCamera:
    """Images of the probe's person from the probe's camera do not count, other people's do (LLCM, Market-1501)."""

    label: str = "the same person's images from the probe's camera"

    def __call__(self, query: Embeddings, gallery: Embeddings) -> Array:
        """(Q, G) bool, True where both person and camera are the same."""
        # Modalities are not looked at: in LLCM a camera number stands for a visible and an infrared camera.
        same_person = query.pids[:, None] == gallery.pids
        same_camera = query.camids[:, None] == gallery.camids
        return np.asarray(same_person & same_camera)


@dataclass(frozen=True)
class SameLocation:
    """Gallery images from the probe's own place do not count, whoever they show.

    Attributes:
        shared: camera -> the camera whose room it shares; a camera not named here has a place of its own.
    """

    shared: dict[int, int] = field(default_factory=dict)

    @property
    def label(self) -> str:
        """The rule in words, for tables."""
        rule = "gallery images from the probe's camera"
        if not self.shared:
            return rule
        rooms = []
        for camera, other in self.shared.items():
            rooms.append(f"cameras {other} and {camera} are one place")
        return f"{rule} ({', '.join(rooms)})"

    def __call__(self, query: Embeddings, gallery: Embeddings) -> Array:
        """(Q, G) bool, True where both are from one place."""
        query_place = self._place(query.camids)
        gallery_place = self._place(gallery.camids)
        return np.asarray(query_place[:, None] == gallery_place)

    def _place(self, camids: Array) -> Array:
        """(N,) the camera that stands for each camera's room."""
        # One number for cameras of one room: equal numbers are then one place.
        place = camids.copy()
        for camera, other in self.shared.items():
            place[camids == camera] = other
        return place
