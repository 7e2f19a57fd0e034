"""The jobs that a sweep was to run, so that one that never began is named too."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override, RangeSweep
from hydra.errors import HydraException

from crossreid.errors import DataError
from crossreid.runs.reading import Problem, Run
from crossreid.untrusted import read_yaml

_MOST_JOBS = 10_000
"""Values of one key that are listed; a file that asks for more is not taken for a plan."""


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
        except Exception as error:  # Hydra's grammar raises nearly anything, and a plan is no reason to lose the tables
            note = f"multirun.yaml cannot be read ({type(error).__name__}): jobs that never began are not named."
            problems.append(Problem("unreadable", file.parent.name, note, (str(file.parent),)))
    return plans, problems


def _read_plan(file: Path) -> Plan:
    """The file as text: what it would look up in the environment is not resolved."""
    hydra = _group(read_yaml(file).get("hydra"))
    parameters = _group(_group(hydra.get("sweeper")).get("params"))
    command_line = _group(hydra.get("overrides")).get("task") or []
    if not isinstance(command_line, list) or not all(isinstance(word, str) for word in command_line):
        raise DataError("hydra.overrides.task is no list of texts.")
    of_sweep_file = [f"{key}={value}" for key, value in parameters.items()]
    values = _override_values([*of_sweep_file, *command_line])  # the command line comes last, and wins
    rows = [row for row in values.get("experiment", []) if row != "null"]  # null: no published row
    seeds = map(int, values.get("seed", []))
    return Plan(file.parent, tuple(rows), tuple(seeds))


def _group(value: object) -> Mapping[str, Any]:
    """A group of settings; empty where nothing is said."""
    if value is None:
        return {}
    if not isinstance(value, Mapping):
        raise DataError("it holds a value where a group of settings belongs.")
    return value


def _override_values(overrides: Sequence[str]) -> dict[str, list[str]]:
    """Key -> its values; a later override replaces an earlier one, as in Hydra."""
    parser = OverridesParser.create()
    values = {}
    for word in overrides:
        # Only these two are parsed: another one that Hydra cannot read here does not matter to the plan.
        key = word.partition("=")[0].lstrip("+")
        if key not in ("experiment", "seed"):
            continue
        try:
            (override,) = parser.parse_overrides([word])
        except HydraException as error:
            raise DataError(f"'{word[:80]}' cannot be read.") from error
        values[override.key_or_group] = _values_of(override)
    return values


def _values_of(override: Override) -> list[str]:
    """All values that one key is to have."""
    if not override.is_sweep_override():
        return [override.get_value_element_as_str()]
    sweep = override.value()
    if isinstance(sweep, RangeSweep):
        sweep.shuffle = False  # Hydra makes a list of what it shuffles, however long; here the order is nothing
    values = list(islice(override.sweep_string_iterator(), _MOST_JOBS + 1))
    if len(values) > _MOST_JOBS:
        raise DataError("it asks for too many jobs.")
    return values
