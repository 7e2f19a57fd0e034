"""What an extraction is to embed: images in a list, or pixels in a caller's memory."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import numpy.typing as npt

from crossreid.data.records import MODALITIES, Modality
from crossreid.errors import ConfigError, DataError
from crossreid.extraction.images import AUTO, ImageList, list_source
from crossreid.extraction.pixels import Chunk, Flags, Pixels, Size, as_pixels, is_tensor
from crossreid.extraction.video import check_videos

if TYPE_CHECKING:
    from torch import Tensor

_HASHED_AT_ONCE = 256

Source: TypeAlias = "str | Path | Sequence[str | Path] | npt.NDArray[Any] | Tensor"


@dataclass(frozen=True)
class Request:
    """Images to embed.

    Attributes:
        images: the files, or what is known of the pixels.
        pixels: (N, H, W, 3) where they are in memory.
    """

    images: ImageList
    pixels: Pixels | None = None

    def __len__(self) -> int:
        return len(self.images)

    @property
    def by_colour(self) -> bool:
        """Nothing but the colours of some image says its modality."""
        return None in self.images.modalities

    def infrared(self) -> Flags | None:
        """(N,) which images are; None where :attr:`by_colour`."""
        if self.by_colour:
            return None
        flags = [own == "infrared" for own in self.images.modalities]
        return np.array(flags, dtype=bool)

    def digest(self) -> str:
        """SHA-256 of what decides the images and all that is known of them; of those in memory, their pixels too."""
        listed = self.images.digest()
        if self.pixels is None:
            return listed
        digest = hashlib.sha256(f"{listed} {self.pixels.shape} {self.pixels.dtype}".encode())
        for start in range(0, len(self.pixels), _HASHED_AT_ONCE):
            digest.update(self.pixels[start : start + _HASHED_AT_ONCE].tobytes())
        return digest.hexdigest()

    def rows_of(self, chunk: Chunk, modality: Modality) -> Flags:
        """Which images of a chunk are readable and of a modality (n,)."""
        chosen = []
        for row, grey in zip(chunk.rows.tolist(), chunk.grey.tolist(), strict=True):
            # What a column, a folder or the caller said goes before the colours.
            own = self.images.modalities[row] or MODALITIES[int(grey)]
            chosen.append(own == modality and row not in chunk.problems)
        return np.array(chosen, dtype=bool)


def make_request(source: Source, modality: str | None, size: Size) -> Request:
    """What a source and a modality ask for; see :meth:`crossreid.Extractor.__call__`.

    Args:
        source: files or pixels.
        modality: of all images, ``auto``, or None.
        size: height and width that floats must have.

    Raises:
        ConfigError: nothing says the modality.
        DataError: there is no image, or a manifest is damaged.
    """
    if isinstance(source, np.ndarray) or is_tensor(source):
        return _in_memory(source, modality, size)
    images = list_source(source, modality)
    check_videos(images.paths)
    return Request(images)


def _in_memory(source: npt.NDArray[Any] | Tensor, modality: str | None, size: Size) -> Request:
    """Pixels in a caller's memory, of which nothing but the modality is known."""
    if modality not in (*MODALITIES, AUTO):
        raise ConfigError("Images in memory do not say their modality: add modality=visible, infrared or auto.")
    pixels = as_pixels(source, size)
    count = len(pixels)
    if not count:
        raise DataError("There is no image in the array.")
    # ``auto`` leaves it open, and then the colours decide.
    known: Modality | None = None
    for name in MODALITIES:
        if modality == name:
            known = name
    images = ImageList((Path(),) * count, (known,) * count, {}, (None,) * count, (None,) * count)
    return Request(images, pixels)
