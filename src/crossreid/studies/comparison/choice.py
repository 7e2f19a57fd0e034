"""Which of the runs found are used: finished ones, one for each row and seed, all of a row with one set of settings."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from crossreid.runs.reading import Problem, Run


def choose_runs(runs: Sequence[Run]) -> tuple[list[Run], list[Problem]]:
    """The runs to use, and why each of the others is not used.

    Of finished runs with one name, seed, dataset and settings the newest is used. Finished runs of one name on one dataset
    with different settings would be two rows under one name: none of them is used.
    """
    problems = [_unfinished(run) for run in runs if run.status != "finished"]
    chosen: list[Run] = []
    for group in _grouped(runs, lambda run: (run.name, run.dataset)).values():
        finished = [run for run in group if run.status == "finished"]
        if len({run.settings for run in finished}) > 1:
            note = "runs of one name on one dataset with different settings (compare their config.yaml): none is used."
            problems.append(Problem("settings", group[0].name, note, _folders(finished)))
            continue
        for same in _grouped(group, lambda run: (run.seed,)).values():
            usable = sorted(
                (run for run in same if run.status == "finished"), key=lambda run: (run.date, str(run.folder))
            )
            if len(same) > 1:
                used = f"used is the newest finished one, {usable[-1].folder.name}." if usable else "none is finished."
                note = f"{len(same)} runs of one name, seed and dataset: {used}"
                problems.append(Problem("doubled", same[0].label, note, _folders(same)))
            chosen += usable[-1:]
    return chosen, problems


def _unfinished(run: Run) -> Problem:
    notes = {
        "running": "it is still running, or was killed.",
        "interrupted": "it was interrupted: go on with resume=FOLDER.",
    }
    told = str(run.facts.get("problem") or "run.json does not say why.")
    return Problem(run.status, run.label, notes.get(run.status, told), (str(run.folder),))


def _folders(runs: Sequence[Run]) -> tuple[str, ...]:
    return tuple(str(run.folder) for run in runs)


def _grouped(runs: Sequence[Run], key: Callable[[Run], tuple[object, ...]]) -> dict[tuple[object, ...], list[Run]]:
    groups: dict[tuple[object, ...], list[Run]] = {}
    for run in runs:
        groups.setdefault(key(run), []).append(run)
    return groups
