"""Jobs in processes of their own, several at once: started, listened to, stopped, and named where one dies."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from multiprocessing.connection import wait
from pathlib import Path
from typing import Any

from crossreid.interruption import SIGNALS, Interruption, name_of, when_parent_ends
from crossreid.multirun.jobs import FAILED, STOPPED, Job, JobEnd
from crossreid.spawning import SPAWN, without_main
from crossreid.stages import Stage

_LOOK_EVERY = 0.5
"""Seconds between two looks at what was asked of this process."""
_PATIENCE = 20.0
"""Seconds that jobs have to end after a second signal, before they are killed."""


class JobProcess:
    """A job in a process of its own.

    Args:
        target: called in that process with a connection, to which it sends every :class:`Stage` and at last a
            :class:`JobEnd`, and with ``arguments``.
        arguments: what else it is given.
        context: how the process is started.

    Attributes:
        stage: where the job is.
    """

    def __init__(self, target: Callable[..., None], arguments: Sequence[Any], context: Any = SPAWN) -> None:
        self._pipe, theirs = context.Pipe(duplex=False)
        self._process = context.Process(target=target, args=(theirs, *arguments))
        with without_main():
            self._process.start()
        # With the only other copy in the job's process, its end is the end of the pipe.
        theirs.close()
        self._end: JobEnd | None = None
        self.stage = Stage("starting")

    @property
    def handles(self) -> list[Any]:
        """What to wait for: a message, or the end of the process."""
        if self._pipe.closed:
            return [self._process.sentinel]
        return [self._pipe, self._process.sentinel]

    def look(self) -> JobEnd | None:
        """Take what the job has sent; how it ended, or None while it runs."""
        # Asked before the messages are read: what a process sends last would be missed the other way round.
        ended = self._process.exitcode is not None
        self._receive()
        if not ended:
            return None
        self._process.join()
        if self._end is not None:
            return self._end
        return death(self._process.exitcode or 0)

    @property
    def silent(self) -> bool:
        """It has not said how it ended: it died, perhaps of a signal that came before it could take that over."""
        return self._end is None

    def send(self, signum: int) -> None:
        """Send the process a signal; nothing where it has ended."""
        if self._process.is_alive() and self._process.pid:
            with suppress(ProcessLookupError):
                os.kill(self._process.pid, signum)

    def _receive(self) -> None:
        try:
            while not self._pipe.closed and self._pipe.poll():
                message = self._pipe.recv()
                if isinstance(message, JobEnd):
                    self._end = message
                else:
                    self.stage = message
        except (EOFError, OSError):  # it sends no more, or died within a message
            self._pipe.close()


def death(code: int) -> JobEnd:
    """How a job ended whose process said nothing, by its exit code."""
    if -code in SIGNALS:  # before it could take them over
        return JobEnd(STOPPED, message=name_of(-code))
    if code == -signal.SIGKILL:
        return JobEnd(
            FAILED,
            message="its process was killed (SIGKILL), as the system does where memory runs out: try fewer jobs at once.",
        )
    if code < 0:
        return JobEnd(FAILED, message=f"its process was ended by {signal.Signals(-code).name}.")
    return JobEnd(FAILED, message=f"its process ended with code {code} and said nothing.")


class Crew:
    """Jobs in processes, so many at once, until all have ended.

    Args:
        jobs: in their order.
        at_once: how many run at the same time.
        start: starts a job in a slot, 0 to ``at_once`` - 1.
        ended: called with every job that has ended.

    Attributes:
        running: processes by the place of their job in ``jobs``.
    """

    def __init__(
        self,
        jobs: Sequence[Job],
        at_once: int,
        start: Callable[[Job, int], JobProcess],
        ended: Callable[[Job, JobEnd], None],
    ) -> None:
        self.running: dict[int, JobProcess] = {}
        self._jobs = jobs
        self._start = start
        self._ended = ended
        self._waiting = deque(range(len(jobs)))
        self._free_slots = list(range(at_once))
        self._slot_of: dict[int, int] = {}
        self._ends: dict[int, JobEnd] = {}
        self._stopping = False

    def run(self, watch: Callable[[Mapping[int, JobProcess]], None], interruption: Interruption) -> list[JobEnd]:
        """Run them all.

        Args:
            watch: called again and again with the running processes.
            interruption: a first signal is handed on to the jobs, which save and end; a second one ends them at once.

        Returns:
            How they ended, in their order.

        Raises:
            Stopped: a person or the system asked to stop, and all processes have ended.
        """
        try:
            # The first signal does not raise in here: the loop looks for it itself, and hands it on.
            with interruption.put_off():
                while self.running or self._waiting:
                    if interruption.asked and not self._stopping:
                        self._stop(interruption.signum or signal.SIGTERM)
                    self._begin()
                    watch(self.running)
                    self._wait()
                    self._collect()
        finally:
            self._end_all(interruption.signum or signal.SIGTERM)
        return [self._ends.get(place, JobEnd(STOPPED)) for place in range(len(self._jobs))]

    def _begin(self) -> None:
        """Fill the free slots."""
        while self._waiting and self._free_slots:
            place = self._waiting.popleft()
            slot = self._free_slots.pop(0)
            self._slot_of[place] = slot
            self.running[place] = self._start(self._jobs[place], slot)

    def _collect(self) -> None:
        """Take what the jobs have sent, and leave those that have ended."""
        # Over a copy, as jobs that have ended leave ``running``.
        for place, process in list(self.running.items()):
            end = process.look()
            if end is None:
                continue
            if self._stopping and process.silent:
                end = JobEnd(STOPPED)
            elif end.status == STOPPED and not self._stopping:
                end = JobEnd(FAILED, message=f"it was stopped by {end.message}, and it alone.")
            del self.running[place]
            # Kept in order: the lowest free slot, which decides the GPU, is taken first.
            self._free_slots = sorted([*self._free_slots, self._slot_of[place]])
            self._ends[place] = end
            self._ended(self._jobs[place], end)
            if end.ends_all and not self._stopping:
                self._stop(signal.SIGTERM)

    def _stop(self, signum: int) -> None:
        """Begin no more jobs, and ask the running ones to end."""
        self._stopping = True
        self._waiting.clear()
        self._send(signum)

    def _wait(self) -> None:
        """Until something happens, or for a moment."""
        handles: list[Any] = []
        for process in self.running.values():
            handles += process.handles
        if handles:
            wait(handles, timeout=_LOOK_EVERY)

    def _send(self, signum: int) -> None:
        for process in self.running.values():
            process.send(signum)

    def _end_all(self, signum: int) -> None:
        """Leave no process behind: ask what still runs once more, which ends it at once, and kill what does not listen."""
        self._send(signum)
        patient_until = time.monotonic() + _PATIENCE
        self._stopping = True
        try:
            while self.running and time.monotonic() < patient_until:
                self._wait()
                self._collect()
        finally:
            self._send(signal.SIGKILL)


def settle_in(log: Path) -> None:
    """In the process of a job: its output goes to a file, the terminal's signals to its parent alone, and it ends with it."""
    if hasattr(os, "setsid"):  # Windows has none
        os.setsid()  # a session without a terminal: Ctrl-C there reaches the parent alone
    log.parent.mkdir(parents=True, exist_ok=True)
    sys.stdout.flush()
    sys.stderr.flush()
    # The file takes the place of stdout and stderr themselves, so that what libraries in C print goes there too.
    stream = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    os.dup2(stream, 1)
    os.dup2(stream, 2)
    os.close(stream)
    when_parent_ends(lambda: os.kill(os.getpid(), signal.SIGTERM))  # it saves, and goes
