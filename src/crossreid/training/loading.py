"""The one way from a checkpoint to a method, and what a checkpoint says of how it is to be scored."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch

from crossreid.console import notice
from crossreid.data.datamodule import ReIDDataModule
from crossreid.errors import CheckpointError, ConfigError, DataError
from crossreid.evaluation import Scorer
from crossreid.evaluation.building import ProtocolSet, Scored, build_protocols, build_scorers
from crossreid.methods.base import CrossModalityModule
from crossreid.methods.reporting import further_scorers_of
from crossreid.randomness import derive_seed
from crossreid.runs.folder import BEST, LAST, scored_checkpoint
from crossreid.settings.data import DataConfig, FolderConfig, TrainedDataConfig
from crossreid.settings.fields import from_plain
from crossreid.settings.importing import ImportedConfig
from crossreid.settings.method import MethodConfig
from crossreid.settings.protocol import PROTOCOLS, ProtocolConfig, TrainedProtocolConfig
from crossreid.settings.registry import method_class, method_settings
from crossreid.settings.run import RunConfig, TrainerConfig, run_config_from_plain
from crossreid.training.checkpoints import check_weights, load_weights, read_checkpoint, reason
from crossreid.training.environment import check_devices, check_files
from crossreid.training.imported import imported_of, label_of, resized_as_the_source, trained_on
from crossreid.training.persons import divided_as_trained, warn_of_trained_persons
from crossreid.training.progress import IterationProgress
from crossreid.training.trainer import make_trainer


def make_method(config: MethodConfig, num_identities: int, seed: int) -> CrossModalityModule[Any]:
    """The method with initial weights that depend on the seed alone."""
    # layers draw from torch's own generator as they are made
    torch.manual_seed(derive_seed(seed, "initial weights"))
    module: CrossModalityModule[Any] = method_class(config)(config, num_identities, seed)
    return module


def checkpoint_at(place: str | Path) -> Path:
    """A checkpoint by its own path, or by that of its run folder, which stands for the weights that its scores are of.

    Those are the ones that validation chose, the best so far while the run is not finished; else the last ones.

    Raises:
        CheckpointError: there is none, or the folder does not say which.
    """
    found = Path(place)
    if found.is_dir():
        found = _of_folder(found)
    if not found.is_file():
        raise CheckpointError(
            f"There is no checkpoint at '{place}': name a run folder or a .ckpt file that training wrote."
        )
    return found


def _of_folder(folder: Path) -> Path:
    """The checkpoint that a folder stands for, refused where the run has it still to choose."""
    try:
        found = scored_checkpoint(folder)
    except DataError as error:
        problem = str(error).rstrip(".")
        raise CheckpointError(
            f"'{folder}' does not say which of its checkpoints was scored ({problem}): name the .ckpt file itself."
        ) from error
    if found.name == BEST and not found.is_file() and (folder / LAST).is_file():
        raise CheckpointError(
            f"The run in '{folder}' chooses its weights on its validation persons, and has no {BEST} yet: go on with it by "
            f"resume={shlex.quote(str(folder))}, or name its {LAST}."
        )
    return found


def method_from(checkpoint: Mapping[str, Any], path: Path) -> CrossModalityModule[Any]:
    """The method that a checkpoint holds, with its weights, in eval mode on the CPU.

    Args:
        checkpoint: as :func:`~crossreid.training.checkpoints.read_checkpoint` gives it.
        path: where it came from, for messages.

    Raises:
        CheckpointError: its settings or weights are not those of a method that is registered here.
    """
    ours = checkpoint["crossreid"]
    _check_counters(ours, path)
    try:
        settings = from_plain(method_settings(str(ours["method"])), ours["model"], "model")
        settings.check("model")
        _check_size(settings, ours["num_identities"], checkpoint["state_dict"], path)
        module = make_method(settings, ours["num_identities"], ours["seed"])
    except CheckpointError:  # it says all already
        raise
    except (ConfigError, KeyError, TypeError, ValueError, AttributeError, OverflowError, RuntimeError) as error:
        raise CheckpointError(f"The checkpoint '{path}' cannot be made a method again: {reason(error)}") from error
    load_weights(module, checkpoint["state_dict"], path)
    module.iteration = ours["iteration"]  # a count of the module, and no weight
    return module.eval()


_LEAST = {"num_identities": 1, "seed": 0, "iteration": 0}
"""Counters of a checkpoint -> the smallest that there is."""


def _check_counters(ours: Mapping[str, Any], path: Path) -> None:
    """Refuse counters that are no whole numbers, or none that training writes."""
    for name, least in _LEAST.items():
        value: Any = ours.get(name)
        whole = isinstance(value, int) and not isinstance(value, bool)
        if not (whole and least <= value < 2**63):
            raise CheckpointError(
                f"The checkpoint '{path}' is damaged: its {name} is no whole number from {least}; use another one."
            )


def _check_size(settings: MethodConfig, num_identities: int, weights: Mapping[str, torch.Tensor], path: Path) -> None:
    """Refuse settings of a network of another size than the weights beside them, before any memory is taken for it.

    Raises:
        CheckpointError: names a weight, or says that the file is smaller than what it claims to hold.
    """
    with torch.device("meta"):  # shapes alone
        outline: CrossModalityModule[Any] = method_class(settings)(settings, num_identities, 0)
    check_weights(outline, weights, path)
    needed = sum(tensor.numel() * tensor.element_size() for tensor in outline.state_dict().values())
    if path.is_file() and needed > 2 * path.stat().st_size + 2**20:  # a tensor may repeat one number without end
        raise CheckpointError(f"The checkpoint '{path}' is damaged: it says that it holds more than it does.")


def run_of(checkpoint: Mapping[str, Any], path: Path) -> RunConfig:
    """The settings of the run that wrote a checkpoint.

    Raises:
        CheckpointError: a plain trainer wrote it, so that there are none; or they cannot be read.
    """
    if imported_of(checkpoint, path) is not None:
        raise CheckpointError(
            f"The weights of '{path}' were imported, so they do not say where a dataset lies: name one, such as data=sysu_mm01 "
            "data.root=FOLDER."
        )
    if not has_run(checkpoint):
        raise CheckpointError(
            f"The checkpoint '{path}' was not written by a run of crossreid, so it does not say what to score: name data and "
            "protocol."
        )
    try:
        return run_config_from_plain(checkpoint["crossreid"]["config"])
    except (ConfigError, KeyError, TypeError, ValueError, AttributeError) as error:
        raise CheckpointError(f"The checkpoint '{path}' holds settings that cannot be read: {reason(error)}") from error


def has_run(checkpoint: Mapping[str, Any]) -> bool:
    """A run of crossreid wrote the checkpoint, and not a plain trainer."""
    return "config" in checkpoint["crossreid"]


@dataclass(frozen=True)
class Restored:
    """A trained method with its dataset and what to score it by.

    Attributes:
        name: of the run, or of the method where a plain trainer trained it, and its iteration, for tables.
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
        """What to score by, by row."""
        return scorers_of(self.module, self.settings, self.trainer.strategy.root_device)


def scorers_of(module: CrossModalityModule[Any], protocol: ProtocolConfig, device: torch.device) -> dict[str, Scorer]:
    """The method's own scorer (``""``), its further ones, and what the protocol adds."""
    own = {"": module.scorer(), **further_scorers_of(module, device)}
    return build_scorers(protocol, own)


def restore(
    path: Path,
    data: DataConfig | TrainedDataConfig,
    protocol: ProtocolConfig | TrainedProtocolConfig,
    trainer: TrainerConfig,
) -> Restored:
    """Build what a checkpoint holds, ready to be scored.

    Args:
        path: the checkpoint.
        data: which dataset, or the one of training and where it lies now.
        protocol: how to score, or as in training.
        trainer: what to embed on.

    Raises:
        CheckpointError: the checkpoint is missing, partial or of another model.
        ConfigError: settings cannot be, or the model must not be scored on this split.
        DataError: the dataset is not there or not whole.
    """
    check_devices(trainer)
    check_files(protocol)
    checkpoint = read_checkpoint(path)
    module = method_from(checkpoint, path)
    trained_data: DataConfig | None = None
    validating = False
    name = f"{module.config.name} (iteration {module.iteration})"
    imported = imported_of(checkpoint, path)
    if imported is not None and isinstance(data, DataConfig):
        scored_on = _as_the_source_has_it(data, imported, module.config)
        if isinstance(protocol, TrainedProtocolConfig):
            protocol = PROTOCOLS[data.protocol]()  # imported weights say none: the dataset's own
        trained_data = trained_on(imported)
        name = label_of(imported)
    elif isinstance(data, DataConfig) and isinstance(protocol, ProtocolConfig) and not has_run(checkpoint):
        scored_on = data  # of a plain trainer, and all is said here
    else:
        trained = run_of(checkpoint, path)
        scored_on = dataset_settings(data, trained.data, path.parent)
        if isinstance(protocol, TrainedProtocolConfig):
            protocol = trained.protocol
            check_files(protocol)
        trained_data = trained.data
        validating = trained.selection.name == "validation"
        name = f"{trained.label} (iteration {module.iteration})"
    module_data = ReIDDataModule.for_method(
        scored_on, module.config, seed=module.seed, validating=validating, progress=trainer.progress
    )
    if isinstance(scored_on, FolderConfig):
        warn_of_trained_persons(path.parent, module_data.dataset)
    protocols = build_protocols(protocol, Scored.of(scored_on, trained_data, module_data.dataset))
    callbacks: list[pl.Callback] = []
    if trainer.progress:
        callbacks.append(IterationProgress())
    embedding_trainer = make_trainer(trainer, module.config, 1, path.parent, (), callbacks)
    return Restored(name, module, module_data, protocol, protocols, embedding_trainer)


def _as_the_source_has_it(data: DataConfig, imported: ImportedConfig, method: MethodConfig) -> DataConfig:
    """A dataset with images resized as the code does it that the weights come from, saying so."""
    height, width = method.streams["identity"].size
    notice(f"Images are brought to {height}x{width} by {imported.resize}, as the code of {imported.source} does it.")
    return resized_as_the_source(data, imported)


def dataset_settings(asked: DataConfig | TrainedDataConfig, trained: DataConfig, run: Path) -> DataConfig:
    """The dataset asked for, or the one of training, where it lies now; its persons stay divided as they were in training.

    Args:
        asked: what is to be scored.
        trained: the dataset of training.
        run: the folder of the run.

    Raises:
        ConfigError: it is the folder of training, and another division is asked for.
    """
    if isinstance(asked, FolderConfig) and isinstance(trained, FolderConfig):
        return divided_as_trained(asked, trained, run)
    if isinstance(asked, DataConfig):
        return asked
    moved = {key: value for key, value in asked.plain().items() if value is not None}
    return replace(trained, **moved)
