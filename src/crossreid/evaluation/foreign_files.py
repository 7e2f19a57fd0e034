"""Files of embeddings from anywhere as named arrays: .npz, .npy with a list beside it, Parquet, MATLAB.

Nothing is unpickled, and no more memory is taken than a file stands for. Names are brought to those of
:func:`~crossreid.evaluation.load_foreign`; what a name stands for is :mod:`.public_layouts`' part.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from crossreid.data.datasets.lists import as_number, read_image_list, read_text, shortened
from crossreid.errors import ConfigError, DataError, reason_of
from crossreid.evaluation.array_files import Array, read_array, read_arrays
from crossreid.evaluation.matlab import read_matlab
from crossreid.evaluation.public_paths import described_by_paths

ENDINGS = (".npz", ".npy", ".parquet", ".mat")
LISTS = (".csv", ".txt")
"""Endings of what says which image a row of an .npy is."""
PER_IMAGE = ("pids", "camids", "frames", "infrared", "roles")
_PATH = "path"
_SAME_AS = {
    "pid": "pids",
    "camid": "camids",
    "frame": "frames",
    "frame_of_person": "frames",
    "role": "roles",
    "embedding": "features",
}
"""Names of columns, ours of Parquet among them -> names of arrays."""


def named_arrays(path: Path) -> dict[str, Array]:
    """The arrays of one file by their names.

    Raises:
        ConfigError: the package that reads it is not installed.
        DataError: it is missing, damaged, of another kind, or holds something else than numbers.
    """
    if path.suffix == ".npz":
        return read_arrays(path)
    if path.suffix == ".npy":
        return _from_npy(path)
    if path.suffix == ".parquet":
        return _from_parquet(path)
    if path.suffix == ".mat":
        return _from_matlab(path)
    raise DataError(f"'{path}' is no file of embeddings that can be read: its name should end in {', '.join(ENDINGS)}.")


def list_beside(path: Path) -> Path:
    """What says which images the rows of an .npy are.

    Raises:
        DataError: there is none, or there are two.
    """
    there = []
    for ending in LISTS:
        candidate = path.with_suffix(ending)
        if candidate.is_file():
            there.append(candidate)
    if len(there) != 1:
        problem = "Two files say"
        if not there:
            problem = "Nothing says"
        raise DataError(
            f"{problem} which images the rows of {path} are: put {path.stem}.csv (columns pids, camids, frames and infrared, "
            f"or path) or {path.stem}.txt (a path of an image a line, in the order of the rows) beside it."
        )
    return there[0]


def _from_npy(path: Path) -> dict[str, Array]:
    features = read_array(path)
    table = list_beside(path)
    if table.suffix == ".txt":
        arrays = described_by_paths(table, read_image_paths(table))
    else:
        arrays = _from_csv(table)
    count = len(next(iter(arrays.values())))
    if features.ndim != 2 or len(features) != count:
        raise DataError(f"{path} has the shape {features.shape}, and {table.name} names {count} images.")
    return {"features": features, **arrays}


def read_image_paths(path: Path) -> list[str]:
    """Paths of images, a line each; a label after the path, as public lists have it, is left out."""
    paths = []
    for line in read_text(path, "image list").split("\n"):
        if line.strip():
            paths.append(line.strip())
    # Labels are in all lines or in none: paths may hold spaces, and end in a number.
    if paths and all(map(_has_label, paths)):
        return read_image_list(path)
    return paths


def _has_label(line: str) -> bool:
    words = line.split()
    return len(words) == 2 and words[1].isdecimal()


def _from_csv(path: Path) -> dict[str, Array]:
    """Columns of whole numbers, or of paths."""
    reader = csv.reader(io.StringIO(read_text(path, "table of images")))
    try:
        rows = [row for row in reader if row]
    except csv.Error as error:
        raise DataError(f"'{path}' cannot be read as CSV ({error}).") from error
    if len(rows) < 2:
        raise DataError(f"'{path}' names no image: a line of headings, then a line an image.")
    names = []
    for heading in rows[0]:
        name = heading.strip()
        names.append(_SAME_AS.get(name, name))
    lengths = {len(row) for row in rows}
    if len(set(names)) < len(names) or lengths != {len(names)}:
        raise DataError(f"'{path}' has lines of other lengths than its headings, or a heading twice.")
    cells_of_columns = zip(*rows[1:], strict=True)
    columns = dict(zip(names, cells_of_columns, strict=True))
    if _PATH in columns and "pids" not in columns:
        return described_by_paths(path, list(columns[_PATH]))
    columns.pop(_PATH, None)  # pids are there: what a path says is not needed
    arrays: dict[str, Array] = {}
    for name, cells in columns.items():
        arrays[name] = _whole_column(path, name, cells)
    return arrays


def _whole_column(path: Path, name: str, cells: Sequence[str]) -> Array:
    """Whole numbers of a column of text; a modality or role may be said in words."""
    words = {"visible": 0, "infrared": 1, "true": 1, "false": 0, "any": 0, "query": 1, "gallery": 2, "distractor": 3}
    numbers = []
    for cell in cells:
        text = cell.strip()
        number = as_number(text.removeprefix("-"))
        if number is not None and text.startswith("-"):
            number = -number
        if number is None and name in ("infrared", "roles"):
            number = words.get(text.lower())
        if number is None:
            raise DataError(f"The column {name} of '{path}' holds {shortened(cell)}, which is no whole number.")
        numbers.append(number)
    return np.array(numbers, dtype=np.int64)


def _from_parquet(path: Path) -> dict[str, Array]:
    if find_spec("pyarrow") is None:
        raise ConfigError(f"'{path}' needs the package pyarrow: pip install 'crossreid[search]', or use .npz.")
    import pyarrow.parquet as pq  # noqa: PLC0415 - extra `search`

    if not path.is_file():
        raise DataError(f"There is no embeddings file {path}.")
    try:
        table = pq.read_table(path)
        columns = {name: table[name].combine_chunks() for name in table.column_names}  # one array a column
        return _parquet_columns(columns)
    except Exception as error:  # a damaged file makes pyarrow raise nearly anything
        raise DataError(f"'{path}' cannot be read as embeddings ({reason_of(error)}).") from error


def _parquet_columns(columns: Mapping[str, Any]) -> dict[str, Array]:
    """Numbers and lists of equal lengths; columns of text say something else of the images and are left out."""
    import pyarrow as pa  # noqa: PLC0415 - extra `search`

    arrays: dict[str, Array] = {}
    for name, column in columns.items():
        meant = _SAME_AS.get(name, name)
        kind = column.type
        if meant not in ("features", *PER_IMAGE):
            continue
        if column.null_count:
            raise ValueError(f"the column {name} has empty cells")
        if pa.types.is_fixed_size_list(kind) or pa.types.is_list(kind) or pa.types.is_large_list(kind):
            flat = column.flatten()
            if flat.null_count or not len(column) or len(flat) % len(column):
                raise ValueError(f"the lists of the column {name} are not of one length")
            lengths = {len(cell) for cell in column}
            if len(lengths) != 1:
                raise ValueError(f"the lists of the column {name} are not of one length")
            arrays[meant] = flat.to_numpy(zero_copy_only=False).reshape(len(column), -1)
        else:
            arrays[meant] = column.to_numpy(zero_copy_only=False)
    return arrays


def _from_matlab(path: Path) -> dict[str, Array]:
    arrays: dict[str, Array] = {}
    for name, value in read_matlab(path).items():
        if isinstance(value, list):
            raise DataError(
                f"'{name}' in {path} is a cell array: where it holds the features of one camera of SYSU-MM01, name the "
                "folder with those of all of them (NAME_cam1.mat to NAME_cam6.mat)."
            )
        arrays[name] = value
        if name != "features" and not name.endswith(("_feat", "_f", "_features")) and 1 in value.shape:
            arrays[name] = value.ravel()  # MATLAB has no vectors
    return arrays
