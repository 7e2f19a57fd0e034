"""``python -m crossreid``: the commands, a line each."""

from __future__ import annotations

import sys

from crossreid.console import show_page, stop
from crossreid.help.page import command_list
from crossreid.version import __version__


def main() -> None:
    """Print the commands."""
    arguments = [word for word in sys.argv[1:] if word not in ("--help", "-h")]
    if arguments:
        stop(
            f"crossreid itself takes no arguments: write 'python -m crossreid.{arguments[0]}' with a dot before a command."
        )
    lines = [
        f"crossreid {__version__}: person re-identification between visible and infrared cameras",
        "",
        command_list(),
        "",
        "  python -m crossreid.settings           every setting of a command, with its meaning",
        "  python -m crossreid.completion         words for the shell: TAB completes choices and settings",
        "",
        "Start with: python -m crossreid.train model=aligngan; each command takes --help.",
    ]
    show_page("\n".join(lines))


if __name__ == "__main__":
    main()
