"""Settings -> dataset, data module, method, protocols, trainer."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.loggers import Logger
from pytorch_lightning.strategies import DDPStrategy

from crossreid.checks import device_count
from crossreid.config import SelectionConfig, TrainerConfig, method_class
from crossreid.data.datamodule import ReIDDataModule
from crossreid.datasets import DataConfig
from crossreid.methods.base import CrossModalityModule, MethodConfig
from crossreid.randomness import derive_seed
from crossreid.training.checkpoints import AtomicCheckpointIO


def make_datamodule(
    data: DataConfig, method: MethodConfig, selection: SelectionConfig, *, seed: int, progress: bool
) -> ReIDDataModule:
    """The data module that serves a method's streams."""
    validating = selection.name == "validation"
    return ReIDDataModule(
        partial(data.read, progress=progress),
        Path(data.cache),
        method.streams,
        method.iterations_per_epoch,
        seed=seed,
        flip=method.flip,
        channel_exchange=method.channel_exchange,
        evaluation_batch=data.evaluation_batch,
        train_splits=("train",) if validating else ("train", "val"),
        validation_splits=("val",) if validating else (),
        progress=progress,
    )


def make_method(
    model: dict[str, Any], method: MethodConfig, num_identities: int, seed: int
) -> CrossModalityModule[Any]:
    """The method with initial weights that depend on the seed alone."""
    torch.manual_seed(derive_seed(seed, "initial weights"))
    return method_class(model)(method, num_identities, seed)


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
    return pl.Trainer(
        accelerator=config.accelerator,
        devices=config.devices,
        num_nodes=config.num_nodes,
        strategy=make_strategy(config, players),
        precision=config.precision,  # type: ignore[arg-type]
        deterministic=config.deterministic,
        log_every_n_steps=1,  # silences a warning; the method logs by its own counter
        max_epochs=method.iterations // method.iterations_per_epoch,
        limit_val_batches=1.0 if validate_every else 0,
        check_val_every_n_epoch=validate_every or 1,
        num_sanity_val_steps=0,
        use_distributed_sampler=False,  # the samplers share identities and rows among ranks themselves
        enable_checkpointing=False,  # IterationCheckpoint saves
        enable_progress_bar=any(isinstance(callback, pl.callbacks.ProgressBar) for callback in callbacks),
        enable_model_summary=False,
        logger=list(loggers),
        callbacks=list(callbacks),
        plugins=[AtomicCheckpointIO()],
        default_root_dir=folder,
    )


def make_strategy(config: TrainerConfig, players: int) -> str | DDPStrategy:
    """``auto`` on one device; DDP on several, looking for unused parameters where players take turns."""
    if not is_distributed(config):
        return "auto"
    unused = players > 1 if config.strategy == "auto" else config.strategy.endswith("true")
    return DDPStrategy(find_unused_parameters=unused, process_group_backend=config.backend)


def is_distributed(config: TrainerConfig) -> bool:
    """Several processes are asked for."""
    return device_count(config) * config.num_nodes > 1
