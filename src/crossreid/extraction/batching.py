"""Images of one modality on their way through the network: waiting for a full batch, embedded, copied back."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from crossreid.extraction.pixels import Chunk, Flags, Pixels, Rows

Features = Mapping[str, npt.NDArray[np.float32]]
"""Name -> (n, D)."""


class Part(NamedTuple):
    """Some embedded images.

    Attributes:
        rows: (n,) places in the list of images.
        infrared: all of them are.
        features: name -> (n, D) float32.
    """

    rows: Rows
    infrared: bool
    features: Features


class EmbeddedBatch(NamedTuple):
    """A batch whose features may still be computed.

    Attributes:
        rows: (n,) places in the list of images.
        infrared: all of them are.
        fetch: waits for the features.
    """

    rows: Rows
    infrared: bool
    fetch: Callable[[], Features]

    def part(self) -> Part:
        """Wait for it."""
        return Part(self.rows, self.infrared, self.fetch())


class WaitingImages:
    """Images of one modality that do not fill a batch yet."""

    def __init__(self) -> None:
        self.rows: list[Rows] = []
        self.pixels: list[Pixels] = []
        self.count = 0

    def add(self, chunk: Chunk, chosen: Flags) -> None:
        """Take the chosen images of a chunk (n,)."""
        number = int(chosen.sum())
        if not number:
            return
        rows = chunk.rows
        pixels = chunk.pixels
        if number < len(chosen):  # choosing copies the pixels, which is saved where all are taken
            rows = rows[chosen]
            pixels = pixels[chosen]
        self.rows.append(rows)
        self.pixels.append(pixels)
        self.count += number

    def take(self, size: int) -> tuple[Rows, Pixels]:
        """The first images, at most ``size``: rows (B,) and pixels (B, H, W, 3)."""
        rows = np.concatenate(self.rows)
        pixels = self.pixels[0]
        if len(self.pixels) > 1:
            pixels = np.concatenate(self.pixels)
        self.rows = []
        self.pixels = []
        self.count = max(0, len(rows) - size)
        if self.count:
            self.rows.append(rows[size:])
            self.pixels.append(pixels[size:])
        return rows[:size], pixels[:size]
