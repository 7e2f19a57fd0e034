"""From files or arrays to uint8 pixels in the model's size, some images at a time; files are decoded by worker processes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from crossreid.data.decoding import Decoder, UnreadableImageError, make_decoder, resized
from crossreid.data.records import ImageRecord
from crossreid.errors import DataError
from crossreid.extraction.images import ImageList, PersonBox
from crossreid.extraction.video import VIDEO_SUFFIXES, VideoPictures
from crossreid.settings.data import DecodingConfig

CHUNK = 16
"""Images that a worker hands over at once: few, since a container may have 64 MiB of shared memory for all of them."""
_AHEAD = 2
_FEW = 64
"""Up to so many images, starting processes takes longer than decoding."""
_COLOURED, _MOST_COLOURED = 12, 0.02
"""A pixel has a colour where its channels differ by more than this; a grey image has at most this share of them: JPEG
and near-infrared cameras leave a tint."""

Size = tuple[int, int]


class Chunk(NamedTuple):
    """Some images, decoded.

    Attributes:
        rows: (n,) places in the list of images.
        pixels: (n, H, W, 3) uint8; or float in [0, 1] where a caller gave floats.
        grey: (n,) True where an image has no colour; False everywhere where its modality is known.
        problems: place in the list -> why the image cannot be read; its pixels are black.
    """

    rows: Tensor
    pixels: Tensor
    grey: Tensor
    problems: dict[int, str]


class _Files(Dataset[Chunk]):
    """Chunks of image files."""

    def __init__(self, images: ImageList, rows: Sequence[int], decoder: Decoder, size: Size) -> None:
        self.images = images
        self.chunks = [rows[start : start + CHUNK] for start in range(0, len(rows), CHUNK)]
        self.decoder = decoder
        self.size = size
        self.videos = VideoPictures()

    def __len__(self) -> int:
        return len(self.chunks)

    def __getitem__(self, index: int) -> Chunk:
        rows = self.chunks[index]
        pixels = np.zeros((len(rows), *self.size, 3), dtype=np.uint8)
        problems: dict[int, str] = {}
        last: tuple[tuple[Path, int | None], Image.Image] | None = None  # several boxes may be in one picture
        for place, row in enumerate(rows):
            key = (self.images.paths[row], self.images.frames[row])
            try:
                if last is None or last[0] != key:
                    last = (key, self._picture(row))
                pixels[place] = resized(
                    _cut_out(last[1], self.images.boxes[row], key[0]), self.size, self.decoder.config.resize
                )
            except UnreadableImageError as error:
                problems[row] = error.reason
        unknown = any(self.images.modalities[row] is None for row in rows)
        grey = are_grey(pixels) if unknown else np.zeros(len(rows), dtype=bool)
        return Chunk(torch.tensor(rows), torch.from_numpy(pixels), torch.from_numpy(grey), problems)

    def _picture(self, row: int) -> Image.Image:
        path = self.images.paths[row]
        if path.suffix.lower() in VIDEO_SUFFIXES:
            return self.videos.picture(path, self.images.frames[row])
        # the modality plays a part in deep files alone, which are grey
        return self.decoder.decode(path, self.images.modalities[row] or "infrared").image


def file_chunks(
    images: ImageList, rows: Sequence[int], decoding: DecodingConfig, size: Size, *, workers: int
) -> Iterator[Chunk]:
    """Rows of a list of images, decoded in their order.

    Args:
        images: the list.
        rows: places in it.
        decoding: how files become pixels.
        size: height and width.
        workers: processes; few images are decoded in this one.
    """
    decoder = make_decoder(decoding, _records_of(images), workers=max(1, workers))
    files = _Files(images, rows, decoder, size)
    processes = workers if len(rows) > _FEW else 0
    settings: dict[str, Any] = {"num_workers": processes}
    if processes:
        settings["prefetch_factor"] = _AHEAD
    yield from DataLoader(files, batch_size=None, **settings)


def array_chunks(pixels: Tensor, size: Size, resize: str, chunk: int, *, by_colour: bool) -> Iterator[Chunk]:
    """Images (N, H, W, 3) in a caller's memory, uint8 of any size, or float in [0, 1] of the model's size; whether they are
    grey is looked at where ``by_colour``."""
    for start in range(0, len(pixels), chunk):
        part = pixels[start : start + chunk]
        if tuple(part.shape[1:3]) != size:
            part = torch.from_numpy(np.stack([resized(Image.fromarray(image), size, resize) for image in part.numpy()]))
        rows = torch.arange(start, start + len(part))
        grey = are_grey(_as_bytes(part)) if by_colour else np.zeros(len(part), dtype=bool)
        yield Chunk(rows, part, torch.from_numpy(grey), {})


def as_pixels(source: npt.NDArray[Any] | Tensor, size: Size) -> Tensor:
    """A caller's images as (N, H, W, 3): arrays (H, W), (N, H, W), (H, W, 3) or (N, H, W, 3), tensors (3, H, W) or
    (N, 3, H, W).

    Raises:
        DataError: they have another shape or type, floats are outside [0, 1], or have another size than the model's.
    """
    if isinstance(source, Tensor):
        channels_last = _tensor_pixels(source.detach().cpu())
    else:
        channels_last = torch.from_numpy(np.ascontiguousarray(_array_pixels(source)))
    if channels_last.dtype == torch.uint8:
        return channels_last
    if not channels_last.is_floating_point():
        raise DataError(
            f"Images in memory are uint8 or float in [0, 1], not {channels_last.dtype}.".replace("torch.", "")
        )
    values = channels_last.float()
    if len(values) and not (values.min() >= 0 and values.max() <= 1):  # nan is not
        raise DataError("Images in memory that are float are in [0, 1]: divide by 255, or give uint8.")
    if tuple(values.shape[1:3]) != size:
        height, width = values.shape[1:3]
        raise DataError(
            f"Float images are {size[0]}x{size[1]} for this model, not {height}x{width}: resize them, or give uint8."
        )
    return values


def _array_pixels(array: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """(N, H, W, 3) of any shape that says what it is."""
    if array.dtype.kind not in "uf":
        raise DataError(f"Images in memory are uint8 or float in [0, 1], not {array.dtype}.")
    colour = array.ndim >= 3 and array.shape[-1] == 3
    if not colour and array.ndim in (2, 3):
        array = np.repeat(array[..., None], 3, axis=-1)
        colour = True
    if array.ndim == 3:
        array = array[None]
    _check_pixels(colour and array.ndim == 4, array.shape)
    return array.astype(np.float32) if array.dtype.kind == "f" else array


def _tensor_pixels(tensor: Tensor) -> Tensor:
    """(N, H, W, 3) of (3, H, W) or (N, 3, H, W)."""
    if tensor.ndim == 3:
        tensor = tensor[None]
    _check_pixels(tensor.ndim == 4 and tensor.shape[1] == 3, tuple(tensor.shape))
    return tensor.permute(0, 2, 3, 1)


def _check_pixels(right: bool, shape: Sequence[int]) -> None:
    if not right or min(shape[1:]) < 1:
        raise DataError(
            f"Images in memory have the shape {tuple(shape)}: give an array (N, H, W, 3) or (N, H, W), or a tensor "
            "(N, 3, H, W)."
        )


def are_grey(pixels: npt.NDArray[np.uint8]) -> npt.NDArray[np.bool_]:
    """Which of the images (n, H, W, 3) have no colour (n,)."""
    spread = pixels.max(axis=3) - pixels.min(axis=3)
    coloured = (spread > _COLOURED).mean(axis=(1, 2))
    return np.asarray(coloured <= _MOST_COLOURED)


def _as_bytes(pixels: Tensor) -> npt.NDArray[np.uint8]:
    if pixels.dtype == torch.uint8:
        return np.asarray(pixels.numpy())
    return np.asarray((pixels * 255).to(torch.uint8).numpy())


def _records_of(images: ImageList) -> list[ImageRecord]:
    """The distinct image files, as the decoder wants them."""
    records: dict[Path, ImageRecord] = {}
    for path, modality in zip(images.paths, images.modalities, strict=True):
        if path not in records and path.suffix.lower() not in VIDEO_SUFFIXES:
            records[path] = ImageRecord(path, 0, 1, modality or "infrared", 0, len(records))
    return list(records.values())


def _cut_out(picture: Image.Image, box: PersonBox | None, path: Path) -> Image.Image:
    """What is in a box, as far as it is in the picture."""
    if box is None:
        return picture
    left = max(0, round(box.x))
    top = max(0, round(box.y))
    right = min(picture.width, round(box.x + box.width))
    bottom = min(picture.height, round(box.y + box.height))
    if right <= left or bottom <= top:
        raise UnreadableImageError(path, f"its box lies outside the {picture.width} x {picture.height} pixels")
    return picture.crop((left, top, right, bottom))
