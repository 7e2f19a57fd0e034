"""Settings in which rows of a report differ."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from crossreid.runs.reading import Run
from crossreid.settings.reference import as_typed
from crossreid.settings.run import identity_of


def differing_settings(runs: Sequence[Run]) -> tuple[list[str], list[tuple[str, list[str]]]]:
    """Names of rows, and every setting that at least two of them have with different values.

    Args:
        runs: all of a report; of each name the first one speaks, since a row's runs share all settings but the seed.

    Returns:
        Names, and (setting, value in each row; empty where a row has no such setting).
    """
    settings: dict[str, dict[str, str]] = {}
    for run in runs:
        if run.name not in settings:
            settings[run.name] = dict(_flat(identity_of(run.config)))
    keys: set[str] = set()
    for row in settings.values():
        keys.update(row)
    rows = []
    for key in sorted(keys):
        values = [row[key] for row in settings.values() if key in row]
        if len(values) > 1 and len(set(values)) > 1:
            rows.append((key, [row.get(key, "") for row in settings.values()]))
    return list(settings), rows


def _flat(settings: Mapping[str, Any], place: str = "") -> Iterator[tuple[str, str]]:
    """Key and value of everything in nested settings, without seed and label."""
    for name, value in settings.items():
        key = f"{place}.{name}" if place else name
        if key in ("seed", "name"):
            continue
        if isinstance(value, Mapping):
            yield from _flat(value, key)
        else:
            yield key, as_typed(value)
