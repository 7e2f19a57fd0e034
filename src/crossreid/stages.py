"""Where a run is, said to whoever watches it: the frame of a multirun, perhaps in another process."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass


@dataclass(frozen=True)
class Stage:
    """What a run does at the moment.

    Attributes:
        doing: in words, such as ``training``.
        done: iterations of the training that are over.
        total: iterations that it has; 0 where nothing is counted.
    """

    doing: str
    done: int = 0
    total: int = 0

    @property
    def fraction(self) -> float:
        """How much of what is counted is over, 0 to 1."""
        if self.total == 0:
            return 0.0
        return min(1.0, self.done / self.total)


_watchers: list[Callable[[Stage], None]] = []


def tell(doing: str, done: int = 0, total: int = 0) -> None:
    """Tell who watches where the run is; nothing where nobody does."""
    for watcher in _watchers:
        watcher(Stage(doing, done, total))


@contextmanager
def watched_by(watcher: Callable[[Stage], None]) -> Iterator[None]:
    """Inside, ``watcher`` is called with every stage of the runs of this process."""
    _watchers.append(watcher)
    try:
        yield
    finally:
        _watchers.remove(watcher)
