"""What a sweep was told to run, so that a job that never began is named too."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import OverrideParseException
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from crossreid.runs.reading import Problem, Run


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
    plans, problems = [], []
    for path in sorted({path.resolve() for folder in folders for path in folder.rglob("multirun.yaml")}):
        try:
            told = OmegaConf.load(path)
            params = OmegaConf.select(told, "hydra.sweeper.params") or {}
            given = [f"{key}={value}" for key, value in params.items()]
            chosen = _values([*given, *(OmegaConf.select(told, "hydra.overrides.task") or [])])
            seeds = tuple(int(seed) for seed in chosen.get("seed", ()))
        except (OSError, ValueError, AttributeError, OmegaConfBaseException, OverrideParseException) as error:
            note = f"multirun.yaml cannot be read ({type(error).__name__}): jobs that never began are not named."
            problems.append(Problem("unreadable", path.parent.name, note, (str(path.parent),)))
            continue
        plans.append(Plan(path.parent, tuple(row for row in chosen.get("experiment", ()) if row != "null"), seeds))
    return plans, problems


def _values(overrides: Sequence[str]) -> dict[str, list[str]]:
    """Key -> its values; a later override replaces an earlier one, as in Hydra."""
    found = {}
    for override in OverridesParser.create().parse_overrides(list(overrides)):
        swept = override.is_sweep_override()
        found[override.key_or_group] = (
            list(override.sweep_string_iterator()) if swept else [override.get_value_element_as_str()]
        )
    return found
