"""What Hydra calls for each job of a command: a mistake becomes one sentence, and in a multirun the other jobs go on."""

from __future__ import annotations

import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from hydra.core.hydra_config import HydraConfig
from hydra.errors import HydraException
from omegaconf import DictConfig
from omegaconf.errors import OmegaConfBaseException

from crossreid.console import complain, stop
from crossreid.errors import CrossReIDError
from crossreid.interruption import Interruption
from crossreid.invocation import in_multirun, note_command
from crossreid.memory import keep_memory
from crossreid.settings.compose import Composed, plain_values
from crossreid.settings.sentences import explain, one_line

_UNTOLD = ("sweep=", "data.root=", "data.cache=", "jobs=", "sweep_report=", "hydra")
"""Words of a multirun that do not tell its jobs apart."""


@dataclass(frozen=True)
class Failure:
    """A job of a multirun that failed.

    Attributes:
        job: its number and what it was told.
        message: why, in a sentence.
    """

    job: str
    message: str


class CommandTask:
    """One command, called with the settings of each of its jobs.

    Args:
        command: ``train``, ``evaluate``, ...
        work: what the command does with composed settings; returns what a sweeper may optimise.
        interruption: says whether a person or the system asked to stop.

    Attributes:
        failures: of the jobs so far, those of other processes too.
        told: number of a job -> what it was told, where less than everything tells it from the others.
    """

    def __init__(self, command: str, work: Callable[[Composed], float | None], interruption: Interruption) -> None:
        self.command = command
        self.work = work
        self.interruption = interruption
        self.failures: list[Failure] = []
        self.told: dict[int, str] = {}

    def __call__(self, config: DictConfig) -> float | None:
        """Run one job. A bug ends a single run with its traceback; a job of a multirun only fails."""
        composed = composed_by_hydra(config)
        if in_multirun():
            # What a job was told, as a command that a person may give once more as a single run.
            alone = [word for word in composed.overrides if not word.startswith("jobs=")]
            note_command(self.command, alone)
        try:
            if _keeps_memory(composed.values):
                keep_memory()  # before the task imports torch
            return self.work(composed)
        except Exception as error:
            message = sentence_of(error)
            if not in_multirun():
                if message is None:  # a bug: its traceback is wanted
                    raise
                stop(message)
            if message is None:
                traceback.print_exc()
                message = f"{type(error).__name__}: {one_line(error)}"
            hydra_config = HydraConfig.get()
            self.fail(hydra_config.job.num, list(hydra_config.overrides.task), message)
            self.interruption.check()  # it failed while it was to stop, so the other jobs do not begin
            return None  # the other jobs go on

    def fail(self, number: int, overrides: list[str], message: str) -> None:
        """Say that a job failed, and keep it for the end.

        Args:
            number: of the job, from 0; people count from 1.
            overrides: what it was told.
            message: why it failed, in a sentence.
        """
        told = self.told.get(number) or " ".join(telling(overrides))
        job = f"{number + 1} ({told})"
        self.failures.append(Failure(job, message))
        complain(f"Job {job} failed: {message}")

    def end(self) -> None:
        """Name the failed jobs once more, and end with exit code 1, if there are any."""
        if self.failures:
            names = "; ".join(failure.job for failure in self.failures)
            stop(f"{len(self.failures)} of the jobs failed: {names}.")


def composed_by_hydra(config: DictConfig) -> Composed:
    """What Hydra's application composed for this job."""
    hydra_config = HydraConfig.get()
    choices = dict(hydra_config.runtime.choices)
    overrides = tuple(hydra_config.overrides.task)
    return Composed(plain_values(config), choices, overrides)


def telling(overrides: list[str]) -> list[str]:
    """Of what a job was told, the words that may tell it from others."""
    return [word for word in overrides if not word.lstrip("+~").startswith(_UNTOLD)]


def sentence_of(error: Exception) -> str | None:
    """A person's mistake, or the machine's limit, in one sentence; None for anything else, which is a bug."""
    if isinstance(error, CrossReIDError):
        return str(error)
    if isinstance(error, HydraException | OmegaConfBaseException):
        return explain(error)
    kind = type(error).__name__  # torch and Lightning are not imported for a name
    if kind == "OutOfMemoryError":
        return (
            "The GPU's memory is too small for this: lower the streams' identities or image sizes, use bf16-mixed, or fewer "
            "jobs at once."
        )
    if kind == "MisconfigurationException" or isinstance(error, OSError):
        return f"{one_line(error)}.".replace("..", ".")
    return None


def _keeps_memory(values: Mapping[str, Any]) -> bool:
    """``keep_memory`` of the trainer, or of a command without one; False where there is no such setting."""
    trainer = values.get("trainer")
    if isinstance(trainer, Mapping):
        return trainer.get("keep_memory") is True
    return values.get("keep_memory") is True
