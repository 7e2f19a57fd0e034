"""Where commands write: checked before any work, and never over something that another input or other settings made.

What wrote an output stands in a hidden file beside it, ``.NAME.origin.json``: the command, its inputs, its settings. The
same command replaces its own output; everything else is refused.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from crossreid.errors import ConfigError, DataError
from crossreid.files import check_folder, check_own_folder, check_writable
from crossreid.runs.folder import first_three, write_json
from crossreid.settings.data import NOT_PART_OF_DATA, home_filled_in
from crossreid.settings.fields import Settings
from crossreid.settings.run import differences, without
from crossreid.untrusted import read_json

NOT_PART_OF_AN_OUTPUT = (
    "output",
    "save_embeddings",
    "trainer",
    "device",
    "progress",
    "plugins",
    "figure",
    "report",
    "people",
)
"""Settings of commands that say where they write, how they run and what they draw, and not what comes out."""


@dataclass(frozen=True)
class Outputs:
    """The files that one command is going to write.

    Attributes:
        origin: what decides them: the command, its inputs and its settings, as plain values.
        paths: setting -> the files that it names or stands for.
        folders: setting -> a folder of which the command writes all files.
    """

    origin: Mapping[str, Any]
    paths: Mapping[str, Sequence[Path]]
    folders: Mapping[str, Path]

    @contextmanager
    def written(self) -> Iterator[None]:
        """Inside, the files are written; what writes them is recorded before, and not kept where nothing came of it."""
        for _, path in self.each():
            write_json(origin_file(path), self.origin)
        try:
            yield
        except BaseException:
            for key, path in self.each():
                if not path.exists() or (key in self.folders and not any(path.iterdir())):
                    origin_file(path).unlink(missing_ok=True)
            raise

    def each(self) -> Iterator[tuple[str, Path]]:
        """Every output with the setting that it follows from."""
        for key, files in self.paths.items():
            for path in files:
                yield key, path
        yield from self.folders.items()


def check_outputs(
    command: str,
    config: Settings,
    paths: Mapping[str, Sequence[Path]],
    inputs: Mapping[str, Sequence[Path]],
    *,
    folders: Mapping[str, Path] | None = None,
    also: Mapping[str, Any] | None = None,
) -> Outputs:
    """Check, before any work, that a command can write what it is going to.

    Args:
        command: its name, such as ``evaluate``.
        config: its settings.
        paths: setting -> the files that it names or stands for.
        inputs: setting -> what is read.
        folders: setting -> a folder of which the command writes all files.
        also: what decides the outputs besides settings and inputs.

    Raises:
        ConfigError: two outputs share a path, one is an input, or is there and something else wrote it.
        WriteError: a place takes no files.
    """
    origin = origin_of(command, config, inputs, also)
    outputs = Outputs(origin, paths, folders or {})
    _refuse_collisions(outputs, inputs)
    for key, path in outputs.each():
        if key in outputs.folders:
            check_own_folder(path, key)
            check_folder(path, key)
        else:
            check_writable(path, key)
        _refuse_foreign(outputs, key, path)
    return outputs


def origin_of(
    command: str, config: Settings, inputs: Mapping[str, Sequence[Path]], also: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """What decides the outputs of a command, as plain values; the arguments are those of :func:`check_outputs`."""
    return {"command": command, "settings": _decisive(config, inputs, also or {})}


def output_path(output: str | None, default: Path, origin: Mapping[str, Any], *, within: str = "") -> Path:
    """Where a command writes: the place that a person names, else the default, which gives way to what others wrote.

    Args:
        output: what a person said; None for nothing.
        default: of the command; where something else wrote it, a number is added to its name.
        origin: of :func:`origin_of`.
        within: of a default that is a folder, the file in it that says what wrote it.
    """
    if output:
        return Path(output)
    place = default
    number = 1
    while _of_others(place / within, origin):
        number += 1
        place = default.with_name(f"{default.stem}_{number}{default.suffix}")
    return place


def origin_file(path: Path) -> Path:
    """Where it stands what wrote an output."""
    path = Path(os.path.abspath(path))  # "..", too, has a name then; links stay as they are
    return path.with_name(f".{path.name}.origin.json")


def _refuse_collisions(outputs: Outputs, inputs: Mapping[str, Sequence[Path]]) -> None:
    """No two outputs share a path, and none is an input."""
    key_of: dict[Path, str] = {}
    for key, path in outputs.each():
        place = path.resolve()
        for name, files in inputs.items():
            if any(_same(place, file) for file in files):
                raise ConfigError(f"{key} would write over '{path}', which {name} reads: choose another {key}.")
        if place in key_of:
            raise ConfigError(f"{key_of[place]} and {key} would both write '{path}': choose other names.")
        key_of[place] = key


def _same(place: Path, file: Path) -> bool:
    """Both are one file, whatever they are called."""
    if place == file.resolve():
        return True
    return place.exists() and file.exists() and place.samefile(file)


def _of_others(path: Path, origin: Mapping[str, Any]) -> bool:
    """Something lies there that another command, other inputs or other settings wrote, or nobody knows what."""
    if not path.exists():
        return False
    try:
        return bool(differences(origin, read_json(origin_file(path))))
    except DataError:
        return True


def _refuse_foreign(outputs: Outputs, key: str, path: Path) -> None:
    """What is there already was written by this command, of the same inputs, with the same settings."""
    if not path.exists():
        return
    if key in outputs.folders and not any(path.iterdir()):  # made beforehand, and empty
        return
    try:
        origin_there = read_json(origin_file(path))
    except DataError:
        raise ConfigError(
            f"'{path}' is there, and nothing says that crossreid.{outputs.origin['command']} wrote it: choose another {key}, "
            "or remove it."
        ) from None
    unlike = differences(outputs.origin, origin_there)
    if unlike:
        raise ConfigError(
            f"'{path}' was written from other inputs or settings ({first_three(unlike)}): choose another {key}, or remove "
            "it."
        )


def _decisive(config: Settings, inputs: Mapping[str, Sequence[Path]], also: Mapping[str, Any]) -> dict[str, Any]:
    """What decides the outputs of a command, as plain values."""
    settings = without(config.plain(), NOT_PART_OF_AN_OUTPUT)
    for name in settings:
        part = getattr(config, name)
        if isinstance(part, Settings):  # a name that is no field, such as a dataset's, says which choice it is
            settings[name] = {"name": getattr(part, "name", None), **part.plain()}
    if isinstance(settings.get("data"), Mapping):
        root = settings["data"].get("root")
        settings["data"] = without(settings["data"], NOT_PART_OF_DATA)
        if root is not None:  # another folder may hold other images; a run's own settings do not ask where they lie
            settings["data"]["root"] = str(home_filled_in(root).resolve())
    settings |= also
    for key, files in inputs.items():
        settings[key] = [str(path.resolve()) for path in files]
    return settings
