"""Folders, image files and list files: the steps that readers share.

Whatever lies in a dataset's folder is read right, left out and counted, or refused in one sentence that names it.
"""

from __future__ import annotations

import codecs
import os
import stat
import unicodedata
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Literal, NamedTuple

from crossreid.errors import DataError

IMAGE_SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".bmp", ".tif", ".tiff", ".webp", ".jp2"})
"""Endings of image files, in lower case."""

MOST_DIGITS = 18
"""Digits of a person's number in a list or a layout that numbers people: more do not fit 64 bits."""

MOST_CAMERA = 9999
"""The largest number of a camera."""

Complain = Callable[[str], None]
"""What is done about a problem after which reading can go on: refuse the set, or note it and go on."""

Kind = Literal["file", "folder", "something else", "nothing"]
"""What lies at a place; a link counts as what it leads to, and as nothing where it leads nowhere or in a circle."""

_MARKS = (  # the longer ones first: that of UTF-32 begins like that of UTF-16
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)


class SkippedFiles(NamedTuple):
    """Files that a reader left out for one reason."""

    reason: str
    files: int
    example: Path


class Skipped:
    """Counts what a reader leaves out, by reason."""

    def __init__(self) -> None:
        self._by_reason: dict[str, SkippedFiles] = {}

    def add(self, reason: str, path: Path) -> None:
        """One more; the first of a reason is its example."""
        known = self._by_reason.get(reason, SkippedFiles(reason, 0, path))
        self._by_reason[reason] = known._replace(files=known.files + 1)

    def by_reason(self) -> tuple[SkippedFiles, ...]:
        """Reasons in the order in which they came up."""
        return tuple(self._by_reason.values())


def refuse(problem: str) -> None:
    """Raise :class:`DataError`: what readers do unless they are told otherwise."""
    raise DataError(problem)


def kind_of(path: Path) -> Kind:
    """What lies at a place.

    Raises:
        DataError: that must not be looked at.
    """
    try:
        mode = path.stat().st_mode
    except PermissionError as error:
        raise DataError(f"'{path}' must not be read by this user: give yourself the right to read it.") from error
    except (OSError, ValueError):  # nothing there, a link in a circle, a name that no file can have
        return "nothing"
    if stat.S_ISDIR(mode):
        return "folder"
    if stat.S_ISREG(mode):
        return "file"
    return "something else"


def is_folder(path: Path) -> bool:
    """A folder is there; False where nothing is.

    Raises:
        DataError: something else is there.
    """
    kind = kind_of(path)
    if kind in ("file", "something else"):
        raise DataError(f"'{path}' is a file where a folder belongs: remove or rename it.")
    return kind == "folder"


def is_image(path: Path) -> bool:
    """A file is there; False where nothing is.

    Raises:
        DataError: something else is there.
    """
    kind = kind_of(path)
    if kind in ("folder", "something else"):
        raise DataError(f"'{path}' is no file where an image belongs ({kind}): remove or rename it.")
    return kind == "file"


def require_folders(root: Path, names: Iterable[str], advice: str, complain: Complain = refuse) -> None:
    """Raise :class:`DataError` where the dataset's folder is not there; complain where it lacks one of the folders."""
    names = tuple(names)
    if not is_folder(root):
        raise DataError(
            f"There is no dataset folder '{root}': set data.root to the folder that holds {', '.join(names)}. {advice}"
        )
    missing = [name for name in names if not is_folder(root / name)]
    if missing:
        complain(f"The dataset folder '{root}' lacks {', '.join(missing)}. {advice}")


def list_entries(folder: Path) -> list[Path]:
    """All that lies directly in a folder, by name; nothing where there is no folder.

    Raises:
        DataError: it must not be read, or holds a name that cannot be shown.
    """
    try:
        names = sorted(os.listdir(folder))
    except FileNotFoundError:
        return []
    except OSError as error:
        raise DataError(f"The folder '{folder}' cannot be read ({error.strerror or error}).") from error
    for name in names:
        if any(unicodedata.category(sign) in ("Cc", "Cs") for sign in name):
            raise DataError(
                f"A name in '{folder}' cannot be shown ({name!a}): it is no UTF-8 text or has control characters; rename it."
            )
    return [folder / name for name in names]


def list_folders(folder: Path) -> list[Path]:
    """Folders directly in a folder, by name; hidden ones are left out."""
    folders = []
    for path in list_entries(folder):
        if not _hidden(path) and kind_of(path) == "folder":
            folders.append(path)
    return folders


def list_images(folder: Path, skipped: Skipped | None = None, *, beside_folders: bool = False) -> list[Path]:
    """Image files directly in a folder, by name.

    Args:
        folder: where they lie.
        skipped: counts what is left out: hidden files, other endings, folders.
        beside_folders: folders belong here, and are not counted.

    Raises:
        DataError: the folder cannot be read, or something with an image's name is no file.
    """
    skipped = skipped or Skipped()
    images = []
    for path in list_entries(folder):
        suffix = path.suffix.lower()
        if _hidden(path):
            skipped.add("hidden file", path)
        elif suffix in IMAGE_SUFFIXES:
            if not is_image(path):
                raise DataError(
                    f"'{path}' is a link that leads nowhere, or in a circle: restore the image, or remove it."
                )
            images.append(path)
        elif kind_of(path) == "folder":
            if not beside_folders:
                skipped.add("folder among images", path)
        elif suffix:
            skipped.add(f"ending {suffix} not known", path)
        else:
            skipped.add("name without an ending", path)
    return images


def _hidden(path: Path) -> bool:
    return path.name.startswith(".")


def read_text(path: Path, what: str, *, of_dataset: bool = False) -> str:
    """The text of a list: UTF-8 with or without a byte order mark, UTF-16 or UTF-32 with one.

    Args:
        path: the list.
        what: it is, for messages, such as ``id list``.
        of_dataset: its folder came with a dataset, which messages name; otherwise a person gave the path.

    Raises:
        DataError: it is missing, a folder, must not be read, or is no text.
    """
    kind = kind_of(path)
    if kind == "nothing":
        mend = f"restore the {path.parent.name} folder that came with the dataset" if of_dataset else "check its path"
        raise DataError(f"The {what} '{path}' is missing; {mend}.")
    if kind != "file":
        raise DataError(f"'{path}' is no file where the {what} belongs ({kind}); restore it.")
    try:
        content = path.read_bytes()
    except OSError as error:
        raise DataError(f"The {what} '{path}' cannot be read ({error.strerror or error}).") from error
    try:
        text = content.decode(_encoding_of(content))
    except UnicodeDecodeError as error:
        raise DataError(
            f"The {what} '{path}' is no text in UTF-8 or UTF-16; save it as UTF-8, or restore it."
        ) from error
    if "\0" in text:
        raise DataError(
            f"The {what} '{path}' is no text in UTF-8 (it has null bytes); save it as UTF-8, or restore it."
        )
    return text


def _encoding_of(content: bytes) -> str:
    """By the byte order mark; UTF-8 without one."""
    for mark, encoding in _MARKS:
        if content.startswith(mark):
            return encoding
    return "utf-8"


def read_ids(path: Path, *, of_dataset: bool = False) -> frozenset[int]:
    """Comma-separated ids of a text file, one line or several; an id that stands there twice is one.

    Args:
        path: the file.
        of_dataset: as for :func:`read_text`.

    Raises:
        DataError: the file is missing or holds something else.
    """
    ids = set()
    for line in read_text(path, "id list", of_dataset=of_dataset).splitlines():
        for word in line.split(","):
            if not word.strip():
                continue
            number = as_number(word.strip())
            if number is None:
                raise DataError(
                    f"The id list '{path}' must hold comma-separated numbers ({shortened(word)} is none); restore it."
                )
            ids.add(number)
    return frozenset(ids)


def read_image_list(path: Path) -> list[str]:
    """Image paths of a list file, in its order: lines ``path label``; the label is left out.

    Raises:
        DataError: the file is missing, a line is something else, or an image stands there twice.
    """
    names: list[str] = []
    for number, line in enumerate(read_text(path, "image list", of_dataset=True).splitlines(), start=1):
        words = line.strip().rsplit(maxsplit=1)
        if words and (len(words) != 2 or not words[1].isdecimal()):
            raise DataError(
                f"Line {number} of '{path}' is {shortened(line.strip())} where 'path label' belongs; restore it."
            )
        names += words[:1]
    known: set[str] = set()
    for name in names:
        if name in known:
            raise DataError(f"The list '{path}' names {shortened(name)} twice; restore it.")
        known.add(name)
    return names


def as_number(text: str) -> int | None:
    """Decimal digits as a number; None for anything else, and for numbers that are too long."""
    if text.isascii() and text.isdecimal() and len(text.lstrip("0")) <= MOST_DIGITS:
        return int(text)
    return None


def person_number(text: str, place: object) -> int:
    """A person's number; :class:`DataError` where it is too long."""
    number = as_number(text)
    if number is None:
        raise DataError(
            f"The person's number in '{place}' must be at most {MOST_DIGITS} digits: give it a shorter one."
        )
    return number


def camera_number(text: str, place: object) -> int:
    """A camera's number; :class:`DataError` where it is 0 or too large."""
    number = as_number(text)
    if number is None or number > MOST_CAMERA:
        raise DataError(f"'{place}' says camera {shortened(text)}: the largest number of a camera is {MOST_CAMERA}.")
    if number < 1:
        raise DataError(f"The name of '{place}' says camera {number}: cameras count from 1.")
    return number


def shortened(text: str, most: int = 60) -> str:
    """Text of somebody else's in quotes, on one line, cut where it is long."""
    literal = repr(text)
    if len(literal) <= most:
        return literal
    return f"{literal[: most - 4]}...'"


def some(values: Iterable[object], limit: int = 8) -> str:
    """The first values, and how many more there are."""
    words = list(map(str, values))
    if len(words) <= limit:
        return ", ".join(words)
    return f"{', '.join(words[:limit])} and {len(words) - limit} more"
