"""The command that this process runs, so that it can be pasted into a shell again."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Sequence

_words: list[str] = []
"""Of a command that is running; of a multirun, those of its current job."""


def note_command(command: str, arguments: Sequence[str]) -> None:
    """From here on the process runs a command, or one job of a multirun.

    Args:
        command: ``train``, ...
        arguments: what it was told.
    """
    _words[:] = ["python", "-m", f"crossreid.{command}", *arguments]


def forget_command() -> None:
    """The command has ended; the process may do something else."""
    _words.clear()


def command_line() -> str:
    """The command, quoted for a shell; of a program that uses the package from Python, that program's; or ``(notebook)``."""
    if not _words and "ipykernel" in sys.modules:  # its arguments say how the kernel was started, and by which user
        return "(notebook)"
    return shlex.join(_words or ["python", *sys.argv])


def in_multirun() -> bool:
    """This process runs one job of a multirun."""
    if "hydra" not in sys.modules:
        return False
    from hydra.core.hydra_config import HydraConfig  # noqa: PLC0415 - only where a command has imported it
    from hydra.types import RunMode  # noqa: PLC0415

    return bool(HydraConfig.initialized() and HydraConfig.get().mode == RunMode.MULTIRUN)
