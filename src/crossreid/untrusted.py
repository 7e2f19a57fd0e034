"""Reading files that other people may have made: nothing in them is imported, resolved, looked up or expanded without bound.

Every limit is far above what a run writes: a file beyond it was not written by one.
"""

from __future__ import annotations

import json
import math
import zipfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from crossreid.errors import DataError, reason_of

MOST_BYTES_OF_SETTINGS = 4 * 2**20
"""Of a YAML file; those of runs have some 5 kB."""
MOST_BYTES_OF_RESULTS = 256 * 2**20
"""Of a JSON file; results of ten trials with thousands of persons have a few MB."""
DEEPEST = 40
"""Levels of lists and groups inside each other; settings have some five."""
_FREE_BYTES = 2**30
"""An archive may unpack to so much in any case,"""
_MOST_RATIO = 20
"""and beyond it to so many times its own size: features hardly compress, and a bomb has a thousand."""


class _PlainLoader(yaml.SafeLoader):
    """Numbers, text, lists and groups. Aliases, which can expand without bound, and deep nesting are refused."""

    def __init__(self, stream: str) -> None:
        super().__init__(stream)
        self._depth = 0

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        """As PyYAML does it, but for aliases and depth."""
        if self.check_event(yaml.AliasEvent):
            raise yaml.YAMLError("it refers to parts of itself (aliases), which settings of a run never do")
        if self._depth >= DEEPEST:
            raise yaml.YAMLError(f"it is nested more than {DEEPEST} levels deep")
        self._depth += 1
        try:
            return super().compose_node(parent, index)
        finally:
            self._depth -= 1


def read_yaml(path: Path) -> dict[str, Any]:
    """A YAML file of settings as it stands there: ``${...}`` and ``_target_`` are text like any other.

    Raises:
        DataError: it is missing, damaged, too large, nested too deep, holds aliases, or no group of settings.
    """
    text = _read_text(path, MOST_BYTES_OF_SETTINGS)
    try:
        content = yaml.load(text, Loader=_PlainLoader)
    except (yaml.YAMLError, ValueError, TypeError, AttributeError, RecursionError, OverflowError) as error:
        raise DataError(f"'{path}' cannot be read ({_reason(error)}).") from error
    if not isinstance(content, dict) or not all(isinstance(key, str) for key in content):
        raise DataError(f"'{path}' holds no settings.")
    return content


def read_json(path: Path) -> dict[str, Any]:
    """A JSON file that holds an object. What is no finite number (NaN, 1e999) is None, as in JSON itself.

    Raises:
        DataError: it is missing, damaged, too large, nested too deep, or something else.
    """
    text = _read_text(path, MOST_BYTES_OF_RESULTS)
    try:
        content = json.loads(text, parse_constant=lambda name: None, parse_float=_finite_or_none)
    except (ValueError, RecursionError) as error:
        raise DataError(f"'{path}' cannot be read ({_reason(error)}).") from error
    if not isinstance(content, dict):
        raise DataError(f"'{path}' holds no JSON object.")
    if _deeper_than(content, DEEPEST):
        raise DataError(f"'{path}' cannot be read (it is nested more than {DEEPEST} levels deep).")
    return content


def _finite_or_none(text: str) -> float | None:
    number = float(text)
    if math.isfinite(number):
        return number
    return None


def _read_text(path: Path, most: int) -> str:
    """A text file of at most so many bytes; a pipe or a device, which may never end, is refused too."""
    try:
        if path.exists() and not path.is_file():
            raise DataError(f"'{path}' cannot be read (it is no file).")
        with path.open("rb") as stream:
            raw = stream.read(most + 1)  # one more says that there are more
        if len(raw) > most:
            raise DataError(f"'{path}' cannot be read (it has more than {most // 2**20} MiB, which no run writes).")
        return raw.decode("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"'{path}' cannot be read ({_reason(error)}).") from error


def _reason(error: BaseException) -> str:
    """What is wrong with a file, in a line of bounded length: a message may hold the file's own content."""
    if isinstance(error, RecursionError):
        return f"it is nested more than {DEEPEST} levels deep"
    if isinstance(error, FileNotFoundError):
        return "it is not there"
    if isinstance(error, UnicodeDecodeError):
        return "it is no UTF-8 text"
    return reason_of(error)


def _deeper_than(content: object, levels: int) -> bool:
    """Lists and groups stand inside each other deeper than that; without recursion."""
    layer = [content]
    for _ in range(levels):
        inner: list[object] = []
        for value in layer:
            parts: Iterable[object] = ()
            if isinstance(value, dict):
                parts = value.values()
            elif isinstance(value, list):
                parts = value
            inner += [part for part in parts if isinstance(part, dict | list)]
        if not inner:
            return False
        layer = inner
    return True


@dataclass(frozen=True)
class Member:
    """A file inside an archive.

    Attributes:
        name: as the archive has it; it is never a path that is written to.
        size: bytes when unpacked, which reading does not go beyond.
    """

    name: str
    size: int


def archive_members(path: Path, *, stored_only: bool = False) -> list[Member]:
    """What is in a zip archive, once it is known that unpacking it is bounded. Nothing is unpacked here.

    Args:
        path: the archive.
        stored_only: refuse compressed members and ones that overlap, too.

    Raises:
        DataError: it is no archive, or its members would unpack to far more than it has.
    """
    try:
        size = path.stat().st_size
        with zipfile.ZipFile(path) as archive:
            infos = archive.infolist()
    except Exception as error:  # a damaged directory makes zipfile raise nearly anything
        raise DataError(f"'{path}' cannot be read ({_reason(error)}).") from error
    total = sum(info.file_size for info in infos)
    compressed = any(info.compress_type != zipfile.ZIP_STORED for info in infos)
    overlapping = total > size  # parts that are not compressed take as much room in the file as they have bytes
    if stored_only and (compressed or overlapping):
        raise DataError(f"'{path}' cannot be read (its parts unpack to more than the file has).")
    if total > most_unpacked(size):
        raise DataError(
            f"'{path}' cannot be read (it has {size} bytes and would unpack to {total}: a damaged or hostile file)."
        )
    return [Member(info.filename, info.file_size) for info in infos]


def most_unpacked(size: int) -> int:
    """Bytes that a file of ``size`` bytes may unpack to."""
    return max(_FREE_BYTES, _MOST_RATIO * size)


def fits(shape: Sequence[int], itemsize: int, size: int) -> bool:
    """An array of that shape and bytes an entry is not larger than ``size`` bytes; huge shapes do not overflow."""
    return min(shape, default=0) >= 0 and math.prod(shape) * itemsize <= size
