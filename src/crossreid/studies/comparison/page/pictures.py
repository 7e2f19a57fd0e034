"""Pictures on a page: as part of it, so that nothing has to be fetched."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from crossreid.runs.reading import Run

WIDEST = 1400
"""Pixels; wider pictures are scaled down."""
MOST_BYTES = 24 * 2**20
"""Of all pictures of a page together."""
_MOST_PIXELS = 64_000_000


@dataclass(frozen=True)
class Picture:
    """A picture of a run, ready for a page.

    Attributes:
        title: of its file.
        source: a ``data:`` address that holds it.
        width, height: in pixels, so that the page keeps its place.
    """

    title: str
    source: str
    width: int
    height: int


@dataclass(frozen=True)
class RunPictures:
    """The pictures of one run, and sentences on those that are not shown."""

    name: str
    pictures: list[Picture]
    left_out: list[str]


def pictures_of(runs: Sequence[Run]) -> list[RunPictures]:
    """What the first run of each row drew: ranked lists, generated images, correspondences and so on."""
    budget = MOST_BYTES
    groups = []
    names = set()
    for run in runs:
        if run.name in names:
            continue
        names.add(run.name)
        group = RunPictures(run.name, [], [])
        for path in sorted((run.folder / "figures").glob("*.png")):
            try:
                picture = picture_at(path)
            except (OSError, ValueError, Image.DecompressionBombError) as error:
                group.left_out.append(f"{path.name} cannot be read ({type(error).__name__}).")
                continue
            if len(picture.source) > budget:
                group.left_out.append(f"{path.name} is left out: the page would grow too large.")
                continue
            budget -= len(picture.source)
            group.pictures.append(picture)
        if group.pictures or group.left_out:
            groups.append(group)
    return groups


def picture_at(path: Path) -> Picture:
    """A picture file as part of a page.

    Raises:
        OSError: it cannot be read.
        ValueError: it claims to be larger than any figure.
    """
    return picture_of(path.read_bytes(), path.stem.replace("_", " "))


def picture_of(content: bytes, title: str) -> Picture:
    """An image file's bytes as part of a page.

    Raises:
        OSError: they are no image.
        ValueError: it claims to be larger than any figure.
    """
    with Image.open(io.BytesIO(content)) as image:
        # By what the header claims, before any pixel is read: a small file may claim to be huge.
        if image.width * image.height > _MOST_PIXELS:
            raise ValueError(f"{image.width} x {image.height} pixels")
        shown = image.convert("RGB")
    if shown.width > WIDEST:
        shown = shown.resize((WIDEST, round(shown.height * WIDEST / shown.width)))
    stream = io.BytesIO()
    shown.save(stream, format="PNG", optimize=True)
    encoded = base64.b64encode(stream.getvalue()).decode("ascii")
    return Picture(title, f"data:image/png;base64,{encoded}", shown.width, shown.height)
