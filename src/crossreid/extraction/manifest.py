"""Manifests: a CSV or Parquet table with a line for each image.

``path`` is needed; paths are relative to the manifest's folder. ``x, y, width, height`` (together) say where the person is
in a larger picture, ``frame`` which picture of a video, from 0. ``time`` is in seconds or ISO 8601
(``2025-11-03T22:14:05``; without a zone it is UTC) and becomes seconds. ``modality``, ``camera``, ``track``, ``person`` and
any further column are kept.

Columns of a CSV become numbers where all their cells are decimal numbers, and stay text otherwise. ``person``, ``camera``,
``track`` and ``id`` are names: they become whole numbers where all are plain digits (``0001`` and ``1`` are one person then;
``7.0``, as tables write whole numbers of which some are missing, is 7 but for an ``id``), and else stay as they are written, so
that ``1_11`` and ``11_1``, or ``12e4`` and ``120e3``, are two.
"""

from __future__ import annotations

import csv
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from crossreid.data.datasets.lists import as_number, kind_of, read_text, shortened
from crossreid.errors import ConfigError, DataError, reason_of
from crossreid.evaluation.embeddings import Cell

MANIFEST_SUFFIXES = (".csv", ".parquet")
MOST_BYTES = 2**30
"""Of a manifest: ten million lines."""
MOST_COLUMNS = 200
BOX = ("x", "y", "width", "height")
"""Columns that say which part of a picture an image is, in pixels."""
_LARGEST_PIXEL = 1e6
_ID = "id"
_NAMES = ("person", "camera", "track", _ID)
"""Columns that are compared and never counted with."""
_DECIMAL = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", re.ASCII)
"""What :func:`float` takes for a number is more: ``1_11`` is 111 there."""

Columns = Mapping[str, Sequence[Cell]]


@dataclass(frozen=True)
class Manifest:
    """What a manifest says of N images.

    Attributes:
        paths: N files.
        columns: name -> N values.
        boxes: N times (x, y, width, height) in pixels, or None.
        frames: N places in a video, or None.
    """

    paths: tuple[Path, ...]
    columns: Columns
    boxes: tuple[tuple[float, float, float, float] | None, ...]
    frames: tuple[int | None, ...]


def read_manifest(path: Path) -> Manifest:
    """A manifest, checked.

    Raises:
        ConfigError: Parquet is asked for and pyarrow is not installed.
        DataError: it is missing, damaged, has no column ``path``, or a cell is not what its column needs.
    """
    if path.suffix.lower() == ".parquet":
        columns = _read_parquet(path)
    else:
        columns = _read_csv(path)
    if "path" not in columns:
        first = list(columns)[:12]
        commas = ""
        if len(columns) == 1 and any(mark in first[0] for mark in ";\t|"):
            commas = "; columns are parted by commas"
        raise DataError(f"The manifest '{path}' has no column path: it has {', '.join(first) or 'none'}{commas}.")
    files = []
    for line, cell in enumerate(columns.pop("path"), start=1):
        if not isinstance(cell, str) or "\0" in cell:
            raise DataError(f"Image {line} of the manifest '{path}' has no path: every line needs one.")
        files.append(path.parent / cell)
    boxes = _boxes(path, columns, len(files))
    frames = _frames(path, columns, len(files))
    if "time" in columns:
        times = []
        for number, cell in _counted(columns["time"]):
            times.append(seconds_of(cell, f"the time of image {number} in '{path}'"))
        columns["time"] = times
    return Manifest(tuple(files), columns, boxes, frames)


def seconds_of(cell: Cell, place: str) -> float | None:
    """A time in seconds since 1970 (or whatever numbers count from): a number, or ISO 8601.

    Raises:
        DataError: it is neither; the sentence names the place.
    """
    if cell is None or isinstance(cell, int | float):
        return cell
    if _is_finite(cell):
        return float(cell)
    try:
        moment = datetime.fromisoformat(cell)
    except ValueError:
        raise DataError(
            f"{place[0].upper()}{place[1:]} is {shortened(cell)}: write seconds, or 2025-11-03T22:14:05."
        ) from None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return moment.timestamp()


def _counted(cells: Sequence[Cell]) -> enumerate[Cell]:
    return enumerate(cells, start=1)


def _read_csv(path: Path) -> dict[str, Sequence[Cell]]:
    """The columns of a CSV file with a header, of numbers where all of a column are."""
    _check_size(path)
    reader = csv.reader(read_text(path, "manifest").splitlines())
    try:
        lines = [line for line in reader if line]
    except csv.Error as error:
        raise DataError(f"The manifest '{path}' is no CSV table ({error}).") from error
    if not lines:
        raise DataError(f"The manifest '{path}' is empty: its first line names the columns, such as path,camera,time.")
    header = [name.strip() for name in lines[0]]
    _check_header(path, header)
    for number, line in enumerate(lines[1:], start=1):
        if len(line) != len(header):
            raise DataError(
                f"Image {number} of the manifest '{path}' has {len(line)} cells and the header {len(header)}: put text with "
                "commas into quotes."
            )
    columns: dict[str, Sequence[Cell]] = {}
    for place, name in enumerate(header):
        texts = [line[place].strip() for line in lines[1:]]
        if name == "path":
            columns[name] = texts  # a file may be called 0001
        else:
            columns[name] = _numbers_or_text(name, texts)
    return columns


def _numbers_or_text(name: str, cells: Sequence[str]) -> list[Cell]:
    """A column as whole numbers, else as numbers where it holds no names, else as text; empty cells are None."""
    whole = cells
    if name in _NAMES and name != _ID:
        whole = [cell.removesuffix(".0") or cell for cell in cells]
    if all(_is_whole(cell) for cell in whole if cell):
        return [int(cell) if cell else None for cell in whole]
    if name not in _NAMES and all(_is_finite(cell) for cell in cells if cell):
        return [float(cell) if cell else None for cell in cells]
    return [cell or None for cell in cells]


def _is_whole(text: str) -> bool:
    return as_number(text.removeprefix("-")) is not None


def _is_finite(text: str) -> bool:
    return _DECIMAL.fullmatch(text) is not None and math.isfinite(float(text))


def _read_parquet(path: Path) -> dict[str, Sequence[Cell]]:
    """The columns of a Parquet file that hold text, numbers and times."""
    require_pyarrow(path)
    import pyarrow as pa  # noqa: PLC0415 - extra `search`
    import pyarrow.parquet as pq  # noqa: PLC0415

    _check_size(path)
    try:
        with pq.ParquetFile(path) as file:
            schema = file.schema_arrow
            kept = [name for name in schema.names if not pa.types.is_nested(schema.field(name).type)]
            _check_header(path, kept)
            table = file.read(columns=kept)
        columns: dict[str, Sequence[Cell]] = {}
        for name in kept:
            columns[name] = [_plain(cell) for cell in table[name].to_pylist()]
    except DataError:
        raise
    except Exception as error:  # a damaged file makes pyarrow raise nearly anything
        raise DataError(f"The manifest '{path}' cannot be read ({reason_of(error)}).") from error
    return columns


def require_pyarrow(path: Path) -> None:
    """Raise :class:`ConfigError` where a Parquet file is named and pyarrow is not installed."""
    if find_spec("pyarrow") is None:
        raise ConfigError(f"'{path}' needs the package pyarrow: pip install 'crossreid[search]', or use .csv and .npz.")


def _plain(cell: Any) -> Cell:
    """A cell of a Parquet table as text or a number."""
    if isinstance(cell, datetime):
        return cell.isoformat()  # as times of a CSV are written, so that both are read alike
    if isinstance(cell, float) and not math.isfinite(cell):
        return None
    if isinstance(cell, bool):
        return int(cell)
    if cell is None or isinstance(cell, str | int | float):
        return cell
    return str(cell)[:200]


def _check_size(path: Path) -> None:
    if kind_of(path) != "file":
        raise DataError(f"There is no manifest '{path}'.")
    if path.stat().st_size > MOST_BYTES:
        raise DataError(f"The manifest '{path}' has more than {MOST_BYTES // 2**20} MiB: cut it in parts.")


def _check_header(path: Path, names: Sequence[str]) -> None:
    for name in names:
        if not name or not name.isprintable() or names.count(name) > 1:
            raise DataError(
                f"A column of the manifest '{path}' is called {shortened(name)}: give each a name of its own."
            )
    if len(names) > MOST_COLUMNS:
        raise DataError(f"The manifest '{path}' has {len(names)} columns: keep at most {MOST_COLUMNS}.")


def _boxes(
    path: Path, columns: dict[str, Sequence[Cell]], count: int
) -> tuple[tuple[float, float, float, float] | None, ...]:
    """The four columns of boxes, which stay among the others; None for images without."""
    given = [name for name in BOX if name in columns]
    if not given:
        return (None,) * count
    if len(given) < len(BOX):
        raise DataError(f"The manifest '{path}' has the columns {', '.join(given)}: a box is x, y, width and height.")
    sides = [columns[name] for name in BOX]
    boxes: list[tuple[float, float, float, float] | None] = []
    for number, cells in enumerate(zip(*sides, strict=True), start=1):
        if all(cell is None for cell in cells):
            boxes.append(None)
            continue
        x, y, width, height = [_side(cell) for cell in cells]
        inside = all(abs(value) <= _LARGEST_PIXEL for value in (x, y, width, height))  # nan is not
        if not inside or width < 1 or height < 1:
            raise DataError(f"The box of image {number} in '{path}' is none: give x, y, width and height in pixels.")
        boxes.append((float(x), float(y), float(width), float(height)))
    return tuple(boxes)


def _side(cell: Cell) -> int | float:
    """A number of a box; nan where it is none, which no check lets through."""
    if isinstance(cell, int | float):
        return cell
    return math.nan


def _frames(path: Path, columns: dict[str, Sequence[Cell]], count: int) -> tuple[int | None, ...]:
    """Which pictures of videos; the column stays among the others."""
    frames: list[int | None] = []
    for number, cell in _counted(columns.get("frame", (None,) * count)):
        if cell is not None and (not isinstance(cell, int) or not 0 <= cell < 2**31):
            raise DataError(f"The frame of image {number} in '{path}' is {shortened(str(cell))}: give a number from 0.")
        frames.append(cell)
    return tuple(frames)
