"""Hydra's and OmegaConf's messages in the words of the settings, one sentence each."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from difflib import get_close_matches
from typing import Any

from hydra.errors import OverrideParseException

from crossreid.settings.fields import key_below

_OVERRIDE = re.compile(r"Could not override '([^']+)'")
_ADD = re.compile(r"Could not append to config. An item is already at '([^']+)'")
_CHOICE = re.compile(r"Could not find '([^']+)'|Could not load '([^']+)'")
_IN_FILE = re.compile(r"In '([^']+)': \w+ raised while composing config:\s*(.*)", re.DOTALL)
_NOT_IN = re.compile(r"Key '([^']+)' not in '(\w+)'")
_FULL_KEY = re.compile(r"full_key: (\S+)")
_MERGED = re.compile(r"Error merging override ([^=\s]+)\S*\s+(.*)", re.DOTALL)
_WRONG_TYPE = re.compile(r"Value '(.*)' of type '(\w+)' could not be converted to (\w+)", re.DOTALL)
_REFERENCE = re.compile(r"[Ii]nterpolation")
_TWICE = re.compile(r"^(\S+) appears more than once|Multiple values for (\S+)\.")
_SEVERAL = re.compile(r"Ambiguous value for argument '(.*?)'\n|Sweep parameters '(.*?)' requires", re.DOTALL)
_FOREIGN = re.compile(
    r"\b(?:hydra|omegaconf|[A-Z]\w*(?:Config|Error|Exception)|DictConfig|ListConfig)\b", re.IGNORECASE
)
"""Words that only the libraries know."""
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
    # what Hydra raises from an error of OmegaConf says too little without it
    if error.__cause__ is not None and not _OVERRIDE.search(text):
        text = f"{text}\n{error.__cause__}"
    value = _of_a_word(error, text) or _of_a_value(text)
    if value:
        return value
    missing = _OVERRIDE.search(text)
    if missing:
        return _no_setting(missing[1], known)
    choice = _CHOICE.search(text)
    if choice:
        group, _, name = (choice[1] or choice[2]).partition("/")
        return _no_choice(group, name, choices(group))
    reason = _own_words(_without_details(text)).rstrip(".")
    if reason:
        return f"These settings do not fit together: {reason}."
    return "These settings do not fit together."


def _without_details(text: str) -> str:
    """A message without OmegaConf's lines on keys and types."""
    lines = []
    for line in text.splitlines():
        if not line.strip().startswith(("full_key:", "object_type=", "reference_type=")):
            lines.append(line)
    return " ".join(lines)


def _own_words(text: str) -> str:
    """A library's message on one line, without the names of its parts."""
    return one_line(_FOREIGN.sub("", text))


def _of_a_word(error: BaseException, text: str) -> str:
    """The sentence for a word of the command line that cannot be read; empty for another mistake."""
    several = _SEVERAL.search(text)
    if several:
        word = several[1] or several[2]
        return (
            f"'{word}' names several values: give one, put a list into brackets (KEY=[ONE,TWO]) and text into quotes, or run "
            "each of them by -m."
        )
    if isinstance(error, OverrideParseException):
        return unreadable(error.override)
    if _REFERENCE.search(text):
        return _unresolved(text)
    twice = _TWICE.search(text)
    if twice:
        group = (twice[1] or twice[2]).removeprefix("schema/").partition("@")[0]
        return f"{group} is chosen twice: choose it once, as {group}=NAME, without + before it."
    return ""


def _of_a_value(text: str) -> str:
    """The sentence for a value that its setting cannot have; empty for another mistake."""
    wrong = _WRONG_TYPE.search(text)
    if wrong:
        kind = _KINDS.get(wrong[3], wrong[3])
        return f"{_key_in(text)} is '{wrong[1]}': give {kind}."
    merged = _MERGED.search(text)
    if merged:
        return _unfitting(merged[1].lstrip("+~"), merged[2])
    in_file = _IN_FILE.search(text)
    unknown = _NOT_IN.search(text)
    if in_file and unknown:
        return f"{in_file[1]}.yaml sets '{unknown[1]}', which is no setting of what is chosen: choose what it was written for."
    return ""


def unreadable(word: str) -> str:
    """The sentence for a word of the command line that is no setting at all."""
    return f"'{word}' cannot be read: give KEY=VALUE, text with other signs than letters in quotes."


def _unresolved(text: str) -> str:
    """A reference, ``${...}``, to what is not there."""
    return (
        f"{_key_in(text)} refers by ${{...}} to something that is not there: give the value itself, or put the text into "
        "quotes."
    )


def _key_in(text: str) -> str:
    """The setting that OmegaConf's message is of; ``A setting`` where it names none."""
    key = _FULL_KEY.search(text)
    if key is None:
        return "A setting"
    return key[1]


def _unfitting(key: str, message: str) -> str:
    """A value that a key cannot have, from what OmegaConf says of it."""
    for sign, sentence in _UNFITTING.items():
        if sign in message:
            return sentence.replace("KEY", key)
    return f"{key} cannot have this value: {_own_words(message.partition('full_key:')[0])}."


_OTHER_KIND = (
    "KEY cannot have a value of this kind: a group takes KEY.NAME=VALUE, a list [ONE,TWO], all else one value."
)
_UNFITTING = {
    "not Optional": "KEY cannot be null: give a value.",
    "is not a subclass of": "KEY is a group of settings: give one of them, as KEY.NAME=VALUE.",
    "does not support deletion": "KEY cannot be left out: give it another value.",
    "is not a ListConfig": "KEY is a list: give its entries in brackets, as KEY=[ONE,TWO].",
    "is not a valid bool": "KEY cannot have this value: give true or false.",
    "Cannot merge": _OTHER_KIND,
    "Cannot assign": _OTHER_KIND,
    "Cannot convert": _OTHER_KIND,
}
"""What OmegaConf says -> the sentence in the words of the settings."""


def _no_setting(key: str, known: Sequence[str]) -> str:
    near = get_close_matches(key, known, n=1, cutoff=0.6)
    if near:
        return f"There is no setting '{key}': did you mean {near[0]}?"
    return f"There is no setting '{key}': --cfg job prints all of them."


def _no_choice(group: str, name: str, options: Sequence[str]) -> str:
    near = get_close_matches(name, options, n=1)
    if near:
        return f"There is no {group}={name}: did you mean {group}={near[0]}?"
    if options:
        listed = ", ".join(options)
        if group in PLUGGABLE:
            listed += "; another package's is named by plugins=[PACKAGE]"
        return f"There is no {group}={name}: choose from {listed}."
    return f"There is no {group}={name}: --help lists the choices."


def keys_of(values: Mapping[str, Any], place: str = "") -> list[str]:
    """All keys of nested values, groups included."""
    keys = []
    for name, value in values.items():
        key = key_below(place, str(name))
        keys.append(key)
        if isinstance(value, Mapping):
            keys.extend(keys_of(value, key))
    return keys
