"""A method with its trained weights, its dataset, and what to score it by, from a checkpoint alone."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytorch_lightning as pl

from crossreid.checks import check_trainer
from crossreid.config import TrainConfig, TrainerConfig, method_config, typed
from crossreid.data.datamodule import ReIDDataModule
from crossreid.datasets import TRAINED, DataConfig, data_config
from crossreid.evaluation import Scorer
from crossreid.methods.base import CrossModalityModule
from crossreid.protocols import AUTO, ProtocolConfig, ProtocolSet, Scored, protocol_config
from crossreid.training.checkpoints import load_weights, read_checkpoint
from crossreid.training.progress import IterationProgress
from crossreid.training.trainer import make_datamodule, make_method, make_trainer


@dataclass(frozen=True)
class Restored:
    """What a checkpoint brings.

    Attributes:
        name: of the run and its iteration, for tables.
        module: the method with its weights.
        data: the dataset asked for, or the one of training.
        settings: of the protocol asked for, or of that of training.
        protocols: what they make.
        trainer: to embed with.
    """

    name: str
    module: CrossModalityModule[Any]
    data: ReIDDataModule
    settings: ProtocolConfig
    protocols: ProtocolSet
    trainer: pl.Trainer

    def scorers(self) -> dict[str, Scorer]:
        """What to score by, by row; after embedding, since a method may ask its trainer for the device."""
        return self.settings.scorers(self.module.scorers())


def restore(path: Path, data: dict[str, Any], protocol: dict[str, Any], trainer: TrainerConfig) -> Restored:
    """Build what a checkpoint holds.

    Args:
        path: the checkpoint.
        data: which dataset, or ``trained`` and where it lies now.
        protocol: how to score, or ``auto``.
        trainer: what to embed on.

    Raises:
        CheckpointError: the checkpoint is missing, partial or of another model.
        ConfigError: settings cannot be, or the model must not be scored on this split.
        DataError: the dataset is not there or not whole.
    """
    saved = read_checkpoint(path)
    trained = typed(TrainConfig, saved["crossreid"]["config"])
    if "backbone" in trained.model:
        trained.model["backbone"]["weights"] = "random"  # the checkpoint brings all weights
    method = method_config(trained.model)
    check_trainer(trainer, 1)
    scored_on = dataset_settings(data, trained.data)
    chosen = protocol_config(trained.protocol if protocol["name"] == AUTO else protocol)
    module_data = make_datamodule(scored_on, method, trained.selection, seed=trained.seed, progress=trainer.progress)
    module = make_method(trained.model, method, saved["crossreid"]["num_identities"], trained.seed)
    load_weights(module, saved["state_dict"], path)
    callbacks = [IterationProgress()] if trainer.progress else []
    return Restored(
        f"{trained.name} (iteration {saved['crossreid']['iteration']})",
        module,
        module_data,
        chosen,
        chosen.build(Scored.of(scored_on, data_config(trained.data), module_data.dataset)),
        make_trainer(trainer, method, 1, path.parent, (), callbacks),
    )


def dataset_settings(asked: dict[str, Any], trained: dict[str, Any]) -> DataConfig:
    """The dataset asked for, or the one of training, where it lies now."""
    if asked["name"] != TRAINED:
        return data_config(asked)
    moved = {key: value for key, value in asked.items() if key != "name" and value is not None}
    return data_config(trained | moved)
