"""Hydra's and OmegaConf's messages in the words of the settings, one sentence each."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from difflib import get_close_matches
from typing import Any

from hydra.errors import OverrideParseException

_OVERRIDE = re.compile(r"Could not override '([^']+)'")
_ADD = re.compile(r"Could not append to config. An item is already at '([^']+)'")
_CHOICE = re.compile(r"Could not find '([^']+)'|Could not load '([^']+)'")
_IN_FILE = re.compile(r"In '([^']+)': \w+ raised while composing config:\s*(.*)", re.DOTALL)
_NOT_IN = re.compile(r"Key '([^']+)' not in '(\w+)'")
_FULL_KEY = re.compile(r"full_key: (\S+)")
_MERGED = re.compile(r"Error merging override ([^=\s]+)\S*\s+(.*)", re.DOTALL)
_WRONG_TYPE = re.compile(r"Value '(.*)' of type '(\w+)' could not be converted to (\w+)", re.DOTALL)
PLUGGABLE = ("model", "data")
"""Groups whose choices a package of one's own may bring."""
_KINDS = {"Integer": "a whole number", "Float": "a number", "Boolean": "true or false", "String": "text"}


def one_line(error: BaseException | str) -> str:
    """A message as one line."""
    return " ".join(str(error).split())


def explain(
    error: BaseException, known: Sequence[str] = (), choices: Callable[[str], Sequence[str]] = lambda group: ()
) -> str:
    """An error of composing as one sentence.

    Args:
        error: of Hydra or OmegaConf.
        known: keys that there are, for guessing what was meant.
        choices: group -> its choices, likewise.
    """
    text = str(error)
    if error.__cause__ is not None and not _OVERRIDE.search(text):
        text = f"{text}\n{error.__cause__}"
    value = _of_a_value(error, text)
    if value:
        return value
    missing = _OVERRIDE.search(text)
    if missing:
        return _no_setting(missing[1], known)
    choice = _CHOICE.search(text)
    if choice:
        group, _, name = (choice[1] or choice[2]).partition("/")
        return _no_choice(group, name, choices(group))
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    kept = [line for line in lines if not line.startswith(("full_key:", "object_type=", "reference_type="))]
    return " ".join(kept) if kept else type(error).__name__


def _of_a_value(error: BaseException, text: str) -> str:
    """The sentence for a value that cannot be read, or that its setting cannot have; empty for another mistake."""
    if isinstance(error, OverrideParseException):
        return f"'{error.override}' cannot be read: give KEY=VALUE, text with other signs than letters in quotes."
    wrong = _WRONG_TYPE.search(text)
    if wrong:
        key = _FULL_KEY.search(text)
        kind = _KINDS.get(wrong[3], wrong[3])
        return f"{key[1] if key else 'A setting'} is '{wrong[1]}': give {kind}."
    merged = _MERGED.search(text)
    if merged:
        return _unfitting(merged[1].lstrip("+~"), merged[2])
    in_file = _IN_FILE.search(text)
    unknown = _NOT_IN.search(text)
    if in_file and unknown:
        return f"{in_file[1]}.yaml sets '{unknown[1]}', which is no setting of {unknown[2]}."
    return ""


def _unfitting(key: str, message: str) -> str:
    """A value that a key cannot have, from what OmegaConf says of it."""
    if "not Optional" in message:
        return f"{key} cannot be null: give a value."
    if "is not a subclass of" in message:
        return f"{key} is a group of settings: give one of them, as {key}.NAME=VALUE."
    if "does not support deletion" in message:
        return f"{key} cannot be left out: give it another value."
    if "is not a ListConfig" in message:
        return f"{key} is a list: give its entries in brackets, as {key}=[ONE,TWO]."
    return f"{key} cannot have this value: {one_line(message.partition('full_key:')[0])}."


def _no_setting(key: str, known: Sequence[str]) -> str:
    near = get_close_matches(key, known, n=1, cutoff=0.6)
    guess = f"did you mean {near[0]}?" if near else "--cfg job prints all of them."
    return f"There is no setting '{key}': {guess}"


def _no_choice(group: str, name: str, options: Sequence[str]) -> str:
    near = get_close_matches(name, options, n=1)
    if near:
        return f"There is no {group}={name}: did you mean {group}={near[0]}?"
    if options:
        elsewhere = "; another package's is named by plugins=[PACKAGE]" if group in PLUGGABLE else ""
        return f"There is no {group}={name}: choose from {', '.join(options)}{elsewhere}."
    return f"There is no {group}={name}: --help lists the choices."


def keys_of(values: Mapping[str, Any], place: str = "") -> list[str]:
    """All keys of nested values, groups included."""
    keys = []
    for name, value in values.items():
        key = f"{place}.{name}" if place else str(name)
        keys.append(key)
        if isinstance(value, Mapping):
            keys.extend(keys_of(value, key))
    return keys
