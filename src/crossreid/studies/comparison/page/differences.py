"""Settings in which rows of a report differ."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from crossreid.runs.reading import Run


def differing_settings(runs: Sequence[Run]) -> tuple[list[str], list[tuple[str, list[str]]]]:
    """Names of rows, and every setting that at least two of them have with different values.

    Args:
        runs: all of a report; of each name the first one speaks, since a row's runs share all settings but the seed.

    Returns:
        Names, and (setting, value in each row; empty where a row has no such setting).
    """
    settings: dict[str, Mapping[str, str]] = {}
    for run in runs:
        if run.name not in settings:
            settings[run.name] = run.typed_settings
    keys: set[str] = set()
    for row in settings.values():
        keys.update(row)
    rows = []
    for key in sorted(keys):
        # Of the rows that have it: a setting of a single method is no difference.
        values = [row[key] for row in settings.values() if key in row]
        if len(set(values)) > 1:
            rows.append((key, [row.get(key, "") for row in settings.values()]))
    return list(settings), rows
