"""Image files through Pillow: opened within bounds, their deep values, what they say of bits, orientation and colours."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageCms

from crossreid.errors import DataError

LARGEST = 64_000_000
"""Pixels above which a file is refused: a picture of a person has thousands, and a few bytes can claim billions."""
DEEP_MODES = ("I", "F", "I;16", "I;16L", "I;16B", "I;16N")
"""Pillow's names of grey that is deeper than 8 bits."""
_BITS_PER_SAMPLE = 258  # TIFF's tag
_ORIENTATION = 274  # EXIF's tag

Values = npt.NDArray[np.float32]

# Pillow warns of the size that this module refuses, in any thread and once more for each file
warnings.filterwarnings("ignore", category=Image.DecompressionBombWarning)


class UnreadableImageError(DataError):
    """One image file cannot be read, or does not say what its values mean.

    Args:
        path: the file.
        reason: what is wrong with it.
    """

    def __init__(self, path: Path, reason: str) -> None:
        super().__init__(
            f"The image '{path}' cannot be read ({reason}); restore it from the original archive, or leave such images out "
            "by data.decoding.unreadable=skip."
        )
        self.reason = reason


@contextmanager
def opened(path: Path) -> Iterator[Image.Image]:
    """An image whose header was read, its pixels not yet; whatever goes wrong with it names the file."""
    try:
        with Image.open(path) as image:
            if image.width * image.height > LARGEST:
                raise ValueError(f"it claims {image.width} x {image.height} pixels")
            frames = getattr(image, "n_frames", 1)
            # cameras append a preview to a JPEG, which Pillow then calls MPO
            if frames > 1 and image.format != "MPO":
                raise ValueError(f"it holds {frames} pictures: keep the one that is meant")
            yield image
    except Exception as error:  # a damaged file makes Pillow raise nearly anything
        message = " ".join(str(error).split()).replace(f"'{path}'", "the file")
        reason = message or type(error).__name__
        raise UnreadableImageError(path, reason[:200]) from error


def deep_values(image: Image.Image) -> Values:
    """Grey values (H, W) of an image deeper than 8 bits, as the file has them."""
    values = np.asarray(image)
    if values.dtype.kind == "f" and not np.isfinite(values).all():
        raise ValueError("it holds values that are no numbers")
    return values.astype(np.float32)


def grey_bits(image: Image.Image) -> int:
    """Bits of an unsigned grey value."""
    if image.mode == "I":
        raise ValueError(
            "integers of 32 bits, or signed ones, do not say what is white: say data.decoding.stretch=range "
            "data.decoding.range=[low,high]"
        )
    tags = getattr(image, "tag_v2", {})
    if _BITS_PER_SAMPLE not in tags:
        return 16
    return int(tags[_BITS_PER_SAMPLE][0])


def oriented_as(image: Image.Image, pixels: Image.Image) -> Image.Image:
    """Pixels that carry the orientation of the image that they were made from."""
    orientation = image.getexif().get(_ORIENTATION)
    if orientation is not None:
        pixels.getexif()[_ORIENTATION] = orientation
    return pixels


def lab_to_rgb(image: Image.Image) -> Image.Image:
    """An image in CIELAB as sRGB."""
    rgb = ImageCms.profileToProfile(
        image, ImageCms.createProfile("LAB"), ImageCms.createProfile("sRGB"), outputMode="RGB"
    )
    assert rgb is not None  # only None when converted in place
    return rgb
