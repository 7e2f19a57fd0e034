"""What every fuzzer asks: a sentence in one line, or a correct answer; never another exception, a hang or a changed file.

In `make test` the cases follow from a fixed seed. `make fuzz` (CROSSREID_FUZZ=10) runs ten times as many from a new seed.
"""

from __future__ import annotations

import hashlib
import os
import re
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

from hypothesis import HealthCheck, currently_in_test_context, event, settings
from hypothesis import strategies as st

from crossreid.errors import LONGEST_MESSAGE, CrossReIDError

FACTOR = int(os.environ.get("CROSSREID_FUZZ", "1"))
"""How many times the usual number of cases."""

LIBRARY_WORDS = re.compile(
    r"omegaconf|hydra(?!\.)|lightning|dataclass|traceback|DictConfig|ListConfig|NoneType|<class |<function | object at 0x|"
    r"\b(?-i:[A-Z])\w*(?-i:Error|Exception|Config)\b",
    re.IGNORECASE,
)
"""Words that a person who uses settings and files never needs."""

TEXTS = [
    "",
    " ",
    "nan",
    "null",
    "???",
    "${seed}",
    "${oc.env:HOME}",
    "../..",
    "~",
    "[red]x[/]",
    "a\nb",
    "\x1b[31m",
    "\0",
]
TEXTS += ["日本語", "e\u0301", "\u202e", "\ud800", "=1+1", "x" * 300, "y" * 10_000]
"""Text that settings, names and lists were not made for."""


class Hang(BaseException):
    """A case took too long; nothing that catches mistakes catches this."""


def cases(count: int) -> Callable[[Any], Any]:
    """So many cases, or :data:`FACTOR` times as many, from a fixed seed unless there are more."""
    return settings(
        max_examples=count * FACTOR,
        derandomize=FACTOR == 1,
        database=None,
        deadline=None,  # the time limit is the oracle's own, which ends a case that hangs
        suppress_health_check=list(HealthCheck),
        print_blob=True,
    )


def ends_well(case: Callable[[], Any], *, seconds: int = 60) -> tuple[Any, str]:
    """What a case gave, and ``""``; or None and the sentence that refused it. Anything else is raised."""
    try:
        with time_limit(seconds):
            given = case()
        _count("a correct answer")
        return given, ""
    except CrossReIDError as error:
        sentence = str(error)
    check_sentence(sentence)
    _count("a sentence")
    return None, sentence


def _count(outcome: str) -> None:
    """For --hypothesis-show-statistics: how many cases ended which way."""
    if currently_in_test_context():
        event(outcome)


def check_sentence(sentence: str) -> None:
    """One line, not empty, not endless, and in the words of settings and files."""
    assert sentence.strip(), "a refusal without a word"
    assert sentence.isprintable(), f"not one line that can be printed: {sentence!r}"
    assert len(sentence) <= LONGEST_MESSAGE, f"{len(sentence)} characters: {sentence[:200]!r}"
    word = LIBRARY_WORDS.search(sentence)
    assert word is None, f"says {word[0]!r}: {sentence!r}"


@contextmanager
def time_limit(seconds: int) -> Iterator[None]:
    """Raise :class:`Hang` after so many seconds, where the system has an alarm."""

    def stop(signum: int, frame: FrameType | None) -> None:
        raise Hang(f"still running after {seconds} seconds")

    if not hasattr(signal, "SIGALRM") or threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGALRM, stop)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


@contextmanager
def untouched(folder: Path) -> Iterator[None]:
    """What lies in a folder stays as it is, and nothing comes to it."""
    before = digest(folder)
    yield
    assert digest(folder) == before, f"a file in {folder} was changed, left or removed"


def digest(folder: Path) -> dict[str, str]:
    """Each file below a folder with a digest of what is in it."""
    found = {}
    for path in sorted(folder.rglob("*")):
        name = str(path.relative_to(folder))
        found[name] = hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else "folder"
    return found


@st.composite
def damaged(draw: st.DrawFn, whole: bytes) -> bytes:
    """Bytes with some flipped, zeroed, cut off, taken out, repeated or put in."""
    content = bytearray(whole)
    for _ in range(draw(st.integers(1, 4))):
        place = draw(st.integers(0, max(0, len(content) - 1)))
        length = draw(st.sampled_from([1, 2, 4, 16, 256]))
        how = draw(st.sampled_from(["flip", "zero", "cut", "remove", "repeat", "insert", "number"]))
        part = content[place : place + length]
        if how == "flip" and content:
            content[place] ^= draw(st.integers(1, 255))
        elif how == "zero":
            content[place : place + length] = bytes(len(part))
        elif how == "cut":
            del content[place:]
        elif how == "remove":
            del content[place : place + length]
        elif how == "repeat":
            content[place:place] = part
        elif how == "insert":
            content[place:place] = draw(st.binary(max_size=16))
        elif how == "number":
            content[place : place + 4] = draw(st.sampled_from([b"\xff\xff\xff\xff", b"\x7f\xff\xff\xff", b"\0\0\0\1"]))
    return bytes(content)


PLAIN: st.SearchStrategy[Any] = st.recursive(
    st.one_of(
        st.none(),
        st.booleans(),
        st.sampled_from([0, 1, -1, 7, 2**31, 2**63, -(2**63) - 1, 10**30]),
        st.sampled_from([0.5, -0.0, 5e-324, 1e308, float("nan"), float("inf"), float("-inf")]),
        st.sampled_from(TEXTS),
    ),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from([*TEXTS[:9], "a", "seed"]), inner, max_size=3)
    ),
    max_leaves=4,
)
"""Plain values of any kind."""
