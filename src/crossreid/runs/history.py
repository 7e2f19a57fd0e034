"""history.csv of a run: every logged number, one row each: iteration, key, value."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from crossreid.errors import DataError, reason_of
from crossreid.escaping import from_csv

HEADER = ("iteration", "key", "value")
LOSSES = "train/"
"""How the keys of losses begin; ``player/loss`` follows."""


def as_csv(rows: Iterable[Sequence[Any]]) -> bytes:
    """Rows as they stand in the file."""
    text = io.StringIO(newline="")
    csv.writer(text).writerows(rows)
    return text.getvalue().encode()


def rows_of(path: Path) -> list[tuple[int, str, str]]:
    """Whole rows: iteration, key and value as it stands there. A row that a kill has cut off is left out.

    Raises:
        DataError: the file cannot be read.
    """
    rows = []
    try:
        with path.open(newline="", encoding="utf-8") as stream:
            for row in csv.reader(stream):
                if len(row) == len(HEADER) and row[0].isdecimal() and _is_number(row[2]):
                    rows.append((int(row[0]), row[1], row[2]))
    except (OSError, ValueError, csv.Error) as error:
        raise DataError(f"'{path}' cannot be read ({reason_of(error)}): remove it to go on.") from error
    return rows


def read_history(path: Path) -> dict[str, list[tuple[int, float]]]:
    """The file as key -> [(iteration, value), ...].

    Raises:
        DataError: the file cannot be read.
    """
    history: dict[str, list[tuple[int, float]]] = {}
    for iteration, key, value in rows_of(path):
        history.setdefault(from_csv(key), []).append((iteration, float(value)))
    return history


def losses_of(path: Path) -> dict[str, list[tuple[int, float]]]:
    """The losses alone, as ``player/loss`` -> [(iteration, value), ...].

    Raises:
        DataError: the file cannot be read.
    """
    losses = {}
    for key, curve in read_history(path).items():
        if key.startswith(LOSSES):
            losses[key.removeprefix(LOSSES)] = curve
    return losses


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
