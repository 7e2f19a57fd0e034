"""Files of plain NumPy arrays, .npz and .npy, of whom one knows nothing: nothing is unpickled."""

from __future__ import annotations

import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, BinaryIO, cast

import numpy as np
from numpy.typing import NDArray

from crossreid.errors import DataError, reason_of
from crossreid.untrusted import Member, archive_members, fits

Array = NDArray[Any]


def read_arrays(path: Path) -> dict[str, Array]:
    """All arrays of an .npz file, by name; nothing is unpickled, and no more memory is taken than the file stands for.

    Raises:
        DataError: it is missing, damaged, no .npz file, or larger inside than it can be.
    """
    if not path.is_file():
        raise DataError(f"There is no embeddings file {path}.")
    if not zipfile.is_zipfile(path):
        with path.open("rb") as stream:
            start = stream.read(len(np.lib.format.MAGIC_PREFIX))
        reason = "it is none, or is cut off"
        if start == np.lib.format.MAGIC_PREFIX:
            reason = "it is a single array, not a file of named ones"
        raise DataError(f"{path} cannot be read as an .npz file of plain arrays ({reason}).")
    members = archive_members(path)
    arrays: dict[str, Array] = {}
    try:
        with zipfile.ZipFile(path) as archive:
            for member in members:
                # Twice from the start: a member of an archive cannot be turned back.
                with archive.open(member.name) as stream:
                    _check_header(cast("BinaryIO", stream), member)
                with archive.open(member.name) as stream:
                    array = np.lib.format.read_array(stream, allow_pickle=False)
                arrays[member.name.removesuffix(".npy")] = array
    except DataError:
        raise
    except Exception as error:  # a damaged file makes zipfile and numpy raise nearly anything
        raise DataError(f"{path} cannot be read as an .npz file of plain arrays ({reason_of(error)}).") from error
    return arrays


def read_array(path: Path) -> Array:
    """The array of an .npy file; nothing is unpickled, and no more memory is taken than the file stands for.

    Raises:
        DataError: it is missing, damaged, or holds Python objects.
    """
    if not path.is_file():
        raise DataError(f"There is no embeddings file {path}.")
    try:
        with path.open("rb") as stream:
            _check_header(stream, Member(path.name, path.stat().st_size))
            stream.seek(0)
            array: Array = np.lib.format.read_array(stream, allow_pickle=False)
    except Exception as error:  # numpy raises many kinds on damaged files
        raise DataError(f"{path} cannot be read as an .npy file of a plain array ({reason_of(error)}).") from error
    return array


def concatenated(parts: Sequence[Mapping[str, Array]]) -> dict[str, Array]:
    """Arrays of one or more sets of images, one set after the other, by the names of the first one."""
    arrays: dict[str, Array] = {}
    for name in parts[0]:
        arrays[name] = np.concatenate([part[name] for part in parts])
    return arrays


def _check_header(stream: BinaryIO, member: Member) -> None:
    """Refuse an array whose header asks for more than there is: numpy would take the memory before it reads."""
    version = np.lib.format.read_magic(stream)
    if version == (1, 0):
        header = np.lib.format.read_array_header_1_0(stream)
    else:
        header = np.lib.format.read_array_header_2_0(stream)
    shape, _, dtype = header
    if dtype.hasobject:
        raise ValueError(f"'{member.name}' holds Python objects")
    if not fits(shape, dtype.itemsize, member.size):
        raise ValueError(f"'{member.name}' says that it is larger than it is")
