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
SERIES = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000")
"""Colours of lines: Okabe and Ito's, told apart by colour-blind readers too."""
_DASHES = ("-", "--", ":", "-.")


def series_style(number: int) -> tuple[str, str]:
    """Colour and dashes of a line by its number from 0; dashes tell apart what has one colour again."""
    colour = SERIES[number % len(SERIES)]
    rounds = number // len(SERIES)  # how often all colours have been used
    dashes = _DASHES[rounds % len(_DASHES)]
    return colour, dashes


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
