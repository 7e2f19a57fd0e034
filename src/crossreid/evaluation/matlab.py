"""MATLAB files of numbers: version 5 (``save``, ``save -v7``) through SciPy, version 7.3 (HDF5) through h5py.

Matrices and cells of matrices are read; text, structures, sparse matrices and objects are refused, and so is a file that
would unpack to far more than it has.
"""

from __future__ import annotations

import struct
import zlib
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import scipy.io

from crossreid.errors import ConfigError, DataError
from crossreid.evaluation.embeddings import Array
from crossreid.untrusted import fits, most_unpacked

Cells = list[Array]
"""Matrices of a cell array, in MATLAB's order (column by column)."""

NUMBERS = ("double", "single", "logical", *(f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64)))
"""Classes of MATLAB that hold real numbers."""
_CELL = "cell"
_HEADER = 128
"""Bytes before the first variable of version 5."""
_COMPRESSED = 15
"""Type of a compressed variable there."""
_CHUNK = 2**20
_HDF5 = b"MATLAB 7.3"


def read_matlab(path: Path) -> dict[str, Array | Cells]:
    """All variables of a .mat file: a matrix as (rows, columns), a cell array as the list of its matrices.

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
        return _read_version_5(path)
    except (ConfigError, DataError):
        raise
    except Exception as error:  # SciPy and h5py raise many kinds on damaged files
        reason = " ".join(str(error).split())[:160] or type(error).__name__
        raise DataError(f"{path} cannot be read as a MATLAB file ({reason}).") from error


def _read_version_5(path: Path) -> dict[str, Array | Cells]:
    major, _ = scipy.io.matlab.matfile_version(str(path))
    if major != 1:
        raise DataError(f"{path} is a MATLAB file of another version than 5 and 7.3: save it with -v7 or -v7.3.")
    _check_unpacked_size(path)
    for name, _, kind in scipy.io.whosmat(path):
        _check_class(path, name, kind)
    variables: dict[str, Array | Cells] = {}
    for name, value in scipy.io.loadmat(path).items():
        if name.startswith("__"):  # of the file itself
            continue
        if value.dtype == object:
            variables[name] = [_as_matrix(path, name, part) for part in value.ravel(order="F")]
        else:
            variables[name] = _as_matrix(path, name, value)
    return variables


def _check_unpacked_size(path: Path) -> None:
    """Refuse a file whose compressed variables are far larger than the file; nothing is kept of what is unpacked here."""
    most = most_unpacked(path.stat().st_size)
    total = 0
    with path.open("rb") as stream:
        header = stream.read(_HEADER)
        order = "<" if header[-2:] == b"IM" else ">"
        while len(tag := stream.read(8)) == 8:
            kind, size = struct.unpack(f"{order}2I", tag)
            if kind != _COMPRESSED:
                total += size
                stream.seek(size, 1)
            else:
                total += _unpacked(stream, size, most - total)
            if total > most:
                raise DataError(f"{path} cannot be read (it would unpack to far more than it has: damaged or hostile).")


def _unpacked(stream: BinaryIO, size: int, most: int) -> int:
    """Bytes of a compressed variable of ``size`` bytes; counting ends beyond ``most``."""
    unpacking = zlib.decompressobj()
    total = 0
    while size and total <= most:
        packed = stream.read(min(size, _CHUNK))
        if not packed:
            raise ValueError("it is cut off")
        size -= len(packed)
        while packed and total <= most:
            total += len(unpacking.decompress(packed, _CHUNK))
            packed = unpacking.unconsumed_tail
    return total


def _check_class(path: Path, name: str, kind: str) -> None:
    if kind not in (*NUMBERS, _CELL):
        raise DataError(f"'{name}' in {path} is of MATLAB's class {kind}, not of numbers: save without it.")


def _as_matrix(path: Path, name: str, value: object) -> Array:
    """What stands in a variable or a cell, as numbers."""
    if not isinstance(value, np.ndarray) or value.dtype.kind not in "iufb" or value.ndim != 2:
        raise DataError(f"'{name}' in {path} holds something else than matrices of real numbers.")
    return value


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
            if not isinstance(self._file.get(name, getlink=True), h5py.HardLink):
                raise DataError(f"'{name}' in {self._path} is a link to somewhere else, which is not followed.")
            variables[name] = self._variable(name, self._file[name])
        return variables

    def _variable(self, name: str, dataset: Any) -> Array | Cells:
        kind = self._class(dataset)
        _check_class(self._path, name, kind)
        if kind != _CELL:
            return self._numbers(name, dataset)
        if dataset.attrs.get("MATLAB_empty"):
            return []
        cells: Cells = []
        references = self._read(name, dataset)  # (columns, rows), so that its rows are MATLAB's columns
        for reference in references.ravel():
            part = self._file[reference]
            if self._class(part) not in NUMBERS:
                raise DataError(f"'{name}' in {self._path} holds something else than matrices of real numbers.")
            cells.append(self._numbers(name, part))
        return cells

    def _class(self, dataset: Any) -> str:
        kind = dataset.attrs.get("MATLAB_class", b"unknown")
        return kind.decode("ascii", "replace") if isinstance(kind, bytes) else "unknown"

    def _numbers(self, name: str, dataset: Any) -> Array:
        values = self._read(name, dataset)
        if dataset.attrs.get("MATLAB_empty"):  # the dataset holds the shape
            if values.size != 2 or values.all():
                raise DataError(f"'{name}' in {self._path} holds something else than matrices of real numbers.")
            rows, columns = map(int, values.ravel())
            if rows > _CHUNK:
                raise DataError(f"'{name}' in {self._path} says that it is larger than it is.")
            return np.zeros((rows, columns))
        return _as_matrix(self._path, name, values.T)

    def _read(self, name: str, dataset: Any) -> Array:
        """A dataset of this file alone, within what the file may unpack to."""
        import h5py  # noqa: PLC0415 - extra `matlab`

        if not isinstance(dataset, h5py.Dataset) or dataset.is_virtual or dataset.external:
            raise DataError(f"'{name}' in {self._path} does not lie in this file, which is not followed.")
        if not fits(dataset.shape, dataset.dtype.itemsize, self._left):
            raise DataError(f"'{name}' in {self._path} would unpack to far more than the file has: damaged or hostile.")
        self._left -= dataset.size * dataset.dtype.itemsize
        return np.asarray(dataset[()])
