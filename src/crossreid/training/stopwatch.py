"""Where the time of a run goes."""

from __future__ import annotations

import time


class Stopwatch:
    """Seconds of the parts of a run, one behind the other; a part may come more than once.

    Attributes:
        seconds: part -> its seconds so far, in the order of their first coming.

    Example:
        >>> watch = Stopwatch("data")
        >>> watch.begin("training")
        >>> list(watch.stop())
        ['data', 'training']
    """

    def __init__(self, part: str) -> None:
        self.seconds: dict[str, float] = {}
        self._part = part
        self._began = time.perf_counter()

    def begin(self, part: str) -> None:
        """The part before is over, this one begins."""
        self.stop()
        self._part = part

    def stop(self) -> dict[str, float]:
        """:attr:`seconds`, with those of the part that is on."""
        now = time.perf_counter()
        self.seconds[self._part] = self.seconds.get(self._part, 0.0) + now - self._began
        self._began = now
        return self.seconds

    def sentence(self) -> str:
        """All parts that took a tenth of a second, in words."""
        parts = [f"{name} {seconds:.1f}" for name, seconds in self.seconds.items() if seconds >= 0.1]
        return f"Took {sum(self.seconds.values()):.1f} s: {', '.join(parts)}"
