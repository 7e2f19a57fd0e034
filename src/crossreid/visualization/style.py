"""What the figures share."""

from __future__ import annotations

from pathlib import Path

from matplotlib.figure import Figure

RIGHT = "#2a9d4a"
WRONG = "#d1495b"
NEUTRAL = "#555555"
VISIBLE = "#2f6fb2"
INFRARED = "#c0392b"


def save(figure: Figure, path: Path) -> Path:
    """Write a figure as PNG, whole or not at all; returns its path."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}")
    figure.savefig(partial, format="png", dpi=150, bbox_inches="tight", facecolor="white")
    partial.replace(path)
    return path
