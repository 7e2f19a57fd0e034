"""Folders, image files and list files: the steps that readers share."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path

from crossreid.errors import DataError

IMAGE_SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".bmp"})
"""Endings of image files, in lower case."""


Complain = Callable[[str], None]
"""What is done about a problem after which reading can go on: refuse the set, or note it and go on."""


def refuse(problem: str) -> None:
    """Raise :class:`DataError`: what readers do unless they are told otherwise."""
    raise DataError(problem)


def require_folders(root: Path, names: Iterable[str], advice: str, complain: Complain = refuse) -> None:
    """Raise :class:`DataError` where the dataset's folder is not there; complain where it lacks one of the folders."""
    names = tuple(names)
    if not root.is_dir():
        raise DataError(
            f"There is no dataset folder '{root}': set data.root to the folder that holds {', '.join(names)}. {advice}"
        )
    if missing := [name for name in names if not (root / name).is_dir()]:
        complain(f"The dataset folder '{root}' lacks {', '.join(missing)}. {advice}")


def list_images(folder: Path) -> list[Path]:
    """Image files directly in a folder, by name; hidden ones are left out."""
    return sorted(p for p in folder.iterdir() if p.suffix.lower() in IMAGE_SUFFIXES and not p.name.startswith("."))


def read_ids(path: Path) -> frozenset[int]:
    """Comma-separated ids of a text file, one line or several.

    Raises:
        DataError: the file is missing or holds something else.
    """
    if not path.is_file():
        raise DataError(
            f"The id list '{path}' is missing; restore the {path.parent.name} folder that came with the dataset."
        )
    words = path.read_text(encoding="utf-8").replace("\n", ",").split(",")
    try:
        return frozenset(int(word) for word in words if word.strip())
    except ValueError as error:
        raise DataError(f"The id list '{path}' must hold comma-separated numbers ({error}); restore it.") from error


def read_image_list(path: Path) -> list[str]:
    """Image paths of a list file, in its order: lines ``path label``; the label is left out.

    Raises:
        DataError: the file is missing, a line is something else, or an image stands there twice.
    """
    if not path.is_file():
        raise DataError(
            f"The image list '{path}' is missing; restore the {path.parent.name} folder that came with the dataset."
        )
    names: list[str] = []
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
        words = line.rsplit(maxsplit=1)
        if words and (len(words) != 2 or not words[1].isdecimal()):
            raise DataError(f"Line {number} of '{path}' is '{line.strip()}' where 'path label' belongs; restore it.")
        names += words[:1]
    if len(set(names)) < len(names):
        twice = next(name for i, name in enumerate(names) if name in names[:i])
        raise DataError(f"The list '{path}' names '{twice}' twice; restore it.")
    return names


def some(values: Iterable[object], limit: int = 8) -> str:
    """The first values, and how many more there are."""
    listed = [str(value) for value in values]
    rest = f" and {len(listed) - limit} more" if len(listed) > limit else ""
    return ", ".join(listed[:limit]) + rest
