"""From files or arrays to uint8 pixels in the model's size, some images at a time; files are decoded by several workers."""

from __future__ import annotations

import sys
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt
from PIL import Image

from crossreid.data.decoding import Decoder, make_decoder, resized
from crossreid.data.image_files import UnreadableImageError
from crossreid.data.records import ImageRecord
from crossreid.errors import DataError
from crossreid.extraction.images import ImageList, PersonBox
from crossreid.extraction.video import VIDEO_SUFFIXES, VideoPictures
from crossreid.settings.data import DecodingConfig
from crossreid.spawning import without_main

if TYPE_CHECKING:
    from torch import Tensor
    from typing_extensions import TypeIs

CHUNK = 16
"""Images that a worker hands over at once: few, since a container may have 64 MiB of shared memory for all of them."""
_AHEAD = 2
_FEW = 64
"""Up to so many images, starting processes takes longer than decoding."""
_COLOURED, _MOST_COLOURED = 12, 0.02
"""A pixel has a colour where its channels differ by more than this; a grey image has at most this share of them: JPEG
and near-infrared cameras leave a tint."""

Size = tuple[int, int]
Pixels = npt.NDArray[Any]
"""(n, H, W, 3) uint8; or float32 in [0, 1] where a caller gave floats."""
Rows = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]


class Chunk(NamedTuple):
    """Some images, decoded.

    Attributes:
        rows: (n,) places in the list of images.
        pixels: (n, H, W, 3) uint8; or float in [0, 1] where a caller gave floats.
        grey: (n,) True where an image has no colour; False everywhere where its modality is known.
        problems: place in the list -> why the image cannot be read; its pixels are black.
    """

    rows: Rows
    pixels: Pixels
    grey: Flags
    problems: dict[int, str]


class _Files:
    """Chunks of image files, by their place."""

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
            path = self.images.paths[row]
            key = (path, self.images.frames[row])
            try:
                if last is None or last[0] != key:
                    last = (key, self._picture(row))
                part = cut_out(last[1], self.images.boxes[row], path)
                pixels[place] = resized(part, self.size, self.decoder.config.resize)
            except UnreadableImageError as error:
                problems[row] = error.reason
        grey = np.zeros(len(rows), dtype=bool)
        if any(self.images.modalities[row] is None for row in rows):
            grey = are_grey(pixels)
        return Chunk(np.array(rows, dtype=np.int64), pixels, grey, problems)

    def _picture(self, row: int) -> Image.Image:
        path = self.images.paths[row]
        if path.suffix.lower() in VIDEO_SUFFIXES:
            return self.videos.picture(path, self.images.frames[row])
        # the modality plays a part in deep files alone, which are grey
        return self.decoder.decode(path, self.images.modalities[row] or "infrared").image


def file_chunks(
    images: ImageList, rows: Sequence[int], decoding: DecodingConfig, size: Size, *, workers: int, processes: bool
) -> Iterator[Chunk]:
    """Rows of a list of images, decoded in their order.

    Args:
        images: the list.
        rows: places in it.
        decoding: how files become pixels.
        size: height and width.
        workers: how many decode; few images are decoded where this is called.
        processes: the workers are processes, which torch starts; else threads, for which torch is not imported.
    """
    decoder = make_decoder(decoding, _records_of(images), workers=max(1, workers))
    files = _Files(images, rows, decoder, size)
    if len(rows) <= _FEW or not workers:
        for place in range(len(files)):
            yield files[place]
    elif processes:
        yield from _by_processes(files, workers)
    else:
        yield from _by_threads(files, workers)


def _by_processes(files: _Files, workers: int) -> Iterator[Chunk]:
    from torch.utils.data import DataLoader  # noqa: PLC0415 - exported programs do without torch

    settings: dict[str, Any] = {"num_workers": workers, "prefetch_factor": _AHEAD}
    # A chunk is many images already, which is not to be put into batches again.
    loader: DataLoader[Any] = DataLoader(files, batch_size=None, **settings)  # type: ignore[arg-type]
    with without_main():  # where the platform's way of starting processes would import it
        chunks = iter(loader)
    for rows, pixels, grey, problems in chunks:  # arrays come back as tensors
        yield Chunk(rows.numpy(), pixels.numpy(), grey.numpy(), problems)


def _by_threads(files: _Files, workers: int) -> Iterator[Chunk]:
    """Pillow lets other threads work while it decodes; a video is read by one alone."""
    if any(path.suffix.lower() in VIDEO_SUFFIXES for path in files.images.paths):
        workers = 1
    waiting: deque[Future[Chunk]] = deque()
    with ThreadPoolExecutor(workers) as pool:
        for place in range(len(files)):
            waiting.append(pool.submit(files.__getitem__, place))
            # No more than this is decoded ahead, since all of it lies in memory.
            if len(waiting) > workers * _AHEAD:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()


def array_chunks(
    pixels: Pixels, rows: Sequence[int], size: Size, resize: str, chunk: int, *, by_colour: bool
) -> Iterator[Chunk]:
    """Rows of images (N, H, W, 3) in a caller's memory, uint8 of any size, or float in [0, 1] of the model's size; whether
    they are grey is looked at where ``by_colour``."""
    for start in range(0, len(rows), chunk):
        places = np.array(rows[start : start + chunk], dtype=np.int64)
        part = pixels[places]
        if tuple(part.shape[1:3]) != size:
            images = [resized(Image.fromarray(image), size, resize) for image in part]
            part = np.stack(images)
        grey = np.zeros(len(part), dtype=bool)
        if by_colour:
            grey = are_grey(_as_bytes(part))
        yield Chunk(places, part, grey, {})


def is_tensor(source: object) -> TypeIs[Tensor]:
    """A tensor of torch, which is not imported for this."""
    return "torch" in sys.modules and isinstance(source, sys.modules["torch"].Tensor)


def as_pixels(source: npt.NDArray[Any] | Tensor, size: Size) -> Pixels:
    """A caller's images as (N, H, W, 3): arrays (H, W), (N, H, W), (H, W, 3) or (N, H, W, 3), tensors (3, H, W) or
    (N, 3, H, W).

    Raises:
        DataError: they have another shape or type, floats are outside [0, 1], or have another size than the model's.
    """
    if is_tensor(source):
        pixels = _tensor_pixels(source)
    else:
        array = _array_pixels(np.asarray(source))
        pixels = np.ascontiguousarray(array)
    if pixels.dtype == np.uint8:
        return pixels
    if pixels.dtype.kind != "f":
        raise DataError(f"Images in memory are uint8 or float in [0, 1], not {pixels.dtype}.")
    values = pixels.astype(np.float32)
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
    # (H, W, 3) is one image in colour, and any other shape of three numbers several grey ones.
    colour = array.ndim >= 3 and array.shape[-1] == 3
    if not colour and array.ndim in (2, 3):
        array = np.repeat(array[..., None], 3, axis=-1)
        colour = True
    if array.ndim == 3:
        array = array[None]
    _check_pixels(colour and array.ndim == 4, array.shape)
    if array.dtype.kind == "f":
        return array.astype(np.float32)
    return array


def _tensor_pixels(tensor: Tensor) -> Pixels:
    """(N, H, W, 3) of (3, H, W) or (N, 3, H, W)."""
    if tensor.ndim == 3:
        tensor = tensor[None]
    _check_pixels(tensor.ndim == 4 and tensor.shape[1] == 3, tuple(tensor.shape))
    values = tensor.detach().cpu().permute(0, 2, 3, 1)
    if values.is_floating_point():
        values = values.float()  # NumPy has no bfloat16
    return np.asarray(values.numpy())


def _check_pixels(right: bool, shape: Sequence[int]) -> None:
    if not right or min(shape[1:]) < 1:
        raise DataError(
            f"Images in memory have the shape {tuple(shape)}: give an array (N, H, W, 3) or (N, H, W), or a tensor "
            "(N, 3, H, W)."
        )


def are_grey(pixels: npt.NDArray[np.uint8]) -> npt.NDArray[np.bool_]:
    """Which of the images (n, H, W, 3) have no colour (n,)."""
    spread = pixels.max(axis=3) - pixels.min(axis=3)  # (n, H, W); uint8 does not wrap, since the largest is no less
    coloured = (spread > _COLOURED).mean(axis=(1, 2))  # (n,) share of pixels
    return np.asarray(coloured <= _MOST_COLOURED)


def _as_bytes(pixels: Pixels) -> npt.NDArray[np.uint8]:
    if pixels.dtype == np.uint8:
        return pixels
    return np.asarray((pixels * 255).astype(np.uint8))


def _records_of(images: ImageList) -> list[ImageRecord]:
    """The distinct image files, as the decoder wants them."""
    records: dict[Path, ImageRecord] = {}
    for path, modality in zip(images.paths, images.modalities, strict=True):
        if path not in records and path.suffix.lower() not in VIDEO_SUFFIXES:
            # The decoder looks at path and modality: person 0, camera 1 and frame 0 stand for nothing.
            records[path] = ImageRecord(path, 0, 1, modality or "infrared", 0, len(records))
    return list(records.values())


def cut_out(picture: Image.Image, box: PersonBox | None, path: Path) -> Image.Image:
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
