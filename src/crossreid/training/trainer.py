"""The Lightning trainer of a run, from its settings."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytorch_lightning as pl
from pytorch_lightning.loggers import Logger
from pytorch_lightning.strategies import DDPStrategy

from crossreid.settings.method import MethodConfig
from crossreid.settings.run import TrainerConfig
from crossreid.training.checkpoints import AtomicCheckpointIO
from crossreid.training.environment import world_size
from crossreid.training.kernels import use_arithmetic


def make_trainer(
    config: TrainerConfig,
    method: MethodConfig,
    players: int,
    folder: Path,
    loggers: Sequence[Logger] = (),
    callbacks: Sequence[pl.Callback] = (),
    *,
    validate_every: int = 0,
) -> pl.Trainer:
    """A trainer that runs a method's iterations; the DDP strategy follows from the number of players.

    ``validate_every`` is the number of epochs between two validation loops, 0 for none.
    """
    use_arithmetic(config)
    has_bar = any(isinstance(callback, pl.callbacks.ProgressBar) for callback in callbacks)
    return pl.Trainer(
        accelerator=config.accelerator,
        devices=config.devices,
        num_nodes=config.num_nodes,
        strategy=make_strategy(config, players),
        precision=config.precision,  # type: ignore[arg-type]
        deterministic=config.deterministic,
        benchmark=bool(config.cudnn_benchmark),  # by None Lightning keeps what an earlier run of this process chose
        log_every_n_steps=1,  # silences a warning; the method logs by its own counter
        max_epochs=method.epochs_of_training or 0,
        limit_val_batches=1.0 if validate_every else 0,
        check_val_every_n_epoch=validate_every or 1,
        num_sanity_val_steps=0,
        use_distributed_sampler=False,  # the samplers share identities and rows among ranks themselves
        enable_checkpointing=False,  # IterationCheckpoint saves
        enable_progress_bar=has_bar,
        enable_model_summary=False,
        logger=list(loggers),
        callbacks=list(callbacks),
        plugins=[AtomicCheckpointIO()],
        default_root_dir=folder,
    )


def make_strategy(config: TrainerConfig, players: int) -> str | DDPStrategy:
    """``auto`` on one device; DDP on several, looking for unused parameters where players take turns."""
    if world_size(config) == 1:
        return "auto"
    unused = config.strategy.endswith("true")
    if config.strategy == "auto":  # in one player's turn the weights of the others get no gradient
        unused = players > 1
    return DDPStrategy(find_unused_parameters=unused, process_group_backend=config.backend)
