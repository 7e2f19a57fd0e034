"""What the figures share."""

from __future__ import annotations

import io
from pathlib import Path
from typing import BinaryIO

from matplotlib.figure import Figure

from crossreid.files import write_atomically

RIGHT = "#2a9d4a"
WRONG = "#d1495b"
NEUTRAL = "#555555"
VISIBLE = "#2f6fb2"
INFRARED = "#c0392b"


def as_png(figure: Figure) -> bytes:
    """A figure as the bytes of a PNG."""
    stream = io.BytesIO()
    write_png(figure, stream)
    return stream.getvalue()


def write_png(figure: Figure, stream: BinaryIO) -> None:
    """Write a figure as PNG into an open file."""
    figure.savefig(stream, format="png", dpi=150, bbox_inches="tight", facecolor="white")


def save(figure: Figure, path: Path) -> Path:
    """Write a figure as PNG, whole or not at all; returns its path."""
    write_atomically(path, lambda stream: write_png(figure, stream))
    return path
