"""From an image file of any kind to RGB: the one decoder of training, scoring and the doctor.

What is done with which file, in this order:

* Only still images are read: a file with several pages or frames is refused, but for the preview that cameras append
  (MPO).
* **Orientation** that a camera noted (EXIF) is applied.
* **Transparency** of any kind is laid on ``background``: colours under transparent pixels play no part.
* **8 bits a channel** (grey, palette, RGB, CMYK, YCbCr, HSV, LAB, one bit): converted to sRGB values, 255 being 1. CMYK
  is converted without a colour profile. Of colour images with 16 bits a channel the upper eight are taken.
* **Deeper grey** is stretched as ``stretch`` says. ``depth``: the largest number that the file's depth can hold is 1
  (65535 of 16 bits, 4095 of a 12-bit TIFF); floating point holds [0, 1] or [0, 255], which the largest value among all
  such files decides; integers of 32 bits, and signed ones, do not say what is white and are refused. ``range``: the two
  values are 0 and 1. ``percentiles``: of the training images of one modality together (of all images, where none
  trains), from up to 4,096 pixels an image. ``per_image``: of each image for itself. Values outside become 0 or 1.

The result has 8 bits a channel, so stretching comes first, and resizing after it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple, TypeVar

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageOps

from crossreid.data.image_files import (
    DEEP_MODES,
    UnreadableImageError,
    Values,
    deep_values,
    grey_bits,
    lab_to_rgb,
    opened,
    oriented_as,
)
from crossreid.data.records import ImageRecord, Modality
from crossreid.settings.data import DecodingConfig

DECODER_VERSION = 2  # bump when the same file would give other pixels
RESIZING = {"bicubic": Image.Resampling.BICUBIC, "lanczos": Image.Resampling.LANCZOS}
"""``data.decoding.resize`` -> Pillow's filter, which averages where it makes smaller."""

_SHALLOW_SUFFIXES = frozenset({".jpg", ".jpeg", ".bmp", ".gif"})  # can hold no deep pixels
_SAMPLES = 4096  # pixels of an image that percentiles are taken from, where there are few images,
_FEWEST_SAMPLES = 64  # and where there are many
_ALL_SAMPLES = 2**24  # of all images together
_MOST_PIXELS = (0.5, 99.5)  # percentiles

Result = TypeVar("Result")
Range = tuple[float, float]


class GreyRange(NamedTuple):
    """Values of an image deeper than 8 bits.

    Attributes:
        low, high: values between which 99 of 100 pixels lie: a sensor has dead pixels.
        black, white: what became 0 and 1.
    """

    low: float
    high: float
    black: float
    white: float


class Decoded(NamedTuple):
    """What a file holds.

    Attributes:
        image: RGB, 8 bits a channel, in the file's size, upright.
        mode: Pillow's name of the file's channels.
        grey: where the file is deeper than 8 bits, its values; else None.
    """

    image: Image.Image
    mode: str
    grey: GreyRange | None


@dataclass(frozen=True)
class Decoder:
    """Files to RGB pixels, with what had to be learned from all files together.

    Attributes:
        config: the settings.
        percentiles: modality -> values that become 0 and 1, with ``stretch=percentiles``.
        float_white: the value of floating-point files that becomes 1, with ``stretch=depth``; None where there is none.
    """

    config: DecodingConfig = field(default_factory=DecodingConfig)
    percentiles: Mapping[Modality, Range] = field(default_factory=dict)
    float_white: float | None = None

    def decode(self, path: Path, modality: Modality) -> Decoded:
        """The picture in a file.

        Raises:
            UnreadableImageError: the file is damaged, larger than :data:`LARGEST`, or does not say what its values mean.
        """
        with opened(path) as image:
            if image.mode in DEEP_MODES:
                return self._deep(image, modality)
            return Decoded(self._shallow(image), image.mode, None)

    def _shallow(self, image: Image.Image) -> Image.Image:
        """RGB of an image of 8 bits a channel."""
        upright = ImageOps.exif_transpose(image)
        if upright.has_transparency_data:
            background = Image.new("RGBA", upright.size, (*self.config.background, 255))
            return Image.alpha_composite(background, upright.convert("RGBA")).convert("RGB")
        if upright.mode == "LAB":
            return lab_to_rgb(upright)
        return upright.convert("RGB")

    def _deep(self, image: Image.Image, modality: Modality) -> Decoded:
        """RGB of a deeper, grey image."""
        values = deep_values(image)
        black, white = self._ends(image, values, modality)
        grey = _stretch(values, black, white)
        pixels = _over_background(grey, _transparent(image, values), self.config.background)
        upright = ImageOps.exif_transpose(oriented_as(image, Image.fromarray(pixels)))
        low, high = np.percentile(values, _MOST_PIXELS)
        used = GreyRange(float(low), float(high), black, white)
        return Decoded(upright.convert("RGB"), image.mode, used)

    def _ends(self, image: Image.Image, values: Values, modality: Modality) -> Range:
        """The values that become 0 and 1."""
        if self.config.range is not None:
            low, high = self.config.range
            return low, high
        if self.config.stretch == "percentiles":
            return self.percentiles[modality]
        if self.config.stretch == "per_image":
            return _percentiles(values, self.config)
        if image.mode == "F":
            return 0.0, self._white(values)
        largest = 2 ** grey_bits(image) - 1
        return 0.0, float(largest)

    def _white(self, values: Values) -> float:
        """What is white in floating point, refused where the values are in neither range."""
        if values.min() < 0 or values.max() > 255:
            raise ValueError(
                f"its floating-point values reach from {values.min():g} to {values.max():g}, which is neither [0, 1] nor "
                "[0, 255]: say data.decoding.stretch=range data.decoding.range=[low,high]"
            )
        if self.float_white is not None:
            return self.float_white
        return _white_of(float(values.max()))


def resized(image: Image.Image, size: tuple[int, int], resize: str) -> npt.NDArray[np.uint8]:
    """A decoded image as pixels (H, W, 3) of a height and width, as training and scoring see it.

    Args:
        image: as :meth:`Decoder.decode` gives it.
        size: height and width.
        resize: how, one of :data:`RESIZING`.
    """
    return np.asarray(image.resize((size[1], size[0]), RESIZING[resize]), dtype=np.uint8)


def make_decoder(
    config: DecodingConfig, records: Sequence[ImageRecord], reference: Iterable[int] | None = None, *, workers: int = 1
) -> Decoder:
    """The decoder of a dataset; looks through its deep files where something is to be learned from them.

    Args:
        config: the settings.
        records: all images.
        reference: rows whose pixels percentiles are taken from; None for all.
        workers: threads.

    Files that cannot be read play no part here.
    """
    candidates = [record for record in records if record.path.suffix.lower() not in _SHALLOW_SUFFIXES]
    if config.stretch == "depth":
        return Decoder(config, float_white=_common_white(candidates, workers))
    if config.stretch == "percentiles":
        training_rows: set[int] = set()
        if reference is not None:
            training_rows.update(reference)
        training = [record for record in candidates if record.row in training_rows]
        ends = _common_percentiles(training, config, workers)
        if not ends:  # no training image is deep
            ends = _common_percentiles(candidates, config, workers)
        return Decoder(config, percentiles=ends)
    return Decoder(config)


def _stretch(values: Values, low: float, high: float) -> npt.NDArray[np.uint8]:
    """[low, high] to 0 ... 255, the nearest; what lies outside is clipped."""
    span = max(high - low, 1e-30)  # a flat image is black
    share = np.clip((values - low) / span, 0, 1)
    return np.asarray(np.rint(share * 255), dtype=np.uint8)


def _transparent(image: Image.Image, values: Values) -> npt.NDArray[np.bool_] | None:
    """Where a grey PNG says that pixels are transparent, by their value."""
    value = image.info.get("transparency")
    if not isinstance(value, int):
        return None
    return np.asarray(values == value)


def _over_background(
    grey: npt.NDArray[np.uint8], transparent: npt.NDArray[np.bool_] | None, background: Sequence[int]
) -> npt.NDArray[np.uint8]:
    """Grey (H, W), or colour (H, W, 3) where a background shows."""
    if transparent is None:
        return grey
    colour = np.repeat(grey[..., None], 3, axis=2)
    colour[transparent] = background
    return colour


def _white_of(largest: float) -> float:
    """1 where no value is larger, else 255."""
    if largest <= 1:
        return 1.0
    return 255.0


def _percentiles(values: Values, config: DecodingConfig) -> Range:
    low, high = np.percentile(values, config.percentiles)
    return float(low), float(high)


def _common_white(records: Sequence[ImageRecord], workers: int) -> float | None:
    """What is white in all floating-point files together; None where there are none."""

    def largest(image: Image.Image) -> float:
        return float(deep_values(image).max())

    measured = _of_each(records, ("F",), largest, workers)
    values = [value for value in measured if value is not None]
    if not values:
        return None
    return _white_of(max(values))


def _common_percentiles(records: Sequence[ImageRecord], config: DecodingConfig, workers: int) -> dict[Modality, Range]:
    """What becomes 0 and 1 in each modality's deep files.

    A modality without such files takes the other's: it may have some in the test alone.
    """
    # fewer of each image where there are many images: all samples are in memory at once
    share = _ALL_SAMPLES // max(1, len(records))
    samples = max(_FEWEST_SAMPLES, min(_SAMPLES, share))

    def sample(image: Image.Image) -> Values:
        values = deep_values(image).ravel()
        step = max(1, values.size // samples)
        return values[::step]

    samples_of_records = _of_each(records, DEEP_MODES, sample, workers)
    pixels: dict[Modality, list[Values]] = {}
    for record, values in zip(records, samples_of_records, strict=True):
        if values is not None:
            pixels.setdefault(record.modality, []).append(values)
    ends: dict[Modality, Range] = {}
    for modality, parts in pixels.items():
        ends[modality] = _percentiles(np.concatenate(parts), config)
    if not ends:
        return {}
    first = next(iter(ends.values()))
    return {"visible": ends.get("visible", first), "infrared": ends.get("infrared", first)}


def _of_each(
    records: Sequence[ImageRecord], modes: Sequence[str], measure: Callable[[Image.Image], Result], workers: int
) -> list[Result | None]:
    """What is measured of each file of some modes; None for others, of which the header alone is read, and for damaged
    ones."""

    def measure_file(record: ImageRecord) -> Result | None:
        try:
            with opened(record.path) as image:
                if image.mode in modes:
                    return measure(image)
        except UnreadableImageError:
            pass
        return None

    with ThreadPoolExecutor(workers) as pool:
        return list(pool.map(measure_file, records))
