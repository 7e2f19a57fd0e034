"""Processes of a fresh Python that do not begin by running the user's script once more."""

from __future__ import annotations

import multiprocessing
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType

SPAWN = multiprocessing.get_context("spawn")
"""A fresh Python each: torch, which a forked process could not use any more, may be loaded here."""
_SWAP = threading.Lock()


@contextmanager
def without_main() -> Iterator[None]:
    """Processes that are started here do not import the script that this one runs.

    Python lets a spawned process import ``__main__`` first, under another name. A script that has no
    ``if __name__ == "__main__":`` would there start everything again and wait for what its own parent is doing, for ever. What
    our processes run are functions of this package, which need nothing of the script.
    """
    with _SWAP:
        main = sys.modules["__main__"]
        sys.modules["__main__"] = ModuleType("__main__")  # of no file: there is nothing to import
        try:
            yield
        finally:
            sys.modules["__main__"] = main
