"""Decoded, resized uint8 images in one memory-mapped file.

Decoding a JPEG costs far more than reading its pixels, and every epoch reads every image: so they are decoded and
resized once per size. The file is written under another name and renamed when whole; a lock lets one process build while
the others wait; its name holds a digest of the sources and of how they are decoded, so a changed source is another file.
Beside it stands a note with a checksum of each image, since disks fill up and copies break.
"""

from __future__ import annotations

import errno
import hashlib
import json
import math
import os
import shutil
import zlib
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from filelock import FileLock

from crossreid.console import notice, track
from crossreid.data.decoding import DECODER_VERSION, Decoder, make_decoder, resized
from crossreid.data.image_files import UnreadableImageError
from crossreid.data.records import ImageRecord
from crossreid.errors import DataError
from crossreid.files import write_atomically
from crossreid.machine import usable_cores
from crossreid.settings.data import DecodingConfig

_VERIFIED_ON_OPENING = 512  # images, evenly spread: some ten milliseconds
_BYTES_PER_GIB = 2**30
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
"""What a system says of a full disk, a quota that is used up, and a file beyond its limit."""

Pixels = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class DecodedImages:
    """All images of a dataset in one size.

    Attributes:
        pixels: (N, H, W, 3) RGB uint8 in [0, 255], a read-only memory map; black where an image is unreadable.
        unreadable: row -> why the image could not be read; empty unless ``unreadable=skip``.
    """

    pixels: Pixels
    unreadable: Mapping[int, str]


def open_cache(
    records: Sequence[ImageRecord],
    root: Path,
    folder: Path,
    size: tuple[int, int],
    *,
    decoding: DecodingConfig | None = None,
    reference: Iterable[int] | None = None,
    workers: int | None = None,
    progress: bool = True,
) -> DecodedImages:
    """The images of ``records``; decoded when they are not there, or not whole.

    Infrared images are repeated to three channels. Resizing is bicubic, unless ``decoding`` says otherwise.

    Args:
        records: images, in the order of the rows of the result.
        root: folder of the dataset; paths are digested relative to it.
        folder: where cache files live.
        size: height and width in pixels.
        decoding: how files become pixels.
        reference: rows that percentiles of a dataset are taken from (its training images); None for all.
        workers: decoding threads; by default one per core that this process may use.
        progress: show a progress bar while building.

    Raises:
        DataError: an image cannot be read (it is named), or the disk is full; nothing is left on disk.
    """
    decoding = decoding or DecodingConfig()
    rows = None
    if reference is not None:
        rows = sorted(int(row) for row in reference)
    stem = _stem(root, size)
    name = f"{stem}-{_digest(records, root, size, decoding)}"
    target = folder / f"{name}{_of_reference(decoding, rows)}.npy"
    opened = _open(target, len(records), size)
    if opened is None:
        _make_folder(folder)
        with FileLock(folder / f"{stem}.lock"):
            opened = _open(target, len(records), size)  # another process may have built it while this one waited
            if opened is None:
                _remove_stale(folder, stem, name, target)
                threads = workers or available_cores()
                decoder = make_decoder(decoding, records, rows, workers=threads)
                _say_what_floats_mean(decoder)
                _build(records, target, size, decoder, threads, progress)
                opened = _open(target, len(records), size)
    if opened is None:
        raise DataError(f"The decoded images '{target}' are damaged as soon as they are written: check the disk.")
    return opened


def damaged_caches(root: Path, folder: Path) -> list[Path]:
    """Cache files of a dataset in any size whose content is not what was written; every byte is read."""
    stem = _stem(root, None)
    caches = sorted(folder.glob(f"*-{stem}-*.npy"))
    return [path for path in caches if not _whole(path)]


def available_cores(most: int = 8) -> int:
    """Cores that this process may use, at most ``most``: more do not make decoding faster."""
    return min(most, usable_cores())


def _stem(root: Path, size: tuple[int, int] | None) -> str:
    """What the names of a dataset's cache files begin with; without a size, what stands behind it."""
    # file names need not be UTF-8, and are digested by their bytes
    of_root = hashlib.sha256(str(root.resolve()).encode(errors="surrogateescape")).hexdigest()[:8]
    if size is None:
        return of_root
    return f"{size[0]}x{size[1]}-{of_root}"


def _digest(
    records: Sequence[ImageRecord],
    root: Path,
    size: tuple[int, int],
    decoding: DecodingConfig,
) -> str:
    """Of the sources and of how they are decoded, but for whom percentiles are taken from."""
    settings: dict[str, Any] = asdict(decoding)
    if decoding.resize == "bicubic":  # as it was before there was a choice: older caches stay good
        del settings["resize"]
    digest = hashlib.sha256(f"{DECODER_VERSION} {size} {json.dumps(settings, sort_keys=True)}\n".encode())
    for record in records:
        try:
            stat = record.path.stat()
        except FileNotFoundError:
            raise DataError(f"The image '{record.path}' vanished while the dataset was read; restore it.") from None
        # size and time of change stand for the content
        line = f"{record.path.relative_to(root)} {record.modality} {stat.st_size} {stat.st_mtime_ns}\n"
        digest.update(line.encode(errors="surrogateescape"))
    return digest.hexdigest()[:16]


def _of_reference(decoding: DecodingConfig, reference: Sequence[int] | None) -> str:
    """What a cache's name ends in, where its pixels depend on the rows that percentiles are taken from."""
    if decoding.stretch != "percentiles":
        return ""
    return f"-{hashlib.sha256(json.dumps(reference).encode()).hexdigest()[:8]}"


def _remove_stale(folder: Path, stem: str, name: str, target: Path) -> None:
    """Remove what is of another source or other settings, damaged, or of a process that was killed.

    Caches of the same files with percentiles of other rows stay: another division of the set is trained from them.
    """
    for path in folder.glob(f"{stem}-*"):
        of_other_rows = path.name.startswith(f"{name}-") and path.stem != target.stem
        if of_other_rows and path.suffix in (".npy", ".json"):
            continue
        path.unlink()


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DataError(
            f"The folder '{folder}' for decoded images cannot be made ({error.strerror}): set data.cache."
        ) from error


def _build(
    records: Sequence[ImageRecord],
    target: Path,
    size: tuple[int, int],
    decoder: Decoder,
    workers: int,
    progress: bool,
) -> None:
    """Decode everything into ``target`` and its note, or leave neither."""
    partial = target.with_suffix(f".{os.getpid()}.partial")
    checksums: list[int] = []
    unreadable: dict[int, str] = {}
    black = np.zeros((*size, 3), dtype=np.uint8)
    label = f"decoding images at {size[0]}x{size[1]}"
    try:
        with partial.open("wb") as stream:
            _write_header(stream, (len(records), *size, 3))
            pool = ThreadPoolExecutor(workers)
            try:
                decoded = pool.map(lambda record: _pixels(record, size, decoder), records)
                for row, pixels in enumerate(track(decoded, label, total=len(records), enabled=progress)):
                    if isinstance(pixels, str):
                        unreadable[row] = pixels
                        content = black.tobytes()
                    else:
                        content = pixels.tobytes()
                    checksums.append(zlib.crc32(content))
                    stream.write(content)
            finally:
                pool.shutdown(cancel_futures=True)  # behind a damaged image, or Ctrl-C, the others are not wanted
            stream.flush()
            os.fsync(stream.fileno())
        # the note first: pixels without one would count as damaged
        reasons = {str(row): reason for row, reason in unreadable.items()}
        note = json.dumps({"crc32": checksums, "unreadable": reasons})
        write_atomically(_note(target), lambda stream: stream.write(note.encode()))
        partial.replace(target)  # from here on it is there, whole
    except OSError as error:
        if error.errno not in _FULL:
            raise
        needed = len(records) * size[0] * size[1] * 3 / _BYTES_PER_GIB
        free = shutil.disk_usage(target.parent).free / _BYTES_PER_GIB
        raise DataError(
            f"The decoded images do not fit into '{target.parent}': they need {needed:.2f} GiB, and {free:.2f} GiB are free "
            "there; make room, or set data.cache to another disk."
        ) from error
    finally:
        partial.unlink(missing_ok=True)


def _write_header(stream: Any, shape: tuple[int, ...]) -> None:
    """The start of an .npy file, and the room for the rest: a full disk is met before anything is decoded."""
    header = {"descr": "|u1", "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(stream, header)
    stream.flush()
    if not hasattr(os, "posix_fallocate"):
        return
    try:
        os.posix_fallocate(stream.fileno(), 0, stream.tell() + math.prod(shape))
    except OSError as error:
        # this disk reserves nothing: it is full when it is full
        if error.errno not in (errno.EOPNOTSUPP, errno.EINVAL):
            raise


def _pixels(record: ImageRecord, size: tuple[int, int], decoder: Decoder) -> Pixels | str:
    """One image as (H, W, 3) uint8 RGB; or, where it may be left out, why it cannot be read."""
    try:
        image = decoder.decode(record.path, record.modality).image
    except UnreadableImageError as error:
        if decoder.config.unreadable == "refuse":
            raise
        return str(error)
    return resized(image, size, decoder.config.resize)


def _say_what_floats_mean(decoder: Decoder) -> None:
    if decoder.float_white is not None:
        notice(f"Floating-point images: 0 is black and {decoder.float_white:g} is white, by their largest value.")


def _note(target: Path) -> Path:
    """What stands beside a cache file."""
    return target.with_suffix(".json")


_verified: dict[Path, tuple[int, int]] = {}
"""Files that this process has verified: size and time of change, since every loader opens them anew."""


def _open(target: Path, images: int, size: tuple[int, int]) -> DecodedImages | None:
    """The cache that is there; None where there is none, or it is damaged."""
    if not target.is_file():
        return None
    content = _read(target)
    if content is None or content.pixels.shape != (images, *size, 3):
        _say_damaged(target)
        return None
    stat = target.stat()
    stamp = (stat.st_size, stat.st_mtime_ns)
    if _verified.get(target.absolute()) != stamp:
        evenly = np.linspace(0, images - 1, min(images, _VERIFIED_ON_OPENING))
        if not content.holds(np.unique(evenly.astype(int))):
            _say_damaged(target)
            return None
        _verified[target.absolute()] = stamp
    return DecodedImages(content.pixels, content.unreadable)


def _say_damaged(target: Path) -> None:
    notice(f"The decoded images '{target}' are damaged: decoding them again.")


@dataclass(frozen=True)
class _Content:
    """A cache file and its note."""

    pixels: Pixels
    checksums: Sequence[int]
    unreadable: Mapping[int, str]

    def holds(self, rows: Iterable[int]) -> bool:
        """These images are what was written."""
        return all(zlib.crc32(self.pixels[row].tobytes()) == self.checksums[row] for row in rows)


def _read(target: Path) -> _Content | None:
    """A cache file and its note; None where they do not fit together."""
    try:
        pixels: Pixels = np.load(target, mmap_mode="r", allow_pickle=False)
        note = json.loads(_note(target).read_text(encoding="utf-8"))
        checksums = note["crc32"]
        unreadable = {int(row): str(reason) for row, reason in note["unreadable"].items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError, EOFError):
        return None
    if pixels.dtype != np.uint8 or pixels.ndim != 4 or len(checksums) != len(pixels):
        return None
    return _Content(pixels, checksums, unreadable)


def _whole(target: Path) -> bool:
    content = _read(target)
    return content is not None and content.holds(range(len(content.pixels)))
