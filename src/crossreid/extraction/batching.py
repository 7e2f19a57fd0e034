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
        everything = number == len(chosen)
        self.rows.append(chunk.rows if everything else chunk.rows[chosen])
        self.pixels.append(chunk.pixels if everything else chunk.pixels[chosen])
        self.count += number

    def take(self, size: int) -> tuple[Rows, Pixels]:
        """The first images, at most ``size``: rows (B,) and pixels (B, H, W, 3)."""
        rows, pixels = np.concatenate(self.rows), self.pixels[0]
        if len(self.pixels) > 1:
            pixels = np.concatenate(self.pixels)
        self.rows, self.pixels = [rows[size:]], [pixels[size:]]
        self.count = len(self.rows[0])
        if not self.count:
            self.rows, self.pixels = [], []
        return rows[:size], pixels[:size]
