"""How every command starts: Hydra composes the settings, mistakes become one sentence and exit code 1."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from importlib import import_module
from types import ModuleType
from typing import Any

import hydra
from hydra.errors import HydraException
from omegaconf.errors import OmegaConfBaseException

from crossreid.console import main_process, notice, quiet, show_page, stop
from crossreid.errors import CrossReIDError
from crossreid.help.page import asks_for_help, help_page
from crossreid.interruption import Interruption, Stopped, exit_code, interruptible, name_of
from crossreid.invocation import forget_command, note_command
from crossreid.multirun.task import CommandTask
from crossreid.settings.compose import VERSION_BASE, Composed, known_keys, plugins_in, refuse_untold_choices
from crossreid.settings.overrides import with_paths_quoted
from crossreid.settings.registry import use_plugins
from crossreid.settings.sentences import explain
from crossreid.settings.store import choices_of, packaged_conf, register


class CallableCommand(ModuleType):
    """A command's module whose name is a function of the front door too, which importing the module must not take away."""

    def __call__(self, *arguments: Any, **settings: Any) -> Any:
        """Call the function: ``crossreid.export(...)`` is that of :mod:`crossreid.exporting`."""
        front_door: Any = import_module("crossreid")
        function = front_door.__getattr__(self.__name__.rpartition(".")[2])
        return function(*arguments, **settings)


def run_command(config_name: str, task: Callable[[Composed], float | None]) -> None:
    """Compose ``conf/<config_name>.yaml`` with the command line and run ``task`` on it (once a job in a multirun).

    A mistake is one sentence and exit code 1. A job of a multirun that fails does not stop the others: the code is 1 at the
    end, when the failed ones are named. Ctrl-C and SIGTERM stop everything, with code 130 and 143.
    """
    with interruptible() as interruption:
        try:
            _run(config_name, task, interruption)
        except KeyboardInterrupt:  # of a run, which has said how to go on
            # Of processes that train together the first one tells the shell.
            if main_process():
                sys.exit(exit_code(signal.SIGINT))
            sys.exit(0)
        except Stopped as stopped:
            notice(f"Stopped by {name_of(stopped.signum)}: the same command starts again.")
            sys.exit(stopped.code)
        finally:
            forget_command()


def _run(config_name: str, task: Callable[[Composed], float | None], interruption: Interruption) -> None:
    os.environ.setdefault("HYDRA_FULL_ERROR", "1")  # Hydra then raises instead of printing many lines
    quiet()
    # As a person typed it: the next lines change the command line for Hydra.
    note_command(config_name, sys.argv[1:])
    job = CommandTask(config_name, task, interruption)
    sys.argv[1:] = with_paths_quoted(sys.argv[1:])
    # Before Hydra, which has a --help of its own and knows no meaning of a setting.
    if asks_for_help(sys.argv[1:]):
        try:
            show_page(help_page(config_name, sys.argv[1:]))
        except CrossReIDError as error:
            stop(str(error))
        return
    try:
        # Plugins bring methods and datasets, which must be there before the settings are registered with Hydra.
        use_plugins(plugins_in(sys.argv[1:]))
        register()
        refuse_untold_choices(_plain_words(sys.argv[1:]))
    except CrossReIDError as error:
        stop(str(error))
    with_hydra = hydra.main(version_base=VERSION_BASE, config_path=str(packaged_conf()), config_name=config_name)
    start: Any = with_hydra(job)  # takes no arguments: Hydra reads the command line itself
    try:
        start()
    except (HydraException, OmegaConfBaseException) as error:
        stop(explain(error, known_keys(config_name, _plain_words(sys.argv[1:])), choices_of))
    job.end()


def _plain_words(arguments: list[str]) -> list[str]:
    """The overrides of a command line that choose one thing each."""
    return [word for word in arguments if "=" in word and "," not in word and not word.startswith("-")]
