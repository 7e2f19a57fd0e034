"""Checkpoints that are whole or not there, counted in iterations."""

from __future__ import annotations

import shutil
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, BinaryIO

import pytorch_lightning as pl
import torch
from lightning_fabric.plugins import TorchCheckpointIO

from crossreid.errors import CheckpointError, ConfigError, CrossReIDError
from crossreid.files import write_atomically
from crossreid.interruption import Interruption
from crossreid.methods.base import CrossModalityModule
from crossreid.pickled import why_unread
from crossreid.runs.folder import LAST
from crossreid.training.budget import TrainingClock
from crossreid.training.conversion import current_checkpoint
from crossreid.training.resuming import PLAYER_STATES, WITHOUT_OPTIMIZERS, player_states
from crossreid.untrusted import archive_members


class AtomicCheckpointIO(TorchCheckpointIO):
    """Writes under another name in the same folder and renames: a killed process, or a full disk, leaves the old checkpoint
    or the new one."""

    def save_checkpoint(self, checkpoint: dict[str, Any], path: str | Path, storage_options: Any = None) -> None:
        """Save ``checkpoint`` at ``path``; :class:`WriteError` where that cannot be done."""
        write_atomically(Path(path), lambda stream: torch.save(checkpoint, stream), wait=False)

    def load_checkpoint(self, path: Any, map_location: Any = None, weights_only: bool | None = None) -> dict[str, Any]:
        """Load ``path``, one of an older version in today's form."""
        checkpoint: dict[str, Any] = super().load_checkpoint(path, map_location, weights_only)
        return current_checkpoint(checkpoint)


class IterationCheckpoint(pl.Callback):
    """Keeps ``last.ckpt``: every so many iterations, at each phase's end (as ``<phase>.ckpt`` too, if wanted), when asked to
    stop, and when the time is over.

    It saves before an iteration starts, so a checkpoint never holds half of a method's turns; with it the seconds that
    training has taken.

    Args:
        folder: the run folder.
        every: iterations between two checkpoints.
        clock: of the training, with its budget.
        interruption: says whether a person or the system asked to stop.
        phases: keep each phase's end too.

    Attributes:
        saved_at: iteration of the last checkpoint that this process saved; None before.
    """

    def __init__(
        self, folder: Path, every: int, clock: TrainingClock, interruption: Interruption, *, phases: bool = False
    ) -> None:
        self.folder = folder
        self.every = every
        self.clock = clock
        self.interruption = interruption
        self.phases = phases
        self.saved_at: int | None = None

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Take the signals back: Lightning has put a handler of its own before ours, which stops between two turns."""
        self.interruption.install()

    def on_train_batch_start(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        """Save when it is time, when a phase has ended, or when asked to stop."""
        assert isinstance(pl_module, CrossModalityModule)
        begun = pl_module.iteration  # which is about to begin; as many are done
        opens_phase = begun > 0 and pl_module.place[1] == 0
        due = begun > 0 and begun % self.every == 0
        stop = self.interruption.asked
        over = self.clock.spent
        if trainer.world_size > 1:  # all ranks stop at one iteration, or some would wait for the others for ever
            stop = trainer.strategy.reduce_boolean_decision(stop, all=False)
            if self.clock.budget is not None:
                over = trainer.strategy.reduce_boolean_decision(over, all=False)
        if (opens_phase or due or stop or over) and begun != self.saved_at:
            self._save(trainer, pl_module)
        if opens_phase:
            phases = list(pl_module.config.active_phases())
            phase_before = phases[phases.index(pl_module.phase) - 1]
            self._keep(trainer, phase_before)
        if stop:
            self.interruption.stop()
        if over:
            raise self.clock.refuse(begun, pl_module.config.iterations)

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Save the end of training."""
        assert isinstance(pl_module, CrossModalityModule)
        self._save(trainer, pl_module)
        self._keep(trainer, pl_module.phase)

    def on_save_checkpoint(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Let every checkpoint say how full the optimizers' states are, so that a part cannot get lost unseen."""
        assert isinstance(pl_module, CrossModalityModule)
        if "optimizer_states" in checkpoint:
            states = player_states(pl_module, checkpoint["optimizer_states"])
            pl_module.checkpoint_extras[PLAYER_STATES] = states

    def _save(self, trainer: pl.Trainer, module: CrossModalityModule[Any]) -> None:
        module.require_finite_losses()  # a checkpoint of broken weights must not take the place of a good one
        module.checkpoint_extras["training_seconds"] = self.clock.seconds
        trainer.save_checkpoint(self.folder / LAST)
        self.saved_at = module.iteration

    def _keep(self, trainer: pl.Trainer, phase: str) -> None:
        """Keep the checkpoint of a phase's end under the phase's name, if wanted."""
        if self.phases and trainer.is_global_zero:
            self._copy(self.folder / LAST, self.folder / f"{phase}.ckpt")

    @staticmethod
    def _copy(source: Path, target: Path) -> None:
        def write(stream: BinaryIO) -> None:
            with source.open("rb") as content:
                shutil.copyfileobj(content, stream)

        write_atomically(target, write, wait=False)


def drop_optimizers(path: Path) -> None:
    """Write a checkpoint anew, whole or not at all, without the states of its optimizers: of most a half to two thirds."""
    checkpoint = torch.load(path, map_location="cpu", weights_only=True)
    checkpoint["optimizer_states"] = []
    checkpoint["crossreid"][WITHOUT_OPTIMIZERS] = True
    write_atomically(path, lambda stream: torch.save(checkpoint, stream), wait=False)


def read_checkpoint(path: Path) -> dict[str, Any]:
    """A checkpoint that training wrote, on the CPU, one of an older version in today's form.

    Raises:
        CheckpointError: it is missing, damaged, partial, or not from crossreid.
    """
    if not path.is_file():
        raise CheckpointError(f"There is no checkpoint '{path}': give the path of a .ckpt file that training wrote.")
    try:
        # one that torch.save wrote; what else torch reads cannot unpack to more than it is
        if zipfile.is_zipfile(path):
            archive_members(path, stored_only=True)
        checkpoint = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # a damaged file makes torch raise nearly anything
        raise CheckpointError(
            f"The checkpoint '{path}' cannot be read: {why_unread(error)}; use another one."
        ) from error
    if not isinstance(checkpoint, dict) or not {"state_dict", "crossreid"} <= set(checkpoint):
        raise CheckpointError(f"The checkpoint '{path}' was not written by crossreid's training; use one that was.")
    for part in ("state_dict", "crossreid"):
        content = checkpoint[part]
        if not isinstance(content, Mapping) or not all(isinstance(name, str) for name in content):
            raise CheckpointError(
                f"The checkpoint '{path}' is damaged: '{part}' is no group of named values; use another one."
            )
    if "optimizer_states" not in checkpoint or "loops" not in checkpoint:
        raise CheckpointError(
            f"The checkpoint '{path}' is partial, it lacks optimizer states; use one that training wrote."
        )
    try:
        return current_checkpoint(checkpoint)
    except (ConfigError, KeyError, TypeError, ValueError, AttributeError, OverflowError, RecursionError) as error:
        raise CheckpointError(f"The checkpoint '{path}' holds settings that cannot be read: {reason(error)}") from error


def reason(error: Exception) -> str:
    """What a mistake in settings is, in words; another exception, which damage raises, says no more than that."""
    if isinstance(error, CrossReIDError):
        return str(error)
    if isinstance(error, KeyError):
        return f"{error} is missing, so it is damaged; use another one."
    return "it is damaged; use another one."


def load_weights(module: CrossModalityModule[Any], state: dict[str, Any], path: Path) -> None:
    """Load weights strictly.

    Raises:
        CheckpointError: names what is missing, too much or no number.
    """
    check_weights(module, state, path)
    module.load_state_dict(state)
    for name, weight in module.state_dict().items():
        if not torch.isfinite(weight).all():
            raise CheckpointError(f"The checkpoint '{path}' is damaged: '{name}' holds nan or inf; use another one.")


def check_weights(module: CrossModalityModule[Any], state: Mapping[str, Any], path: Path) -> None:
    """Refuse weights that are not those of a module; no value is looked at, so the module may have shapes alone.

    Raises:
        CheckpointError: names what is missing or too much.
    """
    own = module.state_dict()
    for name, weight in state.items():
        if not isinstance(weight, torch.Tensor) or weight.layout != torch.strided or weight.is_complex():
            raise CheckpointError(f"The checkpoint '{path}' is damaged: '{name}' holds no weights; use another one.")
    missing = sorted(own.keys() - state.keys())
    surplus = sorted(state.keys() - own.keys())
    shared = sorted(own.keys() & state.keys())
    odd = [name for name in shared if own[name].shape != state[name].shape]
    for problem, names in (("lacks", missing), ("has unknown", surplus), ("has another shape of", odd)):
        if names:
            raise CheckpointError(
                f"The checkpoint '{path}' is not whole for this model: it {problem} {len(names)} weights, such as "
                f"{names[0]}; use the checkpoint that training wrote."
            )
