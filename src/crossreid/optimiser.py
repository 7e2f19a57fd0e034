"""What a sweeper that optimises gets: the score on the validation persons, never one of the test.

Hydra's own sweeper (``basic``) and that of ``sweep=reproduce`` run the jobs that they were told and need no number. Any other
one (Optuna, Ax, Nevergrad), and W&B's agent, chooses the next settings by what a job returns or logs.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import OmegaConf

from crossreid.console import WANDB_SWEEP, in_wandb_sweep, stop
from crossreid.settings.run import RunConfig

PLAIN_SWEEPERS = ("basic", "reproduce")
"""They run what they were told to run, and choose nothing."""
_DIRECTION = ("direction", "optim.maximize", "ax_config.experiment.minimize")
"""Where the sweepers that are known say which way is better: Optuna, Nevergrad, Ax."""


def optimiser() -> str | None:
    """What chooses settings by this job's score, in words; None for a single run and for a plain multirun."""
    if in_wandb_sweep():
        return f"the agent of a W&B sweep ({WANDB_SWEEP} is set)"
    hydra = HydraConfig.get()
    if hydra.mode != RunMode.MULTIRUN:
        return None
    sweeper = hydra.runtime.choices.get("hydra/sweeper") or PLAIN_SWEEPERS[0]
    if sweeper in PLAIN_SWEEPERS:
        return None
    return f"hydra/sweeper={sweeper}"


def check_optimiser(config: RunConfig) -> None:
    """End a sweep that would optimise the test, or look for the worst, with a sentence that says what to add.

    The whole sweep ends, and not the first of its jobs: all others would be refused likewise.
    """
    who = optimiser()
    if who is None:
        return
    if config.selection.name != "validation":
        stop(
            f"{who} chooses settings by a score, which must not be that of the test: add selection=validation, so that it gets "
            "the mAP on the validation persons (a dataset without any cannot be optimised on), or list the settings in a plain "
            "multirun."
        )
    if not in_wandb_sweep() and _minimises(_sweeper()):
        stop(
            f"{who} looks for the smallest score, and larger ones are better: set hydra.sweeper.direction=maximize "
            "(Optuna), or what your sweeper calls it."
        )


def refuse_optimiser(command: str) -> None:
    """End a sweep that would optimise what a command other than ``train`` scores: it scores the test."""
    who = optimiser()
    if who is not None:
        stop(
            f"{who} would choose settings by what crossreid.{command} scores on the test: optimise crossreid.train with "
            "selection=validation, or list the settings in a plain multirun."
        )


def objective(facts: Mapping[str, Any]) -> float | None:
    """The mAP on the validation persons of the weights that were chosen, in [0, 1]; None where none were looked at.

    Args:
        facts: what a run's results say besides scores.
    """
    selected = facts.get("selected") or {}
    value = selected.get("mAP")
    if value is None:
        return None
    return float(value)


def _sweeper() -> Mapping[str, Any]:
    """The sweeper's settings as plain values."""
    settings: Any = OmegaConf.to_container(HydraConfig.get().sweeper, resolve=False)
    return settings if isinstance(settings, Mapping) else {}


def _minimises(sweeper: Mapping[str, Any]) -> bool:
    """The sweeper says that smaller is better; one that says nothing that is known here is left alone."""
    for place in _DIRECTION:
        value: Any = sweeper
        for name in place.split("."):
            value = value.get(name) if isinstance(value, Mapping) else None
        word = str(getattr(value, "name", value)).lower()
        if place == "optim.maximize":
            if word == "false":
                return True
        elif word in ("minimize", "true"):
            return True
    return False
