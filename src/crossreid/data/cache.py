"""Decoded, resized uint8 images in one memory-mapped file.

Decoding a JPEG costs far more than reading its pixels, and every epoch reads every image: so they are decoded and
resized once per size. The file is written under another name and renamed when whole; a lock lets one process build while
the others wait; its name holds a digest of the sources, so a changed source is another file.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import numpy.typing as npt
from filelock import FileLock
from PIL import Image, UnidentifiedImageError

from crossreid.console import track
from crossreid.data.records import ImageRecord
from crossreid.errors import DataError

_VERSION = 1  # bump when the same source would give other pixels


def open_cache(
    records: Sequence[ImageRecord],
    root: Path,
    folder: Path,
    size: tuple[int, int],
    *,
    workers: int | None = None,
    progress: bool = True,
) -> npt.NDArray[np.uint8]:
    """Images of ``records`` (N, H, W, 3), RGB uint8 in [0, 255], as a read-only memory map; built when it is not there.

    Infrared images are repeated to three channels. Resizing is bicubic.

    Args:
        records: images, in the order of the rows of the result.
        root: folder of the dataset; paths are digested relative to it.
        folder: where cache files live.
        size: height and width in pixels.
        workers: decoding threads; by default one per core that this process may use.
        progress: show a progress bar while building.

    Raises:
        DataError: an image cannot be read (it is named); nothing is left on disk.
    """
    height, width = size
    stem = f"{height}x{width}-{hashlib.sha256(str(root.resolve()).encode()).hexdigest()[:8]}"
    target = folder / f"{stem}-{_digest(records, root, size)}.npy"
    if not target.is_file():
        folder.mkdir(parents=True, exist_ok=True)
        with FileLock(folder / f"{stem}.lock"):
            if not target.is_file():  # another process may have built it while this one waited
                for stale in (*folder.glob(f"{stem}-*.npy"), *folder.glob(f"{stem}-*.partial")):
                    stale.unlink()  # of another source, or of a process that was killed
                _build(records, target, size, workers or available_cores(), progress)
    cached: npt.NDArray[np.uint8] = np.load(target, mmap_mode="r")
    return cached


def available_cores(most: int = 8) -> int:
    """Cores that this process may use, at most ``most``: more do not make decoding faster."""
    return min(most, len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1)


def _digest(records: Sequence[ImageRecord], root: Path, size: tuple[int, int]) -> str:
    digest = hashlib.sha256(f"{_VERSION} {size}".encode())
    for record in records:
        try:
            stat = record.path.stat()
        except FileNotFoundError:
            raise DataError(f"The image '{record.path}' vanished while the dataset was read; restore it.") from None
        digest.update(f"{record.path.relative_to(root)} {stat.st_size} {stat.st_mtime_ns}\n".encode())
    return digest.hexdigest()[:16]


def _build(records: Sequence[ImageRecord], target: Path, size: tuple[int, int], workers: int, progress: bool) -> None:
    partial = target.with_suffix(f".{os.getpid()}.partial")
    try:
        images = np.lib.format.open_memmap(partial, mode="w+", dtype=np.uint8, shape=(len(records), *size, 3))
        with ThreadPoolExecutor(workers) as pool:
            decoded = pool.map(lambda record: _decode(record.path, size), records)
            label = f"decoding images at {size[0]}x{size[1]}"
            for row, pixels in enumerate(track(decoded, label, total=len(records), enabled=progress)):
                images[row] = pixels
        images.flush()
        del images
        partial.replace(target)
    finally:
        partial.unlink(missing_ok=True)


def _decode(path: Path, size: tuple[int, int]) -> npt.NDArray[np.uint8]:
    """One image as (H, W, 3) uint8 RGB."""
    try:
        with Image.open(path) as image:
            resized = image.convert("RGB").resize((size[1], size[0]), Image.Resampling.BICUBIC)
    except (OSError, UnidentifiedImageError, SyntaxError) as error:
        raise DataError(
            f"The image '{path}' cannot be read ({' '.join(str(error).split())}); restore it from the original archive."
        ) from error
    return np.asarray(resized, dtype=np.uint8)
