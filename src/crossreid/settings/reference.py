"""All settings of a command with value, meaning and range: what help pages, the settings command and completion show."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from crossreid.settings.commands import COMMANDS
from crossreid.settings.compose import Composed, compose, data_part, method_part, protocol_part
from crossreid.settings.data import TrainedDataConfig
from crossreid.settings.fields import REQUIRED, Described, Meaning, Settings, describe, from_plain
from crossreid.settings.protocol import TrainedProtocolConfig
from crossreid.settings.run import TrainConfig
from crossreid.settings.store import choices_of

GROUPS = {
    "model": "the method",
    "experiment": "a published row of a method, such as aligngan/pixalign",
    "data": "the dataset",
    "people": "sizes of the embedded set; follows from the scale",
    "protocol": "how it is scored; the dataset brings its own",
    "scale": "smoke (seconds), small (minutes on two CPU cores), medium (minutes on one GPU) or paper (the full setting)",
    "preset": "paper (printed numbers) or official (the authors' code)",
    "selection": "which weights are scored: last, or those that were best on the validation persons",
    "trainer": "where it runs",
    "logger": "where losses go besides the run folder",
    "sweep": "a multirun that is ready to start",
}
"""What is chosen by name -> its meaning."""
_OF_A_CHECKPOINT = (("data", TrainedDataConfig.name), ("protocol", TrainedProtocolConfig.name))
COMMAND_NAMES = ("train", *COMMANDS)


def settings_of(command: str) -> type[Settings]:
    """The class of a command's settings."""
    if command == "train":
        return TrainConfig
    return COMMANDS[command]


def reference(command: str, overrides: Sequence[str] = ()) -> tuple[Composed, list[Described]]:
    """All settings of a command, with the values that choices and overrides give them. They need not be complete.

    Args:
        command: ``train``, ``evaluate``, ...
        overrides: as on the command line.

    Returns:
        What was composed, and its settings in their order; a group that is chosen by name is described part by part.

    Raises:
        ConfigError: a choice, a key or a type is wrong.
    """
    composed = compose(command, overrides)
    values = dict(composed.values)
    chosen = composed.choices
    if "model" in values:
        values["model"] = method_part(str(chosen["model"]), values["model"])
    if "data" in values:
        values["data"] = data_part(str(chosen["data"]), values["data"])
    if "protocol" in values:
        values["protocol"] = protocol_part(str(chosen["protocol"]), values["protocol"])
    settings = from_plain(settings_of(command), values)
    described = [item for item in describe(settings) if item.key not in GROUPS]
    return composed, described


def choice_names(command: str, group: str) -> list[str]:
    """The choices of a group that a command can take; only commands with a checkpoint know what it was trained on."""
    names = choices_of(group)
    if hasattr(settings_of(command), "checkpoint"):
        return names
    return [name for name in names if (group, name) not in _OF_A_CHECKPOINT]


def as_typed(value: Any) -> str:
    """A value as a command line has it."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list | tuple):
        entries = ",".join(map(as_typed, value))
        return f"[{entries}]"
    if isinstance(value, dict):
        entries = ", ".join(f"{name}: {as_typed(entry)}" for name, entry in value.items())
        return f"{{{entries}}}"
    return str(value)


def assigned(item: Described) -> str:
    """A setting as it is typed, with its value; one without a default says that it must be given."""
    if isinstance(item.default, str) and item.default == REQUIRED:
        return f"{item.key}=..."
    return f"{item.key}={as_typed(item.default)}"


def explained(item: Described) -> str:
    """Meaning, unit and range in one line."""
    meaning = item.meaning
    text = meaning.text
    notes = [note for note in (meaning.unit, _range(meaning)) if note]
    if notes:
        text += f" ({'; '.join(notes)})"
    if isinstance(item.default, str) and item.default == REQUIRED:
        text += "; must be given"
    return text


def _range(meaning: Meaning) -> str:
    """The values that a setting can have, where its text does not list them."""
    if meaning.choices and all(str(choice) in meaning.text for choice in meaning.choices):
        return ""
    return meaning.values
