"""Reading a file that torch.save wrote elsewhere: tensors, numbers, text, and NumPy's arrays and scalars; nothing else.

Public codes save scores beside the weights, as NumPy made them. Torch's loader for weights alone refuses these, so NumPy's
names are opened to it, and stand for the few lines below: bytes become numbers, and NumPy's own unpickling is never run.
"""

from __future__ import annotations

import math
import re
import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from crossreid.errors import CheckpointError, CrossReIDError, DataError
from crossreid.untrusted import archive_members

_NUMBERS = re.compile(r"[<>=|]?([?]|[biuf][1248])")
"""NumPy's codes of truth values, whole numbers and floats."""
_ASKED_FOR = re.compile(r"GLOBAL ([\w.<>]+)")
"""In torch's refusal, what a file asks for."""
_LONGEST_NAME = 80
"""Of what is shown of that, in characters."""
_MULTIARRAY = ("numpy.core.multiarray", "numpy._core.multiarray")
"""Where NumPy 1 and 2 keep what their pickles name."""


class OtherThanNumbersError(ValueError):
    """An array that holds something else, or not as much as it says; the message goes into a sentence."""


class _NumberType:
    """Stands for ``numpy.dtype``: the type of plain numbers."""

    def __init__(self, code: object, *_: object) -> None:
        text = str(code)
        if not _NUMBERS.fullmatch(text):
            raise OtherThanNumbersError(f"it holds an array of '{text[:20]}', which are no numbers")
        self.dtype = np.dtype(text)

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        """The order of bytes is all that is taken."""
        order = state[1]  # of (version, order, ...)
        if order in ("<", ">"):
            self.dtype = self.dtype.newbyteorder(order)

    def numbers(self, content: object) -> npt.NDArray[Any]:
        """Bytes as numbers, in a row."""
        if not isinstance(content, bytes):
            raise OtherThanNumbersError("it holds an array without numbers")
        return np.frombuffer(content, self.dtype)


class _NumberArray:
    """Stands for ``numpy.ndarray``; filled by its state."""

    def __init__(self) -> None:
        self.values: npt.NDArray[Any] = np.empty(0)

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        """(version, shape, type, Fortran order, bytes)."""
        _, shape, kind, by_columns, content = state
        row = _type_of(kind).numbers(content)
        if not isinstance(shape, tuple) or math.prod(shape) != len(row):
            raise OtherThanNumbersError("it holds an array that is not as long as it says")
        if by_columns:
            self.values = row.reshape(shape, order="F")
        else:
            self.values = row.reshape(shape)


def _type_of(kind: object) -> _NumberType:
    if not isinstance(kind, _NumberType):
        raise OtherThanNumbersError("it holds an array without a type")
    return kind


def _empty_array(*_: object) -> _NumberArray:
    """Stands for ``_reconstruct``, whose arguments say nothing of the array."""
    return _NumberArray()


def _no_bytes() -> bytes:
    """Stands for ``bytes``, by which the content of an empty array is written."""
    return b""


def _number(kind: object, content: object) -> Any:
    """Stands for ``scalar``."""
    (value,) = _type_of(kind).numbers(content)
    return value


def _opened_names() -> list[Callable[..., Any] | tuple[Callable[..., Any], str]]:
    names: list[Callable[..., Any] | tuple[Callable[..., Any], str]] = [
        (_NumberType, "numpy.dtype"),
        (_NumberArray, "numpy.ndarray"),
    ]
    for module in ("__builtin__", "builtins"):  # of Python 2 and 3
        names.append((_no_bytes, f"{module}.bytes"))
    for module in _MULTIARRAY:
        names.append((_number, f"{module}.scalar"))
        names.append((_empty_array, f"{module}._reconstruct"))
    return names


def read_pickled(path: Path) -> Any:
    """What torch.save wrote, on the CPU, in any of its formats.

    Args:
        path: the file.

    Returns:
        Groups, lists, tensors, numbers, text; NumPy's arrays and scalars as such.

    Raises:
        CheckpointError: it is missing, damaged, or asks for anything else.
    """
    if not path.is_file():
        raise CheckpointError(f"There is no file '{path}': give the path of the weights.")
    try:
        if zipfile.is_zipfile(path):  # older versions of torch write no archive
            _refuse_program(path)
            archive_members(path, stored_only=True)
        with torch.serialization.safe_globals(_opened_names()), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of a damaged file torch talks for programmers, before it fails
            content = torch.load(path, map_location="cpu", weights_only=True)
    except DataError as error:
        raise CheckpointError(str(error)) from error
    except Exception as error:  # a damaged file makes torch raise nearly anything
        raise CheckpointError(f"'{path}' cannot be read ({why_unread(error)}).") from error
    return _plain(content)


def _refuse_program(path: Path) -> None:
    """Raise :class:`DataError` for an archive of TorchScript, which holds code beside its constants, compressed."""
    for member in archive_members(path):
        if member.name.endswith("/constants.pkl"):
            raise DataError(
                f"'{path}' cannot be read (it is a program of TorchScript: load it with torch.jit.load, and save its "
                "state_dict() with torch.save)."
            )


def _plain(content: Any) -> Any:
    """What stands for an array, as the array; at the first two levels, where codes keep scores."""
    if isinstance(content, dict):
        return {key: _array_or_same(value) for key, value in content.items()}
    return _array_or_same(content)


def _array_or_same(value: Any) -> Any:
    if isinstance(value, _NumberArray):
        return value.values
    return value


def why_unread(error: Exception) -> str:
    """Why torch does not read a file, in words of files: what it says itself is for programmers."""
    if isinstance(error, OtherThanNumbersError | CrossReIDError):
        return str(error)
    said = " ".join(str(error).split())  # in one line
    asked = _ASKED_FOR.search(said)
    if asked:
        name = asked[1][:_LONGEST_NAME]
        return (
            f"it asks for {name} besides weights, numbers and NumPy's arrays: opening it could run what its maker put in, so "
            "it is not opened"
        )
    return "it is damaged, or not what torch.save writes"
