"""Runs of one row that differ in a few settings, as those of a weight study do: a row of its own for each value."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from crossreid.evaluation.published import with_preset
from crossreid.runs.reading import Run, fingerprint_of_data
from crossreid.studies.comparison.grouping import group_by

_MOST_SETTINGS = 3
"""Of runs that differ in more, a row's name would not say what it is."""
_OF_THE_METHOD = "model."


@dataclass(frozen=True)
class Variation:
    """One row whose runs were trained with several values of some settings.

    Attributes:
        name: of the row, which all runs had.
        dataset: a digest of the dataset's settings.
        settings: keys that differ, such as ``model.lambda_il``.
        values: name of a run in tables -> what its config.yaml has at these keys, as typed on a command line.
    """

    name: str
    dataset: str
    settings: tuple[str, ...]
    values: dict[str, tuple[str, ...]]

    @property
    def label(self) -> str:
        """What is varied, in words; settings that go with the first one are named after it."""
        first, *others = [_short(key) for key in self.settings]
        if not others:
            return first
        return f"{first} (with {', '.join(others)})"

    def numbers(self) -> dict[str, float]:
        """Name of a run in tables -> the number of its first setting; empty where a value is no number, or not its own."""
        numbers: dict[str, float] = {}
        for name, values in self.values.items():
            try:
                numbers[name] = float(values[0])
            except ValueError:
                return {}
        if len(set(numbers.values())) < len(numbers):
            return {}
        return numbers


def told_apart(runs: Sequence[Run]) -> tuple[list[Run], list[Variation]]:
    """The runs, those of a varied row under names that say their settings; and what is varied.

    Runs of one name on one dataset that were trained by several presets are rows of their own, ``lba/full, preset=official``.
    Runs that differ in more than three settings besides keep their name.
    """
    runs = _presets_told_apart(runs)
    named: dict[int, Run] = {}  # by the identity of the run that it stands for, so that runs keep their order
    variations = []
    for (name, dataset), of_row in group_by(runs, lambda run: (run.name, run.dataset)).items():
        variation = _variation(name, dataset, of_row)
        if variation is None:
            continue
        variations.append(variation)
        for run in of_row:
            values = _values(run, variation.settings)
            named[id(run)] = _renamed(run, _full_name(name, variation.settings, values))
    return [named.get(id(run), run) for run in runs], variations


def _presets_told_apart(runs: Sequence[Run]) -> list[Run]:
    """The runs, those of a row of several presets under a name that says theirs."""
    named: dict[int, Run] = {}
    # All splits together: where a row has two presets on one of them, its runs on all splits say theirs.
    for of_row in group_by(runs, lambda run: (run.name, fingerprint_of_data(_any_split(run)))).values():
        presets = {_preset(run) for run in of_row}
        if len(presets) > 1:
            for run in of_row:
                named[id(run)] = _renamed(run, with_preset(run.name, _preset(run)))
    return [named.get(id(run), run) for run in runs]


def _any_split(run: Run) -> dict[str, Any]:
    data = {**run.config["data"], "split": None}
    return {**run.config, "data": data}


def _preset(run: Run) -> str:
    return str(run.config["choices"].get("preset") or "none")


def _variation(name: str, dataset: str, runs: Sequence[Run]) -> Variation | None:
    """None where all runs have the same settings, or differ in too many."""
    all_settings = [run.typed_settings for run in runs]
    keys: set[str] = set()
    for settings in all_settings:
        keys.update(settings)
    differing = []
    for key in sorted(keys):
        values_of_key = {settings.get(key, "") for settings in all_settings}
        if len(values_of_key) > 1:
            differing.append(key)
    if not 0 < len(differing) <= _MOST_SETTINGS:
        return None
    values = {}
    for run in runs:
        of_run = _values(run, differing)
        values[_full_name(name, differing, of_run)] = of_run
    return Variation(name, dataset, tuple(differing), values)


def _renamed(run: Run, name: str) -> Run:
    """The run and the rows of its results, which begin with its name."""
    results = {}
    for row, of_row in run.results.items():
        if row.startswith(run.name):
            row = name + row.removeprefix(run.name)  # noqa: PLW2901
        results[row] = of_row
    return replace(run, name=name, results=results)


def _values(run: Run, keys: Sequence[str]) -> tuple[str, ...]:
    return tuple(run.typed_settings.get(key, "-") for key in keys)


def _full_name(name: str, keys: Sequence[str], values: Sequence[str]) -> str:
    parts = [f"{_short(key)}={value}" for key, value in zip(keys, values, strict=True)]
    return f"{name}, {', '.join(parts)}"


def _short(key: str) -> str:
    return key.removeprefix(_OF_THE_METHOD)
