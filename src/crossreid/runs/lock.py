"""A run folder has one owner: a lock that a second run meets with one sentence, and that a dead owner gives up.

:func:`one_process` is for what one command writes, in one go: galleries, extractions.
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

from filelock import FileLock, Timeout

from crossreid.console import notice
from crossreid.errors import OwnedError
from crossreid.files import unwritable, write_atomically

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

LOCK = "lock.json"


@dataclass(frozen=True)
class Owner:
    """A process that writes into a run folder.

    Attributes:
        pid: its number.
        host: the machine that it runs on.
        process: what tells it from a later process of the same number: when it started, as the system says it.
        since: when it took the folder, UTC.
    """

    pid: int
    host: str
    process: str
    since: str

    @classmethod
    def me(cls) -> Owner:
        """This process."""
        since = datetime.now(UTC).isoformat(timespec="seconds")
        return cls(os.getpid(), socket.gethostname(), start_of(os.getpid()) or "", since)

    @property
    def here(self) -> bool:
        """It runs, or ran, on this machine."""
        return self.host == socket.gethostname()

    @property
    def gone(self) -> bool:
        """It certainly runs no more; of another machine nobody here can say that."""
        return self.here and start_of(self.pid) != self.process  # the number may have gone to another process


def owner_of(folder: Path) -> Owner | None:
    """Who a run folder belongs to; None for nobody.

    Raises:
        OwnedError: there is a lock and it cannot be read.
    """
    path = folder / LOCK
    try:
        return Owner(**json.loads(path.read_text(encoding="utf-8")))
    except FileNotFoundError:
        return None
    except NotADirectoryError:
        return None
    except (OSError, ValueError, TypeError) as error:
        raise OwnedError(
            f"'{path}' cannot be read, so nobody knows whether the run in '{folder}' goes on: if it does not, remove that "
            "file."
        ) from error


def refuse_owned(folder: Path) -> None:
    """Raise :class:`OwnedError` where another process writes into a run folder, or may do so."""
    owner = owner_of(folder)
    if owner is None or owner.gone:
        return
    if not owner.here:
        raise OwnedError(
            f"The run in '{folder}' belongs to process {owner.pid} on {owner.host} since {owner.since}: wait for it, or "
            f"choose another run_dir; if it runs no more, remove '{folder / LOCK}'."
        )
    raise OwnedError(
        f"The run in '{folder}' is still going on (process {owner.pid} since {owner.since}): wait for it, stop it, or choose "
        "another run_dir."
    )


def take(folder: Path) -> None:
    """Make this process the owner of a folder that is there.

    Raises:
        OwnedError: it belongs to another process.
        WriteError: nothing can be written there.
    """
    with _alone(folder):
        owner = owner_of(folder)
        refuse_owned(folder)
        if owner is not None:
            notice(f"The process {owner.pid} that wrote to '{folder}' is gone: its folder is taken over.")
        text = json.dumps(asdict(Owner.me())) + "\n"
        write_atomically(folder / LOCK, lambda stream: stream.write(text.encode()))


def give_up(folder: Path) -> None:
    """Let others have the folder, if it is this process's."""
    try:
        owner = owner_of(folder)
    except OwnedError:
        return
    if owner is not None and owner.pid == os.getpid() and owner.here:
        (folder / LOCK).unlink(missing_ok=True)


def start_of(pid: int) -> str | None:
    """When a process of this machine started, in whatever form the system says it; None where there is no such process."""
    stat = Path(f"/proc/{pid}/stat")
    if Path("/proc/self/stat").is_file():
        try:
            # "number (name) state ...": the name may hold spaces and brackets itself
            after_name = stat.read_text().rpartition(")")[2].split()
        except OSError:
            return None
        state = after_name[0]
        start_time = after_name[19]  # in ticks since the machine's own start
        if state in ("Z", "X"):  # a zombie, or dead
            return None
        return f"{_boot()}:{start_time}"
    ps = subprocess.run(["ps", "-o", "lstart=", "-p", str(pid)], capture_output=True, text=True, check=False)
    return ps.stdout.strip() or None


def _boot() -> str:
    """What tells one start of the machine from another."""
    path = Path("/proc/sys/kernel/random/boot_id")
    if not path.is_file():
        return ""
    return path.read_text().strip()


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Inside, no other process of this machine looks at the lock: two could both find a dead owner."""
    if fcntl is None:
        yield
        return
    try:
        descriptor = os.open(folder, os.O_RDONLY)
    except OSError as error:
        raise unwritable(folder / LOCK, error) from error
    try:
        with suppress(OSError):  # some network disks know no such lock
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)  # and with it the lock


@contextmanager
def one_process(lock: Path, refusal: str) -> Iterator[None]:
    """Inside, no other process is; the system gives the lock up with its process.

    Where a disk knows no such locks, as some that lie in a network, filelock says so and goes by a file that is there.

    Args:
        lock: a file of its own, in a folder that is there.
        refusal: the sentence for whoever comes second.

    Raises:
        OwnedError: another process is inside.
    """
    holding = FileLock(lock)
    try:
        holding.acquire(timeout=0)
    except Timeout:
        raise OwnedError(refusal) from None
    try:
        yield
    finally:
        holding.release()
