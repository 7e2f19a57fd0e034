"""One writer at a time: a lock that the system gives up with its process."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from crossreid.files import check_folder
from crossreid.runs.lock import one_process


class FileVersion(NamedTuple):
    """What tells a file from what stood in its place before: files of galleries are replaced, never written into."""

    number: int
    changed: int
    size: int


def version_of(path: Path) -> FileVersion | None:
    """The version of a file that is there; None where there is none."""
    if not path.exists():
        return None
    stat = path.stat()
    # A file that takes another's place has an inode of its own, even where the clock shows the same time.
    return FileVersion(stat.st_ino, stat.st_mtime_ns, stat.st_size)


@contextmanager
def one_writer(place: Path) -> Iterator[None]:
    """Inside, no other process changes what lies at a place.

    Raises:
        OwnedError: another process is changing it.
        WriteError: the place takes no files.
    """
    check_folder(place.absolute().parent, "gallery")
    place.parent.mkdir(parents=True, exist_ok=True)
    refusal = f"Another process is changing the gallery '{place}': wait until it has ended."
    with one_process(place.with_name(f".{place.name}.lock"), refusal):
        yield
