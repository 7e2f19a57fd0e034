"""Whether a checkpoint is one that a run can go on from: its settings, its counters, its optimizers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch.optim import SGD, Optimizer

from crossreid.data.datasets import ReIDDataset
from crossreid.errors import CheckpointError
from crossreid.methods.base import CrossModalityModule
from crossreid.runs.folder import first_three
from crossreid.settings.run import NOT_PART_OF_METHOD, RunConfig, differences, identity_of, without

WITHOUT_OPTIMIZERS = "without_optimizers"
"""In a checkpoint of a finished run that was asked not to keep them."""
IMAGES = "images"
"""In a checkpoint: a digest of the dataset's list of images; older checkpoints do not have it."""
PLAYER_STATES = "optimizer_parameters"
"""In a checkpoint: player -> how many parameters its optimizer has a state of; older checkpoints do not say it."""


def check_resumable(
    checkpoint: Mapping[str, Any], path: Path, config: RunConfig, module: CrossModalityModule[Any]
) -> None:
    """Refuse a checkpoint that would make a run other than it is.

    Args:
        checkpoint: as :func:`~crossreid.training.checkpoints.read_checkpoint` gives it.
        path: where it came from, for messages.
        config: the run's settings.
        module: the run's method, new.

    Raises:
        CheckpointError: in one sentence, what does not fit.
    """
    try:
        _check_settings(checkpoint["crossreid"], path, config, module)
        _check_counters(checkpoint, path, config, module)
        if config.model.trains:
            _check_optimizers(checkpoint, path, module)
    except (KeyError, TypeError, ValueError, AttributeError, IndexError) as error:
        raise CheckpointError(
            f"The checkpoint '{path}' is not as training wrote it ({type(error).__name__}: {error}): resume from another one."
        ) from error


def check_same_images(checkpoint: Mapping[str, Any], path: Path, dataset: ReIDDataset) -> None:
    """Refuse to go on with other images; a dataset that lies elsewhere now has the same ones.

    Raises:
        CheckpointError: the dataset lists other files, persons or cameras than it did.
    """
    digest = checkpoint["crossreid"].get(IMAGES)
    if digest is not None and digest != dataset.digest:
        raise CheckpointError(
            f"The checkpoint '{path}' is of a training on other images than {dataset.name} at '{dataset.root}' has now (files, "
            "persons, cameras, their division, or which can be read): give the dataset as it was, or start anew with init=."
        )


def player_states(module: CrossModalityModule[Any], states: Sequence[Mapping[str, Any]]) -> dict[str, int]:
    """How many parameters each player's optimizer has a state of: what :data:`PLAYER_STATES` holds."""
    return {name: len(state["state"]) for name, state in zip(module.player_order, states, strict=True)}


def _check_settings(ours: Mapping[str, Any], path: Path, config: RunConfig, module: CrossModalityModule[Any]) -> None:
    """The checkpoint's own settings are those of the run."""
    if "config" not in ours:
        raise CheckpointError(
            f"The checkpoint '{path}' was not written by a run of crossreid: resume from one in the run's own folder."
        )
    unlike = differences(identity_of(config.to_plain()), identity_of(ours["config"]))
    model_there = without(ours["model"], NOT_PART_OF_METHOD)
    model_here = without(config.model.plain(), NOT_PART_OF_METHOD)
    # a checkpoint says method, model and seed twice: here beside its settings, which is what loading goes by
    built_by = {"method": ours["method"], "model": model_there, "seed": ours["seed"]}
    here = {"method": config.model.name, "model": model_here, "seed": config.seed}
    unlike = list(dict.fromkeys([*unlike, *differences(here, built_by)]))  # each once
    if unlike:
        raise CheckpointError(
            f"The checkpoint '{path}' is of other settings than this run ({first_three(unlike)}): resume from a checkpoint "
            "of this run."
        )
    if ours["num_identities"] != module.num_identities:
        raise CheckpointError(
            f"The checkpoint was trained on {ours['num_identities']} identities, this run has {module.num_identities}: use "
            "the dataset that it was trained on."
        )


def _check_counters(
    checkpoint: Mapping[str, Any], path: Path, config: RunConfig, module: CrossModalityModule[Any]
) -> None:
    """The iteration is one of this training, and the trainer's own count and the phase say the same."""
    ours = checkpoint["crossreid"]
    length = config.model.iterations
    iteration = ours["iteration"]
    if type(iteration) is not int or not 0 <= iteration <= length:
        raise CheckpointError(
            f"The checkpoint '{path}' says that it is of iteration {iteration!r}, and this training has iterations 0 to "
            f"{length}: resume from another one."
        )
    if not config.model.trains:
        return
    progress = checkpoint["loops"]["fit_loop"]  # Lightning's own count, by which it goes on
    counted = progress["epoch_loop.batch_progress"]["total"]["completed"]
    epochs = progress["epoch_progress"]["total"]["processed"]
    per_epoch = config.model.known_epoch()
    module.iteration = iteration  # from which the module says its phase
    if counted != iteration or epochs not in (iteration // per_epoch, (iteration - 1) // per_epoch):
        raise CheckpointError(
            f"The checkpoint '{path}' says that it is of iteration {iteration}, and that {counted} iterations in {epochs} "
            "epochs were done: resume from another one."
        )
    if ours["phase"] != module.phase:
        raise CheckpointError(
            f"The checkpoint '{path}' says that iteration {iteration} is in phase {ours['phase']}, and here it is in "
            f"{module.phase}: resume from another one."
        )


def _check_optimizers(checkpoint: Mapping[str, Any], path: Path, module: CrossModalityModule[Any]) -> None:
    """There is a state for every optimizer, of its own parameters, as full as it was saved; a complete training needs none."""
    optimizers_and_schedulers: Any = module.configure_optimizers()
    optimizers, schedulers = optimizers_and_schedulers
    if checkpoint["crossreid"].get(WITHOUT_OPTIMIZERS):
        complete = module.iteration == module.config.iterations
        if complete and not checkpoint["optimizer_states"]:
            return
        raise CheckpointError(
            f"The checkpoint '{path}' was kept without optimizers (trainer.keep_optimizers=false): it can be scored, and start "
            "another training by init=, but this one cannot go on from it."
        )
    states = checkpoint["optimizer_states"]
    if len(states) != len(optimizers) or len(checkpoint["lr_schedulers"]) != len(schedulers):
        raise CheckpointError(
            f"The checkpoint '{path}' holds the states of {len(states)} optimizers and "
            f"{len(checkpoint['lr_schedulers'])} schedules, and this method has {len(optimizers)} and {len(schedulers)}: "
            "resume from another one."
        )
    for name, optimizer, state in zip(module.player_order, optimizers, states, strict=True):
        if not _fits(optimizer, state):
            raise CheckpointError(
                f"The checkpoint '{path}' holds an optimizer state for {name} that is not of its parameters: resume from "
                "another one."
            )
    counts = player_states(module, states)
    counts_when_saved = checkpoint["crossreid"].get(PLAYER_STATES)
    if counts_when_saved is not None and dict(counts_when_saved) != counts:
        incomplete = [name for name in counts if counts_when_saved.get(name) != counts[name]]
        raise CheckpointError(
            f"The checkpoint '{path}' lacks a part of the optimizer state of {', '.join(incomplete)}: resume from another "
            "one."
        )
    # older checkpoints do not say how full their states were: at least they are not all empty
    if module.iteration and not any(counts.values()) and any(map(_remembers, optimizers)):
        raise CheckpointError(
            f"The optimizer states of the checkpoint '{path}' are empty after {module.iteration} iterations: resume from "
            "another one."
        )


def _remembers(optimizer: Optimizer) -> bool:
    """It keeps something of a step for the next one."""
    if isinstance(optimizer, SGD):  # without momentum a step follows from its gradient alone
        return any(group["momentum"] for group in optimizer.param_groups)
    return True


def _fits(optimizer: Optimizer, state: Mapping[str, Any]) -> bool:
    """A saved state has the groups of an optimizer, and tensors of its parameters' shapes."""
    groups = state["param_groups"]
    if len(groups) != len(optimizer.param_groups):
        return False
    parameters: dict[int, torch.Tensor] = {}
    for ours, theirs in zip(optimizer.param_groups, groups, strict=True):
        if len(ours["params"]) != len(theirs["params"]) or set(ours) - set(theirs):
            return False
        parameters |= dict(zip(theirs["params"], ours["params"], strict=True))
    for number, values in state["state"].items():
        if number not in parameters:
            return False
        for value in values.values():
            of_weights = isinstance(value, torch.Tensor) and value.dim() > 0
            if of_weights and value.shape != parameters[number].shape:
                return False
    return True
