"""Every setting of a command with its value, meaning and range: ``python -m crossreid.settings model=lba``."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from crossreid.console import show_page, stop
from crossreid.errors import CrossReIDError
from crossreid.settings.fields import check_choice
from crossreid.settings.listing import entry, setting_entry
from crossreid.settings.reference import COMMAND_NAMES, GROUPS, choice_names, reference

USAGE = """python -m crossreid.settings: every setting of a command with its value, meaning and range

Usage: python -m crossreid.settings [command=NAME] [CHOICE=NAME ...] [SETTING=VALUE ...]

Choices and settings are those of the command, which is train where none is named.

Examples
  python -m crossreid.settings model=lba
  python -m crossreid.settings model=jsia scale=small data=regdb
  python -m crossreid.settings command=evaluate"""
_COMMAND = "command="


def main() -> None:
    """The command."""
    arguments = sys.argv[1:]
    if "--help" in arguments or "-h" in arguments:
        show_page(USAGE)
        return
    try:
        show_page(settings_page(arguments))
    except CrossReIDError as error:
        stop(str(error))


def settings_page(arguments: Sequence[str]) -> str:
    """All choices, then all settings in the order of their groups.

    Args:
        arguments: the command line.

    Raises:
        ConfigError: there is no such command, choice or setting.
    """
    command = "train"
    overrides = []
    for word in arguments:
        if word.startswith(_COMMAND):
            command = word.removeprefix(_COMMAND)
        else:
            overrides.append(word)
    check_choice("command", command, COMMAND_NAMES)
    composed, settings = reference(command, overrides)
    lines = [f"Choices of python -m crossreid.{command}"]
    for group, meaning in GROUPS.items():
        if group in composed.choices:
            names = ", ".join(choice_names(command, group))
            lines += entry(f"{group}={composed.choices[group] or 'null'}", f"{meaning}: {names}")
    heading = ""
    for item in settings:
        place, dot, _ = item.key.partition(".")
        if not dot:  # a setting at the top
            place = ""
        if place != heading or len(lines) == 1:
            lines += ["", place]
            heading = place
        lines += setting_entry(item)
    return "\n".join(lines)


if __name__ == "__main__":
    main()
