"""Ctrl-C and SIGTERM: the first one ends what is done in good order, a second one ends it at once.

Python raises ``KeyboardInterrupt`` anywhere, and SIGTERM ends a process without a word. Here both become one exception,
:class:`Stopped`, which training puts off to the end of its iteration.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing.connection import wait
from types import FrameType
from typing import Any, NoReturn

SIGNALS = (signal.SIGINT, signal.SIGTERM)
_here = threading.local()
"""Of this thread: what catches its signals."""


class Stopped(BaseException):
    """A person or the system asked this process to stop; no :class:`Exception`, so that nothing takes it for a failure.

    Attributes:
        signum: the signal: SIGINT for Ctrl-C, or SIGTERM.
    """

    def __init__(self, signum: int) -> None:
        super().__init__(f"stopped by {name_of(signum)}")
        self.signum = signum

    @property
    def code(self) -> int:
        """The exit code that shells expect: 130 for Ctrl-C, 143 for SIGTERM."""
        return exit_code(self.signum)


class Interruption:
    """What this process was asked, and whether it may be asked in the middle of something.

    Attributes:
        signum: the signal that came; None where none did.
        again: a second one came.
    """

    def __init__(self) -> None:
        self.signum: int | None = None
        self.again = False
        self._waiting = False

    @property
    def asked(self) -> bool:
        """A signal came."""
        return self.signum is not None

    def check(self) -> None:
        """Raise :class:`Stopped` if a signal came."""
        if self.signum is not None:
            raise Stopped(self.signum)

    def stop(self) -> NoReturn:
        """Raise :class:`Stopped`, where all ranks stop because one of them was asked to."""
        raise Stopped(self.signum or signal.SIGTERM)

    def install(self) -> None:
        """Take the signals over; again after a library has put its own handlers in their place."""
        if threading.current_thread() is not threading.main_thread():  # other threads hear of no signal
            return
        for signum in SIGNALS:
            signal.signal(signum, self._receive)

    @contextmanager
    def put_off(self) -> Iterator[None]:
        """Inside, a first signal is only noted: who works here looks at ``asked`` where it can stop.

        Raises:
            Stopped: on leaving, where a signal came and nobody has looked.
        """
        self._waiting = True
        try:
            yield
        finally:
            self._waiting = False
        self.check()

    def _receive(self, signum: int, frame: FrameType | None) -> None:
        self.again = self.signum is not None
        # the first one waits for a place to stop, a second one does not
        self.signum = signum
        if self._waiting and not self.again:
            return
        raise Stopped(signum)


@contextmanager
def interruptible() -> Iterator[Interruption]:
    """Catch Ctrl-C and SIGTERM inside; the innermost of nested ones is the outermost's. Handlers are given back."""
    outer: Interruption | None = getattr(_here, "interruption", None)
    if outer is not None:
        yield outer
        return
    interruption = Interruption()
    before: dict[int, Any] = {}
    if threading.current_thread() is threading.main_thread():
        before = {signum: signal.getsignal(signum) for signum in SIGNALS}
    _here.interruption = interruption
    try:
        interruption.install()
        yield interruption
    finally:
        _here.interruption = None
        for signum, handler in before.items():
            if handler is not None:  # None: not set from Python
                signal.signal(signum, handler)


def name_of(signum: int) -> str:
    """A signal in words."""
    if signum == signal.SIGINT:
        return "Ctrl-C"
    return signal.Signals(signum).name


def exit_code(signum: int) -> int:
    """128 and the signal's number, as shells have it."""
    return 128 + signum


def when_parent_ends(react: Callable[[], None]) -> None:
    """In a process that ``multiprocessing`` started: call something when the parent ends, however it did.

    A parent that is killed cannot tell.
    """
    parent = multiprocessing.parent_process()
    assert parent is not None
    sentinel = parent.sentinel

    def watch() -> None:
        wait([sentinel])
        react()

    threading.Thread(target=watch, daemon=True).start()  # a daemon, or the process would wait for it at its own end


def end_with_parent() -> None:
    """In a worker: end at once when the parent does."""
    when_parent_ends(lambda: os._exit(1))
