"""Words of a command line in Hydra's grammar: text with signs of that grammar goes into quotes."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

_WORD = re.compile(r"[A-Za-z][\w-]*")
"""What an action may be meant by."""
PLACES = (
    "data.root",
    "data.cache",
    "protocol.permutations",
    "run_dir",
    "output_root",
    "output",
    "save_embeddings",
    "embeddings",
    "checkpoint",
    "resume",
    "images",
    "gallery",
    "query",
    "filter",
    "sheet",
    "export",
    "pairs",
    "calibration",
    "init",
    "file",
    "test_ids",
)
"""Settings that are one path or condition each: what a person types there is meant as it stands."""

_READ_AS_VALUES = ("null", "true", "false", "nan", "inf")
"""Words that Hydra takes for something else than text."""

_PLAIN = re.compile(r"[A-Za-z_/][\w/.:-]*", re.ASCII)


def as_text(text: str) -> str:
    """Text as Hydra's grammar takes it for text: as it is where that works, else in quotes."""
    if _PLAIN.fullmatch(text) and text.lower() not in _READ_AS_VALUES:
        return text
    # in quotes a backslash stands for itself, but before a quote
    escaped = re.sub(r"(\\*)('|$)", _escaped, text)
    return f"'{escaped}'"


def _escaped(found: re.Match[str]) -> str:
    """Backslashes before a quote, or before the end, where a quote follows: each twice, and the quote behind one more."""
    backslashes, quote = found.groups()
    if not quote:
        return 2 * str(backslashes)
    return 2 * str(backslashes) + "\\'"


def with_action(words: Sequence[str]) -> list[str]:
    """A command line whose first word is an action, or was meant to be one: ``add gallery=x`` is ``action=add gallery=x``."""
    said = any(word.startswith("action=") for word in words)
    if words and not said and _WORD.fullmatch(words[0]):
        return [f"action={words[0]}", *words[1:]]
    return list(words)


def with_paths_quoted(words: Sequence[str]) -> list[str]:
    """A command line whose paths are in quotes where they have signs of the grammar: ``~``, brackets, spaces, commas, ``=``.

    Left as they are: what is in quotes already, ``null``, interpolations, and in a multirun commas, which part its jobs.
    """
    multirun = "-m" in words or "--multirun" in words
    return [_quote_path(word, multirun) for word in words]


def _quote_path(word: str, multirun: bool) -> str:
    key, sign, value = word.partition("=")
    if not sign or key.lstrip("+") not in PLACES:
        return word
    in_grammar = value[:1] in ("'", '"') or value.lower() in ("", "null") or "${" in value
    if in_grammar or (multirun and "," in value):
        return word
    return f"{key}={as_text(value)}"


def as_overrides(values: Mapping[str, Any]) -> list[str]:
    """Keys and values as a command line would have them."""
    return [f"{key}={_word(value)}" for key, value in values.items()]


def _word(value: Any) -> str:
    """A value in Hydra's grammar."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, Mapping):
        entries = ",".join(f"{key}:{_word(part)}" for key, part in value.items())
        return f"{{{entries}}}"
    if isinstance(value, list | tuple):
        entries = ",".join(map(_word, value))
        return f"[{entries}]"
    if isinstance(value, int | float):
        return repr(value)
    return as_text(str(value))
