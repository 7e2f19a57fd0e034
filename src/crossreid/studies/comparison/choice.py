"""Which runs are used: finished ones, one for each row and seed, all of a row with one set of settings."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from crossreid.runs.reading import Problem, Run
from crossreid.studies.comparison.grouping import group_by

_UNFINISHED = {
    "running": "it is still running, or was killed.",
    "interrupted": "it was interrupted: go on with resume=FOLDER.",
}
"""Status -> why the run is not used; of any other status run.json says why."""


def choose_runs(runs: Sequence[Run]) -> tuple[list[Run], list[Problem]]:
    """The runs to use, and why each of the others is not used.

    Of finished runs with one name, seed, dataset and settings the newest is used. Finished runs of one name on one dataset
    with different settings would be two rows under one name: none of them is used.
    """
    usable: list[Run] = []
    problems = []
    for run in runs:
        if not run.finished:
            problems.append(_unfinished(run))
    for row in group_by(runs, _name_and_dataset).values():
        finished = _finished(row)
        settings = {run.settings for run in finished}
        if len(settings) > 1:
            problems.append(_of_several_settings(finished))
            continue
        for repeats in group_by(row, _seed).values():
            newest = sorted(_finished(repeats), key=_recency)[-1:]  # empty where none is finished
            usable += newest
            if len(repeats) > 1:
                problems.append(_doubled(repeats, newest))
    return usable, problems


def _name_and_dataset(run: Run) -> tuple[str, str]:
    return run.name, run.dataset


def _seed(run: Run) -> int:
    return run.seed


def _recency(run: Run) -> tuple[str, str]:
    """Sorts the newest last; the folder decides between runs of one second."""
    return run.date, str(run.folder)


def _finished(runs: Iterable[Run]) -> list[Run]:
    return [run for run in runs if run.finished]


def _unfinished(run: Run) -> Problem:
    recorded = str(run.facts.get("problem") or "run.json does not say why.")
    return Problem(run.status, run.label, _UNFINISHED.get(run.status, recorded), _folders([run]))


def _of_several_settings(runs: Sequence[Run]) -> Problem:
    note = "runs of one name on one dataset with different settings (compare their config.yaml): none is used."
    return Problem("settings", runs[0].name, note, _folders(runs))


def _doubled(repeats: Sequence[Run], newest: Sequence[Run]) -> Problem:
    use = "none is finished."
    if newest:
        use = f"used is the newest finished one, {newest[0].folder.name}."
    note = f"{len(repeats)} runs of one name, seed and dataset: {use}"
    return Problem("doubled", repeats[0].label, note, _folders(repeats))


def _folders(runs: Iterable[Run]) -> tuple[str, ...]:
    return tuple(str(run.folder) for run in runs)
