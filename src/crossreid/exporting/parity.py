"""An exported program beside PyTorch: the same images, the largest difference of any number of any embedding."""

from __future__ import annotations

import numpy as np

from crossreid.data.records import Modality
from crossreid.errors import CrossReIDError
from crossreid.evaluation.array_files import Array
from crossreid.exporting.smaller import projected
from crossreid.extraction.checkpoint import CheckpointNetwork
from crossreid.extraction.exported import Program
from crossreid.extraction.pixels import Pixels
from crossreid.randomness import numpy_generator

TOLERANCE = 1e-4
"""Of numbers of unit vectors in float32."""
BATCHES = (1, 2, 5)
"""Numbers of images that are compared: a program must not be one for the number that it was traced with."""
_GRID = 8
"""Patches along each side of an image."""


class ParityError(CrossReIDError):
    """An exported program does not give what PyTorch gives."""


def largest_difference(
    network: CheckpointNetwork, program: Program, modality: Modality, axes: Array | None = None
) -> float:
    """Between a program and PyTorch, over images of several kinds and batches of several sizes.

    With ``axes`` (D, d) the program projects on them.

    Raises:
        ParityError: it is more than :data:`TOLERANCE`, or the program gives something else than numbers of that shape.
    """
    largest = 0.0
    for batch in BATCHES:
        pixels = parity_images(batch, network.size)
        expected = network.embed(pixels, modality)()["main"]
        if axes is not None:
            expected = projected(expected, axes)
        given = np.asarray(program(pixels))
        difference = np.inf
        if given.shape == expected.shape:
            difference = float(np.abs(given - expected).max())
        if not difference <= TOLERANCE:  # nan is not
            raise ParityError(
                f"The exported program and PyTorch differ by {difference:.1e} in {batch} {modality} images, more than "
                f"{TOLERANCE:g}: nothing was written."
            )
        largest = max(largest, difference)
    return largest


def parity_images(count: int, size: tuple[int, int]) -> Pixels:
    """Images (count, H, W, 3) uint8: noise, and patches of one colour as clothes have them, in turn."""
    generator = numpy_generator(0, "images of a parity check", count)
    noise = generator.integers(0, 256, (count, *size, 3), dtype=np.uint8)
    patches = generator.integers(0, 256, (count, _GRID, _GRID, 3), dtype=np.uint8)
    # (count, 8, 8, 3) -> (count, H, W, 3): each pixel takes the colour of the patch that it lies in.
    rows = np.arange(size[0]) * _GRID // size[0]
    columns = np.arange(size[1]) * _GRID // size[1]
    smooth = patches[:, rows][:, :, columns]
    is_noise = (np.arange(count) % 2 == 0)[:, None, None, None]
    return np.where(is_noise, noise, smooth)
