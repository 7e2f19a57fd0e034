"""How every command starts: Hydra composes the settings, mistakes become one sentence and exit code 1."""

from __future__ import annotations

import os
import signal
import sys
import traceback
from collections.abc import Callable, Mapping
from importlib import import_module
from types import ModuleType
from typing import Any

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.errors import HydraException
from hydra.types import RunMode
from omegaconf import DictConfig
from omegaconf.errors import OmegaConfBaseException

from crossreid.console import complain, main_process, notice, quiet, stop
from crossreid.errors import CrossReIDError
from crossreid.help.page import asks_for_help, help_page
from crossreid.interruption import Interruption, Stopped, exit_code, interruptible, name_of
from crossreid.invocation import forget_command, note_command
from crossreid.memory import keep_memory
from crossreid.settings.compose import Composed, known_keys, plain_values, plugins_in, refuse_untold_choices
from crossreid.settings.overrides import with_paths_quoted
from crossreid.settings.registry import use_plugins
from crossreid.settings.sentences import explain, one_line
from crossreid.settings.store import choices_of, packaged_conf, register

_UNTOLD = ("sweep=", "data.root=", "data.cache=")
"""Words of a multirun that do not tell its jobs apart."""


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
            sys.exit(exit_code(signal.SIGINT) if main_process() else 0)
        except Stopped as stopped:
            notice(f"Stopped by {name_of(stopped.signum)}: the same command starts again.")
            sys.exit(stopped.code)
        finally:
            forget_command()


def _run(config_name: str, task: Callable[[Composed], float | None], interruption: Interruption) -> None:
    os.environ.setdefault("HYDRA_FULL_ERROR", "1")  # Hydra then raises instead of printing many lines
    quiet()
    note_command(config_name, sys.argv[1:])
    failed: list[str] = []

    def job(cfg: DictConfig) -> float | None:
        composed = composed_by_hydra(cfg)
        if sweeping():
            note_command(config_name, composed.overrides)
        try:
            if _keeps_memory(composed.values):
                keep_memory()  # before the task imports torch
            return task(composed)
        except Exception as error:
            message = _sentence(error)
            if not sweeping():
                if message is None:  # a bug: its traceback is wanted
                    raise
                stop(message)
            failed.append(_job_name())
            if message is None:
                traceback.print_exc()
                message = f"{type(error).__name__}: {one_line(error)}"
            complain(f"Job {failed[-1]} failed: {message}")
            interruption.check()  # it failed while it was to stop, so the other jobs do not begin
            return None  # the other jobs go on

    sys.argv[1:] = with_paths_quoted(sys.argv[1:])
    if asks_for_help(sys.argv[1:]):
        try:
            print(help_page(config_name, sys.argv[1:]))
        except CrossReIDError as error:
            stop(str(error))
        return
    try:
        use_plugins(plugins_in(sys.argv[1:]))
        register()
        refuse_untold_choices(_plain_words(sys.argv[1:]))
    except CrossReIDError as error:
        stop(str(error))
    start: Any = hydra.main(version_base="1.3", config_path=str(packaged_conf()), config_name=config_name)(job)
    try:
        start()
    except (HydraException, OmegaConfBaseException) as error:
        stop(explain(error, known_keys(config_name, _plain_words(sys.argv[1:])), choices_of))
    if failed:
        stop(f"{len(failed)} of the jobs failed: {'; '.join(failed)}.")


def composed_by_hydra(cfg: DictConfig) -> Composed:
    """What Hydra's application composed for this job."""
    hydra_config = HydraConfig.get()
    return Composed(plain_values(cfg), dict(hydra_config.runtime.choices), tuple(hydra_config.overrides.task))


def _keeps_memory(values: Mapping[str, Any]) -> bool:
    """``keep_memory`` of the trainer, or of a command without one; False where there is no such setting."""
    trainer = values.get("trainer")
    holder = trainer if isinstance(trainer, Mapping) else values
    return holder.get("keep_memory") is True


def sweeping() -> bool:
    """This is one job of a multirun."""
    return bool(HydraConfig.get().mode == RunMode.MULTIRUN)


def _plain_words(arguments: list[str]) -> list[str]:
    """The overrides of a command line that choose one thing each."""
    return [word for word in arguments if "=" in word and "," not in word and not word.startswith("-")]


def _sentence(error: Exception) -> str | None:
    """A person's mistake, or the machine's limit, in one sentence; None for anything else, which is a bug."""
    if isinstance(error, CrossReIDError):
        return str(error)
    if isinstance(error, HydraException | OmegaConfBaseException):
        return explain(error)
    kind = type(error).__name__  # torch and Lightning are not imported for a name
    if kind == "OutOfMemoryError":
        return (
            "The GPU's memory is too small for this: lower the streams' identities or image sizes, or use bf16-mixed."
        )
    if kind == "MisconfigurationException" or isinstance(error, OSError):
        return f"{one_line(error)}.".replace("..", ".")
    return None


def _job_name() -> str:
    """A multirun's job by its number and what it was told."""
    hydra_config = HydraConfig.get()
    told = [word for word in hydra_config.overrides.task if not word.startswith(_UNTOLD)]
    return f"{hydra_config.job.num} ({' '.join(told)})"
