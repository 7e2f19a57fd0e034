"""What a run folder keeps aside until something new is whole: an older run that is replaced, a finished one that goes on."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from crossreid.files import TEMPORARY, unwritable
from crossreid.runs.lock import LOCK

REPLACED = ".replaced"
"""Folder of a run that makes way for another one."""
FINISHED_BEFORE = ".finished"
"""Folder of a finished run's files while it is gone on with."""
_MAKING = ".making"
"""Of :data:`FINISHED_BEFORE` before it is whole, and when it is not needed any more."""
_RETURNING = ".returning"
"""Folder whose files all belong back in the run folder: whoever finds it finishes that."""
_GROWING = ("history.csv",)
"""Files that are added to in their place, where all others are replaced as a whole."""
_ASIDE = (REPLACED, FINISHED_BEFORE, _MAKING, _RETURNING)
_OTHERS = (LOCK, "wandb", *_ASIDE)
"""What is no part of a run's results. W&B's own records of a process stay."""


def leftovers(folder: Path) -> set[str]:
    """Names of what a killed process may have left in a run folder."""
    names = {path.name for path in _temporary_files(folder)}
    for name in _ASIDE:
        if (folder / name).is_dir():
            names.add(name)
    return names


def _temporary_files(folder: Path) -> list[Path]:
    """What a killed process was writing."""
    files_of_older_versions = folder.glob("*.partial")
    return [*folder.glob(f".*{TEMPORARY}"), *files_of_older_versions]


def tidy(folder: Path) -> None:
    """Clean up what a killed process left in a folder that is this process's now; runs kept aside are put back."""
    _return(folder)
    put_back(folder)
    if (folder / REPLACED).is_dir() and not (folder / "run.json").is_file():
        _bring_back(folder)  # its successor never began
    for name in (REPLACED, _MAKING):
        shutil.rmtree(folder / name, ignore_errors=True)
    for place in (folder, folder / "figures"):
        for path in _temporary_files(place):
            path.unlink(missing_ok=True)


@contextmanager
def set_aside(folder: Path) -> Iterator[None]:
    """Inside, the run of a folder lies aside; then it is removed, or brought back where something went wrong."""
    # moved under one name and then renamed at once to the other: cut off in between, all comes back
    return_folder = folder / _RETURNING
    return_folder.mkdir()
    for path in list(folder.iterdir()):
        if path.name not in (LOCK, _RETURNING):
            path.rename(return_folder / path.name)
    aside = return_folder.rename(folder / REPLACED)
    try:
        yield
    except BaseException:
        _bring_back(folder)
        raise
    shutil.rmtree(aside)


def keep(folder: Path) -> None:
    """Keep all files of a finished run aside, at no cost where the disk knows links: new ones come in their places.

    Raises:
        WriteError: the disk is full.
    """
    draft = folder / _MAKING
    try:
        for name in _files(folder):
            target = draft / name
            target.parent.mkdir(parents=True, exist_ok=True)
            _link(folder / name, target)
        draft.rename(folder / FINISHED_BEFORE)
    except OSError as error:
        shutil.rmtree(draft, ignore_errors=True)
        raise unwritable(folder / FINISHED_BEFORE, error) from error


def put_back(folder: Path) -> bool:
    """Make a folder again what it was at :func:`keep`; says whether anything was kept there."""
    finished_run = folder / FINISHED_BEFORE
    if not finished_run.is_dir():
        return False
    files_before = _files(finished_run)
    for name in _files(folder):  # what came since
        if name not in files_before:
            (folder / name).unlink()
    finished_run.rename(folder / _RETURNING)
    _return(folder)
    return True


def let_go(folder: Path) -> None:
    """What :func:`keep` kept is not needed any more."""
    finished_run = folder / FINISHED_BEFORE
    if finished_run.is_dir():
        finished_run.rename(folder / _MAKING)  # from here on nothing is put back
        shutil.rmtree(folder / _MAKING)


def _bring_back(folder: Path) -> None:
    """Put a replaced run in the place of what was begun."""
    for path in list(folder.iterdir()):
        if path.name in (LOCK, REPLACED):
            continue
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink()
    (folder / REPLACED).rename(folder / _RETURNING)
    _return(folder)


def _return(folder: Path) -> None:
    """Move everything that is on its way back into its place."""
    return_folder = folder / _RETURNING
    if not return_folder.is_dir():
        return
    for path in sorted(return_folder.rglob("*")):  # cut off here, whoever comes next moves the rest
        if path.is_file() or path.is_symlink():
            target = folder / path.relative_to(return_folder)
            target.parent.mkdir(parents=True, exist_ok=True)
            os.replace(path, target)
    shutil.rmtree(return_folder)


def _files(folder: Path) -> list[Path]:
    """Files of a run, relative to its folder."""
    names = []
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder)
        if path.is_file() and name.parts[0] not in _OTHERS:
            names.append(name)
    return names


def _link(source: Path, target: Path) -> None:
    """A second name for a file, or a copy of it."""
    if source.name in _GROWING:  # a second name would grow too
        shutil.copy2(source, target)
        return
    try:
        os.link(source, target)
    except OSError:  # a disk without links
        shutil.copy2(source, target)
