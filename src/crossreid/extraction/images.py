"""Which images are to be embedded, and what is known of each: from a folder, a glob, a list, a file or a manifest."""

from __future__ import annotations

import glob
import hashlib
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from crossreid.data.datasets.folder_images import MODALITY_FOLDERS
from crossreid.data.datasets.lists import IMAGE_SUFFIXES, kind_of, list_folders, list_images, read_text, some
from crossreid.data.datasets.names import read_name
from crossreid.data.records import MODALITIES, Modality
from crossreid.errors import ConfigError, DataError
from crossreid.evaluation.embeddings import Cell
from crossreid.extraction.manifest import MANIFEST_SUFFIXES, Manifest, read_manifest

AUTO = "auto"
"""A modality that the image's colours decide: grey is infrared."""
_GLOB_SIGNS = "*?["
_LIST_SUFFIX = ".txt"
_DEEPEST = 32
"""Folders inside each other; a link that leads to its own folder has no end."""


class PersonBox(NamedTuple):
    """Where a person is in a larger picture, in pixels from its upper left corner."""

    x: float
    y: float
    width: float
    height: float


@dataclass(frozen=True)
class ImageList:
    """N images to embed.

    Attributes:
        paths: N files: images, or videos where ``frames`` says which picture.
        modalities: N modalities; None where the colours decide.
        columns: name -> N further values; ``camera`` where a column or a file's name says it.
        boxes: N places of the person in the picture; None where the picture shows the person alone.
        frames: N places of a picture in a video, from 0; None for image files.
    """

    paths: tuple[Path, ...]
    modalities: tuple[Modality | None, ...]
    columns: Mapping[str, Sequence[Cell]]
    boxes: tuple[PersonBox | None, ...]
    frames: tuple[int | None, ...]

    def __len__(self) -> int:
        return len(self.paths)

    def digest(self) -> str:
        """SHA-256 of what decides the images and all that is known of them: names, sizes, times of change, places."""
        digest = hashlib.sha256()
        for path, modality, box, frame in zip(self.paths, self.modalities, self.boxes, self.frames, strict=True):
            try:
                stat = path.stat()
                version = (stat.st_size, stat.st_mtime_ns)
            except OSError:
                version = (0, 0)  # it will be refused, or left out
            known = repr((str(path), version, modality, box, frame))
            digest.update(known.encode(errors="surrogateescape"))  # a file's name need not be UTF-8
        digest.update(repr(sorted(self.columns.items())).encode(errors="surrogateescape"))
        return digest.hexdigest()


def list_source(source: str | Path | Sequence[str | Path], modality: str | None) -> ImageList:
    """The images that a source names.

    Args:
        source: a folder (with all folders inside), a glob, an image file, a list of files (.txt, one a line), a manifest
            (.csv or .parquet), or a sequence of files.
        modality: ``visible`` or ``infrared`` of all images, ``auto`` (grey images are infrared), or None: a column
            ``modality`` or a folder's name says it.

    Raises:
        ConfigError: the modality is none, contradicts a column, or nothing says it.
        DataError: there is no image, or a file is not there.
    """
    if modality is not None and modality not in (*MODALITIES, AUTO):
        raise ConfigError(f"modality is '{modality}': choose from visible, infrared, auto.")
    manifest = _manifest_at(source)
    if manifest is None:
        paths = _paths_at(source)
        known: dict[str, Sequence[Cell]] = {}
        manifest = Manifest(tuple(paths), known, (None,) * len(paths), (None,) * len(paths))
    if not manifest.paths:
        raise DataError(
            f"There is no image at '{_shown(source)}': name a folder, a glob, a list or a manifest of images."
        )
    columns = dict(manifest.columns)
    said = columns.pop("modality", (None,) * len(manifest.paths))
    modalities = []
    for path, cell in zip(manifest.paths, said, strict=True):
        modalities.append(_modality_of(path, cell, modality))
    if "camera" not in columns:
        columns |= _cameras_of(manifest.paths)
    boxes: list[PersonBox | None] = []
    for box in manifest.boxes:
        boxes.append(None if box is None else PersonBox(*box))
    return ImageList(manifest.paths, tuple(modalities), columns, tuple(boxes), manifest.frames)


def _manifest_at(source: str | Path | Sequence[str | Path]) -> Manifest | None:
    """What a manifest says; None where the source is none."""
    if not isinstance(source, str | Path) or Path(source).suffix.lower() not in MANIFEST_SUFFIXES:
        return None
    return read_manifest(Path(source))


def _paths_at(source: str | Path | Sequence[str | Path]) -> list[Path]:
    """The files of any source but a manifest."""
    if not isinstance(source, str | Path):
        return [Path(path) for path in source]
    path = Path(source).expanduser()
    kind = kind_of(path)
    if kind == "folder":
        return _images_below(path, 0)
    if kind == "file" and path.suffix.lower() == _LIST_SUFFIX:
        return _listed(path)
    if kind == "file" and path.suffix.lower() in IMAGE_SUFFIXES:
        return [path]
    if kind == "file":
        raise DataError(
            f"'{path}' is no image, list or manifest by its ending: name a folder, an image, a .txt, .csv or .parquet."
        )
    if any(sign in str(source) for sign in _GLOB_SIGNS):
        return _matching(path)
    raise DataError(f"There is nothing at '{path}': name a folder, a glob, an image, a list or a manifest.")


def _matching(pattern: Path) -> list[Path]:
    """All images that a glob names, by path."""
    found = []
    for name in glob.glob(str(pattern), recursive=True):
        file = Path(name)
        if file.suffix.lower() in IMAGE_SUFFIXES and kind_of(file) == "file":
            found.append(file)
    return sorted(found)


def _images_below(folder: Path, depth: int) -> list[Path]:
    """All images of a folder and of those inside it, by path; hidden ones are left out."""
    if depth > _DEEPEST:
        raise DataError(f"'{folder}' is more than {_DEEPEST} folders deep: a link leads in a circle; remove it.")
    images = list_images(folder, beside_folders=True)
    for inner in list_folders(folder):
        images += _images_below(inner, depth + 1)
    return images


def _listed(path: Path) -> list[Path]:
    """The files of a list, one a line, relative to its folder."""
    files = []
    for line in read_text(path, "list of images").splitlines():
        if line.strip():
            files.append(path.parent / line.strip())
    return files


def _modality_of(path: Path, cell: Cell, asked: str | None) -> Modality | None:
    """The modality of an image: its column's, else what was asked for, else that of the nearest folder that names one."""
    if cell is not None:
        named = MODALITY_FOLDERS.get(str(cell).lower())
        if named is None:
            raise DataError(f"The modality of '{path}' is '{str(cell)[:40]}': write visible or infrared.")
        if asked in MODALITIES and asked != named:
            raise ConfigError(
                f"modality={asked}, and the column modality says that '{path}' is {named}: leave one out."
            )
        return named
    for modality in MODALITIES:
        if asked == modality:
            return modality
    for part in reversed(path.parent.parts):  # from the nearest folder outwards
        if part.lower() in MODALITY_FOLDERS:
            return MODALITY_FOLDERS[part.lower()]
    if asked == AUTO:
        return None
    raise ConfigError(
        f"Nothing says the modality of '{path}': add modality=visible, infrared or auto (grey images are infrared), a column "
        "modality, or folders visible and infrared."
    )


def _cameras_of(paths: Sequence[Path]) -> dict[str, Sequence[Cell]]:
    """The column ``camera`` from file names such as ``c2_0001.jpg``; none where no name says it."""
    cameras = [read_name(path).camera for path in paths]
    if all(camera is None for camera in cameras):
        return {}
    return {"camera": cameras}


def _shown(source: object) -> str:
    """A source in a message."""
    if isinstance(source, str | os.PathLike):
        return str(source)
    if isinstance(source, Sequence):
        return some(list(source), limit=3)
    return some([source], limit=3)
