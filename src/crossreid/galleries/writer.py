"""One writer at a time: a lock that the system gives up with its process."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from crossreid.errors import OwnedError
from crossreid.files import check_folder


@contextmanager
def one_writer(place: Path) -> Iterator[None]:
    """Inside, no other process changes what lies at a place.

    Raises:
        OwnedError: another process is changing it.
        WriteError: the place takes no files.
    """
    check_folder(place.absolute().parent, "gallery")
    place.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(place.with_name(f".{place.name}.lock"))
    try:
        lock.acquire(timeout=0)
    except Timeout:
        raise OwnedError(f"Another process is changing the gallery '{place}': wait until it has ended.") from None
    try:
        yield
    finally:
        lock.release()
