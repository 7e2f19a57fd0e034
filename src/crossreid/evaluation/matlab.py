"""MATLAB files of numbers: version 5 (``save``, ``save -v7``), and version 7.3 (HDF5) through h5py.

Matrices, cells of matrices and cells of these are read; text, structures, sparse matrices and objects are refused, and so is
a file that would unpack to far more than it has. Version 5 is read here, by "MAT-File Format" (The MathWorks, R2019b, chapter
1), and not by SciPy, in which a damaged file can end the process: every length is checked before it is believed.
"""

from __future__ import annotations

import math
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from crossreid.errors import ConfigError, DataError, reason_of
from crossreid.evaluation.array_files import Array
from crossreid.untrusted import fits, most_unpacked

Cells = list["Array | Cells"]
"""Matrices of a cell array, or cell arrays again, in MATLAB's order (column by column)."""

_CELL = "cell"
_CLASSES = {
    1: _CELL,
    2: "struct",
    3: "object",
    4: "char",
    5: "sparse",
    6: "double",
    7: "single",
    8: "int8",
    9: "uint8",
    10: "int16",
    11: "uint16",
    12: "int32",
    13: "uint32",
    14: "int64",
    15: "uint64",
}
"""Number of a class in version 5 -> its name."""
NUMBERS = {
    "double": "f8",
    "single": "f4",
    "logical": "u1",
    "int8": "i1",
    "uint8": "u1",
    "int16": "i2",
    "uint16": "u2",
    "int32": "i4",
    "uint32": "u4",
    "int64": "i8",
    "uint64": "u8",
}
"""Classes of MATLAB that hold real numbers -> their types."""
_STORED = {1: "i1", 2: "u1", 3: "i2", 4: "u2", 5: "i4", 6: "u4", 7: "f4", 9: "f8", 12: "i8", 13: "u8"}
"""Number of a data type in version 5 -> the type; a matrix may be stored in a smaller one than its class."""
# Further data types, by their numbers.
_INT8 = 1
_INT32 = 5
_UINT32 = 6
_MATRIX = 14
_COMPRESSED = 15
_COMPLEX = 0x0800
"""Flag of a matrix with imaginary parts."""
_HEADER = 128
"""Bytes before the first variable of version 5."""
_MOST_EMPTY = 2**20
"""Rows or columns of a matrix without any number."""
_HDF5 = b"MATLAB 7.3"
_DEEPEST = 2
"""Cell arrays in each other: rand_perm_cam.mat has a cell a camera, and in it one a person."""


def read_matlab(path: Path) -> dict[str, Array | Cells]:
    """All variables of a .mat file: a matrix as (rows, columns), a cell array as the list of its cells.

    Raises:
        ConfigError: it is of version 7.3 and h5py is not installed.
        DataError: it is missing, damaged, of version 4, unpacks without bound, or holds something else than real numbers.
    """
    if not path.is_file():
        raise DataError(f"There is no MATLAB file {path}.")
    try:
        with path.open("rb") as stream:
            is_hdf5 = stream.read(len(_HDF5)) == _HDF5
        if is_hdf5:
            return _read_hdf5(path)
        return _Version5(path).variables()
    except (ConfigError, DataError):
        raise
    except Exception as error:  # h5py and zlib raise many kinds on damaged files
        raise DataError(f"{path} cannot be read as a MATLAB file ({reason_of(error)}).") from error


class _Head(NamedTuple):
    """What version 5 says of a matrix or cell array before its content."""

    name: str
    kind: str
    shape: tuple[int, ...]
    has_imaginary_parts: bool


class _Version5:
    """A MATLAB file of version 5: elements, each with its type and length; a matrix is an element of elements."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._content = memoryview(path.read_bytes())
        self._left = most_unpacked(len(self._content))
        header = self._content[:_HEADER]
        # The last two bytes are the letters MI, as the machine that wrote the file orders them.
        orders = {b"IM": "<", b"MI": ">"}
        order = orders.get(bytes(header[-2:]))
        if order is None or struct.unpack(f"{order}H", header[-4:-2]) != (0x0100,):
            raise DataError(f"{path} cannot be read as a MATLAB file of version 5 or 7.3: save it with -v7 or -v7.3.")
        self._order = order

    def variables(self) -> dict[str, Array | Cells]:
        """All of them; what has no name belongs to objects."""
        variables: dict[str, Array | Cells] = {}
        for kind, content in self._elements(self._content[_HEADER:]):
            if kind == _COMPRESSED:
                (kind, content), *others = self._elements(memoryview(self._unpacked(content)))  # noqa: PLW2901
                if others:
                    raise ValueError("a compressed variable is followed by something else")
            if kind != _MATRIX:
                raise ValueError("something else than variables stands in it")
            name, value = self._variable(content)
            if name:
                variables[name] = value
        return variables

    def _unpacked(self, packed: memoryview) -> bytes:
        unpacking = zlib.decompressobj()
        # One byte more than is left, to tell a file that ends there from one that goes on.
        content = unpacking.decompress(packed, self._left + 1)
        if len(content) > self._left:
            raise DataError(
                f"{self._path} cannot be read (it would unpack to far more than it has: damaged or hostile)."
            )
        if not unpacking.eof:
            raise ValueError("it is cut off")
        self._left -= len(content)
        return content

    def _elements(self, content: memoryview) -> Iterator[tuple[int, memoryview]]:
        """Type and data of each element in a part of the file."""
        place = 0
        while place < len(content):
            kind, size = struct.unpack_from(f"{self._order}2I", content, place)
            start = place + 8
            if kind >> 16:  # a small element: type, length and data in eight bytes
                size = kind >> 16
                kind &= 0xFFFF
                start = place + 4
                if size > 4:
                    raise ValueError("a length in it is wrong")
            data = content[start : start + size]
            if len(data) < size:
                raise ValueError("it is cut off")
            yield kind, data
            place = start + size
            if kind != _COMPRESSED:  # all others are padded to a multiple of eight bytes
                place += -place % 8

    def _variable(self, content: memoryview) -> tuple[str, Array | Cells]:
        """Name and value of a matrix or cell array; what has no name is not looked at."""
        head, elements = self._head(content)
        if not head.name:
            return "", []
        return head.name, self._value(head.name, head, elements, depth=0)

    def _head(self, content: memoryview) -> tuple[_Head, Iterator[tuple[int, memoryview]]]:
        """What stands before the numbers or cells of a variable or cell, and an iterator that goes on there."""
        elements = self._elements(content)
        flags = int(self._numbers(_following(elements), _UINT32)[0])
        shape = tuple(self._numbers(_following(elements), _INT32).tolist())
        name = bytes(self._numbers(_following(elements), _INT8)).decode("ascii")  # cells have none
        return _Head(name, _CLASSES.get(flags & 0xFF, "unknown"), shape, bool(flags & _COMPLEX)), elements

    def _value(self, name: str, head: _Head, elements: Iterator[tuple[int, memoryview]], depth: int) -> Array | Cells:
        """A matrix, or the cells of a cell array.

        Args:
            name: of the variable that it is in, for messages.
            head: of it.
            elements: behind the head.
            depth: cell arrays around it.
        """
        _check_class(self._path, name, head.kind)
        if len(head.shape) != 2 or min(head.shape) < 0 or head.has_imaginary_parts:
            raise DataError(_no_numbers(self._path, name))
        if head.kind != _CELL:
            return self._matrix(_following(elements), head.shape, head.kind)
        _check_depth(self._path, name, depth)
        cells = [self._cell(name, element, depth + 1) for element in elements]
        if len(cells) != math.prod(head.shape):
            raise ValueError(f"'{name}' has another number of cells than it says")
        return cells

    def _cell(self, name: str, element: tuple[int, memoryview], depth: int) -> Array | Cells:
        """What is in a cell."""
        kind, content = element
        if kind != _MATRIX:
            raise ValueError("something else than a matrix stands in a cell")
        if not content:  # as MATLAB writes an empty one
            return np.zeros((0, 0))
        head, elements = self._head(content)
        return self._value(name, head, elements, depth)

    def _matrix(self, element: tuple[int, memoryview], shape: tuple[int, ...], kind: str) -> Array:
        """(rows, columns) of real numbers."""
        stored = self._numbers(element)
        # A matrix without numbers takes no memory in the file, whatever shape it says
        if max(shape) > _MOST_EMPTY and not len(stored):
            raise ValueError("it says that it is larger than it is")
        return stored.reshape(shape, order="F").astype(NUMBERS[kind])

    def _numbers(self, element: tuple[int, memoryview], expected: int | None = None) -> Array:
        """The numbers of an element."""
        kind, content = element
        if kind not in _STORED or expected not in (None, kind):
            raise ValueError("a type in it is wrong")
        return np.frombuffer(content, self._order + _STORED[kind])


def _following(elements: Iterator[tuple[int, memoryview]]) -> tuple[int, memoryview]:
    """The next element, which must be there."""
    for element in elements:
        return element
    raise ValueError("it is cut off")


def _no_numbers(path: Path, name: str) -> str:
    return f"'{name}' in {path} holds something else than matrices of real numbers."


def _check_depth(path: Path, name: str, depth: int) -> None:
    """Raise :class:`DataError` where cells lie in cells without end, as references of version 7.3 can."""
    if depth >= _DEEPEST:
        raise DataError(f"'{name}' in {path} has cells in cells in cells, which nothing here is made for.")


def _check_class(path: Path, name: str, kind: str) -> None:
    if kind not in (*NUMBERS, _CELL):
        raise DataError(f"'{name}' in {path} is of MATLAB's class {kind}, not of numbers: save without it.")


def _read_hdf5(path: Path) -> dict[str, Array | Cells]:
    try:
        import h5py  # noqa: PLC0415 - extra `matlab`
    except ImportError as error:
        raise ConfigError(
            f"'{path}' is a MATLAB file of version 7.3, which needs the package h5py: pip install 'crossreid[matlab]', or "
            "save it with -v7."
        ) from error
    with h5py.File(path, "r") as file:
        return _Hdf5(path, file).variables()


class _Hdf5:
    """A MATLAB file of version 7.3: matrices are datasets, transposed; a cell array is one of references to datasets.

    Args:
        path: of the file, for messages.
        file: it, open.
    """

    def __init__(self, path: Path, file: Any) -> None:
        self._path = path
        self._file = file
        self._left = most_unpacked(path.stat().st_size)

    def variables(self) -> dict[str, Array | Cells]:
        """All of them."""
        import h5py  # noqa: PLC0415 - extra `matlab`

        variables: dict[str, Array | Cells] = {}
        for name in self._file:
            if name.startswith("#"):  # what cells refer to
                continue
            # An external link could lead to any file of this computer, and a soft one to an external one.
            if not isinstance(self._file.get(name, getlink=True), h5py.HardLink):
                raise DataError(f"'{name}' in {self._path} is a link to somewhere else, which is not followed.")
            variables[name] = self._variable(name, self._file[name])
        return variables

    def _variable(self, name: str, dataset: Any, depth: int = 0) -> Array | Cells:
        kind = self._class(dataset)
        _check_class(self._path, name, kind)
        if kind != _CELL:
            return self._numbers(name, dataset)
        _check_depth(self._path, name, depth)
        if dataset.attrs.get("MATLAB_empty"):
            return []
        references = self._read(name, dataset)  # (columns, rows), so that its rows are MATLAB's columns
        return [self._variable(name, self._file[reference], depth + 1) for reference in references.ravel()]

    def _class(self, dataset: Any) -> str:
        kind = dataset.attrs.get("MATLAB_class", b"unknown")
        if not isinstance(kind, bytes):  # a file of another program may have anything there
            return "unknown"
        return kind.decode("ascii", "replace")

    def _numbers(self, name: str, dataset: Any) -> Array:
        values = self._read(name, dataset)
        if dataset.attrs.get("MATLAB_empty"):  # the dataset holds the shape
            if values.size != 2 or values.all() or values.max() > _MOST_EMPTY:
                raise DataError(_no_numbers(self._path, name))
            rows, columns = map(int, values.ravel())
            return np.zeros((rows, columns))
        if values.ndim != 2 or values.dtype.kind not in "iuf":
            raise DataError(_no_numbers(self._path, name))
        return values.T

    def _read(self, name: str, dataset: Any) -> Array:
        """A dataset of this file alone, within what the file may unpack to."""
        import h5py  # noqa: PLC0415 - extra `matlab`

        if not isinstance(dataset, h5py.Dataset) or dataset.is_virtual or dataset.external:
            raise DataError(f"'{name}' in {self._path} does not lie in this file, which is not followed.")
        if not fits(dataset.shape, dataset.dtype.itemsize, self._left):
            raise DataError(f"'{name}' in {self._path} would unpack to far more than the file has: damaged or hostile.")
        self._left -= dataset.size * dataset.dtype.itemsize
        return np.asarray(dataset[()])
