"""Writing a file so that it is either the old one or the whole new one, never a part."""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from crossreid.errors import CrossReIDError, WriteError

TEMPORARY = ".tmp"
"""How the names of files end that are being written."""


def write_atomically(path: Path, write: Callable[[BinaryIO], object], *, wait: bool = True) -> None:
    """Call ``write`` on a temporary file beside ``path``, then put that file in its place.

    The folder is made where it is missing. If ``write`` fails, ``path`` is left as it was and the temporary file goes.

    Args:
        path: of the file.
        write: is given the open file.
        wait: until the disk has it, so that it outlives a power cut too; training does not wait for its checkpoints.

    Raises:
        WriteError: the disk is full, or the place takes no files.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}{TEMPORARY}")
    handled = sys.exception()  # of who calls this while handling an error; it is no cause of one here
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with temporary.open("wb") as stream:
            write(stream)
            stream.flush()
            if wait:
                os.fsync(stream.fileno())
        os.replace(temporary, path)
    except Exception as error:
        cause = _cause(error, handled)
        if cause is None:
            raise
        raise unwritable(path, cause) from error
    finally:
        _remove(temporary)


@contextmanager
def folder_in_place(path: Path, own: Collection[str] = ()) -> Iterator[Path]:
    """A new folder to write into, which takes the place of ``path`` when all is written, whole or not at all.

    A folder that is there already gives way only where it holds nothing else than files of the names in ``own``: what
    somebody else put there is never removed. Both are looked at before anything is written. Of a link to a folder, the
    folder that it leads to is replaced.

    Args:
        path: of the folder.
        own: names of files in it that the caller wrote before and may write anew.

    Raises:
        WriteError: the disk is full, the place takes no files, or something lies there that would be lost; what was there
            before is unchanged.
    """
    check_replaceable(path, own)
    place = path.resolve()
    making = place.with_name(f".{place.name}.{os.getpid()}{TEMPORARY}")
    before = place.with_name(f".{place.name}.{os.getpid()}.before")
    handled = sys.exception()
    try:
        making.mkdir(parents=True)
        yield making
        check_replaceable(path, own)  # somebody may have put something there meanwhile
        if place.exists():  # a folder cannot take the place of one that holds something
            place.rename(before)
        making.rename(place)
    except Exception as error:
        cause = _cause(error, handled)
        if cause is None:
            raise
        raise unwritable(path, cause) from error
    finally:
        if before.exists() and not place.exists():  # stopped between the two
            before.rename(place)
        shutil.rmtree(making, ignore_errors=True)
        shutil.rmtree(before, ignore_errors=True)


def check_own_folder(path: Path, key: str = "output") -> None:
    """Raise :class:`WriteError` where a folder that is to be written as a whole is the one that one is in, or around it."""
    try:
        here = Path.cwd()
    except FileNotFoundError:  # it was removed
        return
    place = path.resolve()
    if place == here or place in here.parents:
        raise WriteError(
            f"{key} is to be a folder of its own, and '{path}' is the one that you are in, or one around it: name one inside."
        )


def check_replaceable(path: Path, own: Collection[str]) -> None:
    """Raise :class:`WriteError` where :func:`folder_in_place` would not put a folder; its arguments."""
    check_own_folder(path)
    if path.exists() and not path.is_dir():
        raise WriteError(f"'{path}' is to be a folder, and a file is there: choose another place.")
    others = []
    try:
        for entry in path.iterdir() if path.is_dir() else ():
            plain = entry.is_file() and not entry.is_symlink()
            if not plain or entry.name not in own:
                others.append(entry.name)
    except OSError as error:
        raise unwritable(path, error) from error
    if others:
        raise WriteError(
            f"'{path}' holds '{min(others)}', which would be lost: choose another place, or remove that folder."
        )


def append_whole(path: Path, content: bytes) -> None:
    """Add ``content`` to the end of a file, all of it or nothing.

    Raises:
        WriteError: the disk is full, or the place takes no files.
    """
    try:
        with path.open("ab", buffering=0) as stream:
            size = stream.tell()
            try:
                _write_all(stream.fileno(), content)
            except BaseException:
                stream.truncate(size)  # what came before stays whole
                raise
    except OSError as error:
        raise unwritable(path, error) from error


def check_writable(path: Path, key: str) -> None:
    """Try whether a file can be made at ``path``, and leave nothing behind.

    Args:
        path: of a file to write later; its folders may be missing.
        key: the setting that names it, for the message.

    Raises:
        WriteError: it cannot; the sentence names the setting.
    """
    if path.is_dir():
        raise WriteError(f"{key} is to be the file '{path}', and a folder is there: choose another name.")
    check_folder(path.absolute().parent, key, path)


def check_folder(folder: Path, key: str, path: Path | None = None) -> None:
    """Try whether files can be made in a folder, which may be missing, and leave nothing behind.

    Args:
        folder: to write to later.
        key: the setting that names it, for the message.
        path: what it names, where that is a file inside.

    Raises:
        WriteError: it cannot; the sentence names the setting.
    """
    named = path or folder
    folder = folder.absolute()
    while not folder.exists():
        folder = folder.parent
    if not folder.is_dir():
        raise WriteError(f"{key} is to be '{named}', and '{folder}' is a file, not a folder: choose another place.")
    try:
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise WriteError(f"{key} cannot be written to '{folder}' ({error.strerror}): choose another place.") from error


def unwritable(path: Path, error: OSError) -> WriteError:
    """The sentence for a file that could not be written."""
    return WriteError(
        f"'{path}' could not be written ({error.strerror or error}): free some space, or choose another place; what was "
        "there before is unchanged."
    )


def _cause(error: BaseException | None, handled: BaseException | None) -> OSError | None:
    """The system's error behind an error: libraries that were writing raise others of their own on top of it.

    Args:
        error: what was raised while writing.
        handled: where to stop: what was being handled before.
    """
    if isinstance(error, CrossReIDError) and not isinstance(error, WriteError):  # of what was read for it
        return None
    # what an error was raised from or while handling, back to where this began
    while error is not None and error is not handled:
        if isinstance(error, OSError):
            return error
        error = error.__cause__ or error.__context__
    return None


def _write_all(descriptor: int, content: bytes) -> None:
    """A system may write a part and say how much."""
    left = memoryview(content)
    while left:
        left = left[os.write(descriptor, left) :]


def _remove(path: Path) -> None:
    """Remove a file where it is there; a disk that cannot even do that is not this file's trouble."""
    try:
        path.unlink(missing_ok=True)
    except OSError:
        return


def size_in_words(folder: Path) -> str:
    """What the files of a folder take on the disk, such as ``183 MB``."""
    total = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    if total < 10**6:
        return f"{total / 10**3:.0f} KB"
    return f"{total / 10**6:.0f} MB"
