"""What the figures share."""

from __future__ import annotations

from pathlib import Path
from typing import BinaryIO

from matplotlib.figure import Figure

from crossreid.files import write_atomically

RIGHT = "#2a9d4a"
WRONG = "#d1495b"
NEUTRAL = "#555555"
VISIBLE = "#2f6fb2"
INFRARED = "#c0392b"


def save(figure: Figure, path: Path) -> Path:
    """Write a figure as PNG, whole or not at all; returns its path."""

    def write(stream: BinaryIO) -> None:
        figure.savefig(stream, format="png", dpi=150, bbox_inches="tight", facecolor="white")

    write_atomically(path, write)
    return path
