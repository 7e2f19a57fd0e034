"""Rules that say which gallery images do not count for a probe."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol

import numpy as np

from crossreid.evaluation.embeddings import Array, Embeddings


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
        keys = ("pids", "camids", "infrared", "frames")
        same = [getattr(query, key)[:, None] == getattr(gallery, key) for key in keys]
        return np.asarray(np.logical_and.reduce(same))


@dataclass(frozen=True)
class SamePersonSameCamera:
    """Images of the probe's person from the probe's camera do not count, other people's do (LLCM, Market-1501)."""

    label: str = "the same person's images from the probe's camera"

    def __call__(self, query: Embeddings, gallery: Embeddings) -> Array:
        """(Q, G) bool, True where both person and camera are the same."""
        return np.asarray((query.pids[:, None] == gallery.pids) & (query.camids[:, None] == gallery.camids))


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
        rooms = ", ".join(f"cameras {b} and {a} are one place" for a, b in self.shared.items())
        return "gallery images from the probe's camera" + (f" ({rooms})" if rooms else "")

    def __call__(self, query: Embeddings, gallery: Embeddings) -> Array:
        """(Q, G) bool, True where both were seen in one place."""
        places = []
        for camids in (query.camids, gallery.camids):
            place = camids.copy()
            for camera, other in self.shared.items():
                place[camids == camera] = other
            places.append(place)
        return np.asarray(places[0][:, None] == places[1][None, :])
