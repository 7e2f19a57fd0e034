"""A gallery's place in sentences that go out: however it is spelt there, it is not shown."""

from __future__ import annotations

import os
import re
from pathlib import Path
from urllib.parse import urlsplit


class HiddenPlace:
    """Takes a gallery's place, and files in it, out of sentences.

    Args:
        place: a path, or an address such as ``http://milvus:19530``.
    """

    def __init__(self, place: str) -> None:
        self._patterns = _patterns(place)

    def out_of(self, sentence: str) -> str:
        """The sentence with "the gallery" in its place."""
        for pattern, shown in self._patterns:
            sentence = pattern.sub(shown, sentence)
        return sentence


def _patterns(place: str) -> list[tuple[re.Pattern[str], str]]:
    """How sentences may name the place and files in it, and what is shown instead.

    Longer spellings come first: a short one may be a part of them, and would leave the rest behind.
    """
    quoted, unquoted = _spellings(place)
    patterns = []
    for spelling in sorted(quoted, key=len, reverse=True):
        literally = re.escape(spelling)
        patterns.append((re.compile(f" '{literally}'"), ""))  # the gallery 'x' is empty
        patterns.append((re.compile(f"'{literally}(?:[/\\\\][^']*)?'"), "the gallery"))
    for spelling in sorted(unquoted, key=len, reverse=True):
        inner = spelling.removeprefix(os.sep)
        literally = re.escape(spelling)
        if os.sep in inner:  # LanceDB leaves the first sign out; a single word may be any
            literally = f"(?:{literally}|{re.escape(inner)})"
        patterns.append((re.compile(f"{literally}(?:[/\\\\][^\\s'\"(),;]*)?"), "the gallery"))
    return patterns


def _spellings(place: str) -> tuple[set[str], set[str]]:
    """Of the place between quotes, where ours name it, and without them, as other libraries may.

    Without quotes only whole paths and names of machines: a relative path may be any word of a sentence.
    """
    if "://" in place:
        machine = urlsplit(place).netloc
        return {place}, {machine} - {""}
    path = Path(place)
    absolute = {os.path.normpath(path.absolute()), str(path.absolute()), str(path.resolve())}
    return {place, str(path), os.path.normpath(place), *absolute}, absolute - {os.sep}
