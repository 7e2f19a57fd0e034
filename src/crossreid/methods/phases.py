"""Iterations and phases: where a training stands follows from one counter."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import pytorch_lightning as pl
import torch
from torch import Tensor
from torch.optim.lr_scheduler import LRScheduler

from crossreid.data.batches import TrainingBatch
from crossreid.errors import ConfigError, CrossReIDError
from crossreid.methods.players import Losses, PlayersMixin
from crossreid.randomness import derive_seed
from crossreid.settings.method import MethodConfig

ConfigT = TypeVar("ConfigT", bound=MethodConfig)


@dataclass(frozen=True)
class Schedule:
    """A learning-rate schedule that is stepped once an iteration, only in the named phases."""

    scheduler: LRScheduler
    phases: tuple[str, ...]


class PhasedModule(PlayersMixin, Generic[ConfigT]):
    """A method that counts iterations; the phase follows from the count, and the trainer's own step counter is not used.

    Attributes:
        config: the method's settings.
        seed: all randomness inside an iteration is drawn from (seed, iteration, rank).
        iteration: the next one, from 0.
        log_every: iterations between logged losses.
        losses: the terms of the last iteration, unweighted, as ``player/term``.
    """

    config: ConfigT
    seed: int

    def __init__(self) -> None:
        super().__init__()
        self.iteration = 0
        self.log_every = 10
        self.losses: dict[str, Tensor] = {}
        self._sums: dict[tuple[str, ...], Tensor] = {}
        self.schedules: Mapping[str, Schedule] = {}

    def begin_phase(self, phase: str) -> None:
        """Called once, before the first iteration of a phase (never again on resume inside it)."""

    @property
    def phase(self) -> str:
        """The phase that the next iteration belongs to; the last one when training is over."""
        return self.place[0]

    @property
    def place(self) -> tuple[str, int]:
        """Phase and 0-based iteration inside it; no phase where nothing is trained."""
        if not self.config.trains:
            return "", 0
        # From the one counter, so that a resumed run stands where it stopped, inside a phase too.
        left = self.iteration
        phases = self.config.active_phases()
        for name, length in phases.items():
            if left < length:
                return name, left
            left -= length
        return list(phases.items())[-1]

    def setup(self, stage: str) -> None:
        """Ask the data module how many iterations an epoch has, where the settings leave it to the dataset.

        Raises:
            ConfigError: nobody says it.
        """
        if self.config.iterations_per_epoch is not None or not self.config.trains or stage != "fit":
            return
        data = getattr(self.trainer, "datamodule", None)
        told = getattr(data, "iterations_per_epoch", None)
        if told is None:
            raise ConfigError(
                "model.iterations_per_epoch is not known: train with a ReIDDataModule, or give a number of iterations."
            )
        self.config = self.config.with_epoch(int(told))
        self.config.check_phases("model")

    def on_train_batch_start(self, batch: TrainingBatch, batch_idx: int) -> None:
        """Make the iteration's randomness a function of (seed, iteration, rank), and open a phase at its first one."""
        torch.manual_seed(derive_seed(self.seed, "iteration", self.iteration, self.global_rank))
        phase, inside = self.place
        if inside == 0:
            self.begin_phase(phase)
        self.losses = {}

    def on_train_batch_end(self, outputs: Any, batch: TrainingBatch, batch_idx: int) -> None:
        """Log, step the schedules of this phase, count; stop behind the last phase, whatever the trainer was told."""
        phase = self.phase
        self._add_to_sums()
        if self.iteration % self.log_every == 0:
            self._log_iteration(phase)  # with the rates of this iteration, which a schedule changes
        # Lightning leaves schedules to whoever optimizes by hand.
        for schedule in self.schedules.values():
            if phase in schedule.phases:
                schedule.scheduler.step()
        self.iteration += 1
        if self.iteration >= self.config.iterations and not self._ends_here(self.trainer):
            self.trainer.should_stop = True

    @staticmethod
    def _ends_here(trainer: pl.Trainer) -> bool:
        """The trainer is at the end of what it was told to do."""
        last_epoch = trainer.current_epoch + 1 == trainer.max_epochs
        return last_epoch and trainer.is_last_batch

    def _add_to_sums(self) -> None:
        """Add the iteration's losses to the sums since they were last looked at; nothing waits for the device."""
        if not self.losses:
            return
        # Phases, and iterations that log more, have other terms: there is a sum for each set of names.
        names = tuple(self.losses)
        values = torch.stack([value.float() for value in self.losses.values()])
        self._sums[names] = self._sums[names] + values if names in self._sums else values

    def require_finite_losses(self) -> None:
        """Raise :class:`CrossReIDError` in one sentence if a loss was not finite since this was last asked.

        It reads from the device, so it is asked when losses are logged and before a checkpoint is written.
        """
        for names, sums in self._sums.items():
            # a sum with one nan or infinity in it is not finite itself
            for name, value in zip(names, sums.tolist(), strict=True):
                if not math.isfinite(value):
                    raise CrossReIDError(
                        f"The loss {name} is {value} at about iteration {self.iteration} (phase {self.phase}): lower the "
                        "learning rates, or train with trainer.precision=32-true; the last checkpoint has finite losses."
                    )
        self._sums = {}

    def loss_values(self) -> dict[str, float]:
        """:attr:`losses` as numbers, read from the device at once."""
        if not self.losses:
            return {}
        values = torch.stack([value.float() for value in self.losses.values()]).tolist()
        return dict(zip(self.losses, values, strict=True))

    def record_losses(self, player: str, losses: Losses) -> None:
        """Keep a turn's terms, unweighted, for the log."""
        for name, (value, _) in losses.terms.items():
            self.losses[f"{player}/{name}"] = value.detach()

    def _log_iteration(self, phase: str) -> None:
        self.require_finite_losses()
        if not self.trainer.is_global_zero:
            return
        values = {"iteration": float(self.iteration)}
        values["phase"] = float(list(self.config.phase_lengths()).index(phase))
        for name, value in self.loss_values().items():
            values[f"train/{name}"] = value
        for name in self.player_order:
            values[f"lr/{name}"] = self.player(name).param_groups[0]["lr"]
        for logger in self.loggers:
            logger.log_metrics(values, step=self.iteration)
