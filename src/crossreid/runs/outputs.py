"""Where commands write: checked before any work, and never over something that another input or other settings made.

What wrote an output stands in a hidden file beside it, ``.NAME.origin.json``: the command, its inputs, its settings. The
same command replaces its own output; everything else is refused.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from crossreid.errors import ConfigError, DataError
from crossreid.files import check_writable
from crossreid.runs.folder import read_json, shortened, write_json
from crossreid.settings.data import NOT_PART_OF_DATA
from crossreid.settings.fields import Settings
from crossreid.settings.run import differences, without

NOT_PART_OF_AN_OUTPUT = ("output", "save_embeddings", "trainer", "device", "progress", "plugins", "figure", "report", "people")
"""Settings of commands that decide where they write, how they are run and what they draw, and not what comes out."""


@dataclass(frozen=True)
class Outputs:
    """The files that one command is going to write.

    Attributes:
        command: its name, such as ``evaluate``.
        origin: what decides the outputs: the command's inputs and settings, as plain values.
        paths: setting -> the files that it names or stands for.
    """

    command: str
    origin: Mapping[str, Any]
    paths: Mapping[str, tuple[Path, ...]]

    @classmethod
    def of(cls, command: str, config: Settings, paths: Mapping[str, tuple[Path, ...]], inputs: Mapping[str, Path | None]) -> Outputs:
        """Check, before any work, that a command can write what it is going to.

        Args:
            command: its name.
            config: its settings.
            paths: setting -> the files that it names or stands for.
            inputs: setting -> the file or folder that is read; None where there is none.

        Raises:
            ConfigError: two outputs share a path, one is an input, or is there and something else wrote it.
            WriteError: a place takes no files.
        """
        read = {key: path.resolve() for key, path in inputs.items() if path is not None}
        outputs = cls(command, _origin(command, config, read), paths)
        outputs._refuse_collisions(read)
        for key, path in outputs._each():
            check_writable(path, key)
            outputs._refuse_foreign(key, path)
        return outputs

    @contextmanager
    def written(self) -> Iterator[None]:
        """Inside, the files are written; what writes them is recorded before."""
        for _, path in self._each():
            write_json(origin_file(path), {"command": self.command, **self.origin})
        yield

    def _each(self) -> Iterator[tuple[str, Path]]:
        for key, files in self.paths.items():
            for path in files:
                yield key, path

    def _refuse_collisions(self, inputs: Mapping[str, Path]) -> None:
        """No two outputs share a path, and none is an input."""
        seen: dict[Path, str] = {}
        for key, path in self._each():
            place = path.resolve()
            for name, read in inputs.items():
                if place == read or (place.exists() and read.exists() and place.samefile(read)):
                    raise ConfigError(f"{key} would write over '{path}', which {name} reads: choose another {key}.")
            if place in seen:
                raise ConfigError(f"{key} and {seen[place]} would both write '{path}': choose other names.")
            seen[place] = key

    def _refuse_foreign(self, key: str, path: Path) -> None:
        """What is there already was written by this command, of the same inputs, with the same settings."""
        if not path.exists():
            return
        try:
            known = read_json(origin_file(path))
        except DataError:
            raise ConfigError(
                f"'{path}' is there, and nothing says that crossreid.{self.command} wrote it: choose another {key}, or remove "
                "it."
            ) from None
        found = differences({"command": self.command, **self.origin}, known)
        if found:
            raise ConfigError(
                f"'{path}' was written from other inputs or settings ({shortened(found)}): choose another {key}, or remove it."
            )


def origin_file(path: Path) -> Path:
    """Where it stands what wrote an output."""
    return path.with_name(f".{path.name}.origin.json")


def _origin(command: str, config: Settings, inputs: Mapping[str, Path]) -> dict[str, Any]:
    """What decides the outputs of a command."""
    told = without(config.plain(), NOT_PART_OF_AN_OUTPUT)
    for name, part in told.items():
        if isinstance(part, Settings):
            told[name] = {"name": getattr(part, "name", None), **part.plain()}
    if isinstance(told.get("data"), Mapping):
        told["data"] = without(told["data"], NOT_PART_OF_DATA)
    told |= {key: str(path) for key, path in inputs.items()}
    return {"settings": told}
