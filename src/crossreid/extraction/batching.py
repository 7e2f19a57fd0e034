"""Images of one modality on their way through the network: waiting for a full batch, embedded, copied back."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from crossreid.extraction.pixels import Chunk


class Part(NamedTuple):
    """Some embedded images.

    Attributes:
        rows: (n,) places in the list of images.
        infrared: all of them are.
        features: name -> (n, D) float32.
    """

    rows: npt.NDArray[np.int64]
    infrared: bool
    features: Mapping[str, npt.NDArray[np.float32]]


class EmbeddedBatch(NamedTuple):
    """A batch whose features are on the device."""

    rows: npt.NDArray[np.int64]
    infrared: bool
    features: Mapping[str, Tensor]

    def fetch(self) -> Part:
        """Wait for it, and copy it to the CPU."""
        arrays = {name: value.cpu().numpy() for name, value in self.features.items()}
        return Part(self.rows, self.infrared, arrays)


class WaitingImages:
    """Images of one modality that do not fill a batch yet."""

    def __init__(self) -> None:
        self.rows: list[Tensor] = []
        self.pixels: list[Tensor] = []
        self.count = 0

    def add(self, chunk: Chunk, chosen: Tensor) -> None:
        """Take the chosen images of a chunk (n,) bool."""
        number = int(chosen.sum())
        if not number:
            return
        everything = number == len(chosen)
        self.rows.append(chunk.rows if everything else chunk.rows[chosen])
        self.pixels.append(chunk.pixels if everything else chunk.pixels[chosen])
        self.count += number

    def take(self, size: int) -> tuple[Tensor, Tensor]:
        """The first images, at most ``size``: rows (B,) and pixels (B, H, W, 3)."""
        rows, pixels = torch.cat(self.rows), self.pixels[0]
        if len(self.pixels) > 1:
            pixels = torch.cat(self.pixels)
        self.rows, self.pixels = [rows[size:]], [pixels[size:]]
        self.count = len(self.rows[0])
        if not self.count:
            self.rows, self.pixels = [], []
        return rows[:size], pixels[:size]
