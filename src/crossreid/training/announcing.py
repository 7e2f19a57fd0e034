"""What a run says of itself before it trains: its data, what will be done, where, and how it is scored."""

from __future__ import annotations

from crossreid.data.datamodule import ReIDDataModule
from crossreid.evaluation.building import ProtocolSet
from crossreid.runs.folder import RunFolder
from crossreid.settings.run import RunConfig
from crossreid.training.environment import world_size


def scoring_sentence(config: RunConfig, protocols: ProtocolSet) -> str:
    """Which weights are scored at the end, and how."""
    keys = ", ".join(protocol.key for protocol in protocols.test)
    weights = "the weights that were best in validation"
    if config.selection.name == "last":
        weights = "the last weights"
    return f"Scored at the end: {weights}, by {keys}"


def place_sentence(config: RunConfig, run: RunFolder, where: str) -> str:
    """Where it runs and writes."""
    sentence = f"Runs on {where}"
    if config.trainer.precision != "32-true":
        sentence += f" in {config.trainer.precision}"
    sentence += f", writes to {run.path}"
    if config.model.trains:
        sentence += f"; a checkpoint every {config.trainer.checkpoint_every} iterations"
    return sentence


def data_sentence(data: ReIDDataModule) -> str:
    """What was found on disk."""
    dataset = data.dataset
    counts = []
    for split, rows in dataset.splits.items():
        people = len(dataset.people(split))
        infrared = sum(dataset.records[row].modality == "infrared" for row in rows)
        counts.append(f"{split} {people} ids, {len(rows) - infrared} visible + {infrared} infrared images")
    unpaired = data.index.unpaired
    if unpaired:
        counts.append(
            f"{len(unpaired)} ids with one modality only are left out of training, which has {data.num_identities} ids then"
        )
    return f"{dataset.name} at {dataset.root}: {'; '.join(counts)}"


def run_sentence(config: RunConfig) -> str:
    """What will be done, in a line: the label beside what it stands for, and how long it is."""
    choices = [f"method {config.model.name}"]
    for name, choice in (("row", config.row), ("preset", config.preset), ("scale", config.scale)):
        if choice:
            choices.append(f"{name} {choice}")
    choices.append(f"seed {config.seed}")
    start = f"{config.label}: {', '.join(choices)}"
    if not config.model.trains:
        return f"{start}; nothing is trained"
    phases = ", ".join(f"{name} {length}" for name, length in config.model.active_phases().items())
    epochs = f"{config.model.epochs_of_training} epochs of {config.model.iterations_per_epoch}"
    sentence = f"{start}; {config.model.iterations} iterations ({epochs}; phases: {phases})"
    processes = world_size(config.trainer)
    if processes == 1:
        return sentence
    return f"{sentence}, each with a batch on each of {processes} processes, which an epoch counts as one"
