"""A method with its trained weights, its dataset, and what to score it by, from a checkpoint alone."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytorch_lightning as pl

from crossreid.checks import check_trainer
from crossreid.config import (
    EvaluateDataConfig,
    ProtocolConfig,
    TrainConfig,
    TrainerConfig,
    method_config,
    typed,
)
from crossreid.data.datamodule import ReIDDataModule
from crossreid.methods.base import CrossModalityModule
from crossreid.training.build import make_datamodule, make_method, make_trainer
from crossreid.training.checkpoints import load_weights, read_checkpoint
from crossreid.training.progress import IterationProgress
from crossreid.training.scoring import Draw


@dataclass(frozen=True)
class Restored:
    """What a checkpoint brings.

    Attributes:
        name: of the run and its iteration, for tables.
        module: the method with its weights.
        data: the dataset.
        protocol: the protocol asked for, or the one that the run was trained with.
        draw: its galleries.
        trainer: to embed with.
    """

    name: str
    module: CrossModalityModule[Any]
    data: ReIDDataModule
    protocol: ProtocolConfig
    draw: Draw
    trainer: pl.Trainer


def restore(path: Path, where: EvaluateDataConfig, protocol: ProtocolConfig, trainer: TrainerConfig) -> Restored:
    """Build what a checkpoint holds.

    Args:
        path: the checkpoint.
        where: where the dataset and its decoded images lie now.
        protocol: how to score, or ``auto``.
        trainer: what to embed on.

    Raises:
        CheckpointError: the checkpoint is missing, partial or of another model.
    """
    saved = read_checkpoint(path)
    trained = typed(TrainConfig, saved["crossreid"]["config"])
    if "backbone" in trained.model:
        trained.model["backbone"]["weights"] = "random"  # the checkpoint brings all weights
    method = method_config(trained.model)
    check_trainer(trainer, 1)
    trained.data.root = where.root or trained.data.root
    trained.data.cache = where.cache or trained.data.cache
    data = make_datamodule(trained.data, method, seed=trained.seed, progress=trainer.progress)
    module = make_method(trained.model, method, saved["crossreid"]["num_identities"], trained.seed)
    load_weights(module, saved["state_dict"], path)
    chosen = trained.protocol if protocol.name == "auto" else protocol
    callbacks = [IterationProgress()] if trainer.progress else []
    return Restored(
        f"{trained.name} (iteration {saved['crossreid']['iteration']})",
        module,
        data,
        chosen,
        Draw.find(chosen, Path(trained.data.root)),
        make_trainer(trainer, method, 1, path.parent, (), callbacks),
    )
