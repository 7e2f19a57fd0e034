"""The jobs that a sweep was to run, so that one that never began is named too."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import OverrideParseException
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException
from yaml import YAMLError

from crossreid.runs.reading import Problem, Run

_UNREADABLE = (OSError, ValueError, AttributeError, YAMLError, OmegaConfBaseException, OverrideParseException)


@dataclass(frozen=True)
class Plan:
    """The jobs of one sweep folder, by its newest ``multirun.yaml``: each row with each seed.

    Attributes:
        folder: of the sweep.
        rows: values of ``experiment``, which are the names of their runs.
        seeds: values of ``seed``.
    """

    folder: Path
    rows: tuple[str, ...]
    seeds: tuple[int, ...]

    def covers(self, runs: Iterable[Run]) -> bool:
        """One of the runs lies in the sweep's folder."""
        return any(run.folder.is_relative_to(self.folder) for run in runs)


def find_plans(folders: Iterable[Path]) -> tuple[list[Plan], list[Problem]]:
    """The sweeps below some folders, and those whose ``multirun.yaml`` cannot be read."""
    files: set[Path] = set()
    for folder in folders:
        for path in folder.rglob("multirun.yaml"):
            files.add(path.resolve())
    plans = []
    problems = []
    for file in sorted(files):
        try:
            plans.append(_read_plan(file))
        except _UNREADABLE as error:
            note = f"multirun.yaml cannot be read ({type(error).__name__}): jobs that never began are not named."
            problems.append(Problem("unreadable", file.parent.name, note, (str(file.parent),)))
    return plans, problems


def _read_plan(file: Path) -> Plan:
    sweep = OmegaConf.load(file)
    parameters = OmegaConf.select(sweep, "hydra.sweeper.params") or {}
    overrides = [f"{key}={value}" for key, value in parameters.items()]
    overrides += OmegaConf.select(sweep, "hydra.overrides.task") or []  # the command line, which wins
    values = _override_values(overrides)
    rows = [row for row in values.get("experiment", []) if row != "null"]
    seeds = map(int, values.get("seed", []))
    return Plan(file.parent, tuple(rows), tuple(seeds))


def _override_values(overrides: Sequence[str]) -> dict[str, list[str]]:
    """Key -> its values; a later override replaces an earlier one, as in Hydra."""
    values = {}
    for override in OverridesParser.create().parse_overrides(list(overrides)):
        if override.is_sweep_override():
            values[override.key_or_group] = list(override.sweep_string_iterator())
        else:
            values[override.key_or_group] = [override.get_value_element_as_str()]
    return values
