"""A command's help page, at most 100 columns wide."""

from __future__ import annotations

import shlex
import textwrap
from collections.abc import Iterator, Sequence

from crossreid.help.texts import TEXTS
from crossreid.settings.listing import WIDTH, entry, setting_entry
from crossreid.settings.reference import COMMAND_NAMES, GROUPS, choice_names, reference

_HELP = ("--help", "-h")
_ALL_NAMES = 24
"""More choices than so many are not listed."""


def asks_for_help(arguments: Sequence[str]) -> bool:
    """A command line asks what the command does."""
    return any(word in _HELP for word in arguments)


def help_page(command: str, arguments: Sequence[str] = ()) -> str:
    """What a command does, the settings that matter with the values that they would have, and examples.

    Args:
        command: ``train``, ``evaluate``, ...
        arguments: the command line; choices and settings in it decide what is shown.

    Raises:
        ConfigError: a choice or a setting in it is wrong.
    """
    text = TEXTS[command]
    overrides = [word for word in arguments if not word.startswith("-")]
    composed, settings = reference(command, overrides)
    known = {item.key: item for item in settings}
    lines = [f"python -m crossreid.{command}: {text.summary}", ""]
    lines += [*textwrap.wrap(text.purpose, WIDTH), ""]
    lines += [f"Usage: python -m crossreid.{command} [CHOICE=NAME ...] [SETTING=VALUE ...]", ""]
    if text.choices:
        lines.append("Choices")
        for group in text.choices:
            chosen = composed.choices.get(group) or "null"
            lines += entry(f"{group}={chosen}", _choice(command, group))
        lines.append("")
    lines.append("Settings that matter most")
    for key in text.keys:
        # Which settings there are depends on the choices: not every dataset has a data.root.
        if key in known:
            lines += setting_entry(known[key])
    lines += ["", "Examples"]
    for example, meaning in text.examples.items():
        lines += [f"  python -m crossreid.{command} {example}".rstrip(), f"      {meaning}"]
    lines += ["", "More", *_further(command, overrides, text.page)]
    return "\n".join(lines)


def command_list() -> str:
    """The commands, a line each."""
    lines = []
    for command in COMMAND_NAMES:
        lines.append(f"  python -m crossreid.{command:<18} {TEXTS[command].summary}")
    return "\n".join(lines)


def _choice(command: str, group: str) -> str:
    """A group's meaning and its choices; of many only where they are listed."""
    names = choice_names(command, group)
    meaning = GROUPS[group]
    if names and all(name in meaning for name in names):
        return meaning  # it says each of them in words
    listed = ", ".join(names)
    if len(names) > _ALL_NAMES:
        listed = f"{len(names)}, listed by python -m crossreid.settings"
    return f"{meaning}: {listed}"


def _further(command: str, overrides: Sequence[str], page: str) -> Iterator[str]:
    """Where everything else stands."""
    words = ["python -m crossreid.settings"]
    if command != "train":  # whose settings it lists of its own
        words.append(f"command={command}")
    words += [shlex.quote(word) for word in overrides]
    yield f"  {' '.join(words)}"
    yield "      every setting with its value, meaning and range"
    yield f"  python -m crossreid.{command} --cfg job"
    yield "      the settings as the files and the command line make them"
    yield f"  docs/{page}"
