"""A sheet of visible and thermal pairs from a set in RegDB's layout: ``python benchmarks/pairs_sheet.py ROOT SHEET.png``."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
from PIL import Image

PEOPLE, COLUMNS = 16, 8


def pair(root: Path, pid: int) -> np.ndarray:
    """The first pair of a person beside each other, (H, 2 W, 3)."""
    visible = min((root / "Visible" / str(pid)).iterdir())
    thermal = root / "Thermal" / str(pid) / visible.name.replace("_v_", "_t_")
    return np.hstack([np.asarray(Image.open(path)) for path in (visible, thermal)])


def main(root: Path, sheet: Path) -> None:
    pairs = [pair(root, pid) for pid in range(1, PEOPLE + 1)]
    rows = [np.hstack(pairs[start : start + COLUMNS]) for start in range(0, PEOPLE, COLUMNS)]
    Image.fromarray(np.vstack(rows)).save(sheet)


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit("usage: python benchmarks/pairs_sheet.py ROOT SHEET.png")
    main(*map(Path, sys.argv[1:]))
