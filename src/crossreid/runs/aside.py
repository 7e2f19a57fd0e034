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
    names = {path.name for path in folder.glob(f".*{TEMPORARY}")}
    names |= {path.name for path in folder.glob("*.partial")}  # of older versions
    return names | {name for name in _ASIDE if (folder / name).is_dir()}


def tidy(folder: Path) -> None:
    """Clean up what a killed process left in a folder that is this process's now; runs kept aside are put back."""
    _return(folder)
    put_back(folder)
    if (folder / REPLACED).is_dir() and not (folder / "run.json").is_file():
        _bring_back(folder)  # its successor never began
    for name in (REPLACED, _MAKING):
        shutil.rmtree(folder / name, ignore_errors=True)
    for place in (folder, folder / "figures"):
        for path in (*place.glob(f".*{TEMPORARY}"), *place.glob("*.partial")):
            path.unlink(missing_ok=True)


@contextmanager
def set_aside(folder: Path) -> Iterator[None]:
    """Inside, the run of a folder lies aside; then it is removed, or brought back where something went wrong."""
    moving = folder / _RETURNING  # cut off here, all comes back
    moving.mkdir()
    for path in list(folder.iterdir()):
        if path.name not in (LOCK, _RETURNING):
            path.rename(moving / path.name)
    aside = moving.rename(folder / REPLACED)
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
    making = folder / _MAKING
    try:
        for name in _files(folder):
            target = making / name
            target.parent.mkdir(parents=True, exist_ok=True)
            _link(folder / name, target)
        making.rename(folder / FINISHED_BEFORE)
    except OSError as error:
        shutil.rmtree(making, ignore_errors=True)
        raise unwritable(folder / FINISHED_BEFORE, error) from error


def put_back(folder: Path) -> bool:
    """Make a folder again what it was at :func:`keep`; says whether anything was kept there."""
    kept = folder / FINISHED_BEFORE
    if not kept.is_dir():
        return False
    before = _files(kept)
    for name in _files(folder):
        if name not in before:
            (folder / name).unlink()
    kept.rename(folder / _RETURNING)
    _return(folder)
    return True


def let_go(folder: Path) -> None:
    """What :func:`keep` kept is not needed any more."""
    kept = folder / FINISHED_BEFORE
    if kept.is_dir():
        kept.rename(folder / _MAKING)  # from here on nothing is put back
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
    moving = folder / _RETURNING
    if not moving.is_dir():
        return
    for path in sorted(moving.rglob("*")):
        if path.is_file() or path.is_symlink():
            target = folder / path.relative_to(moving)
            target.parent.mkdir(parents=True, exist_ok=True)
            os.replace(path, target)
    shutil.rmtree(moving)


def _files(folder: Path) -> list[Path]:
    """Files of a run, relative to its folder."""
    found = []
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder)
        if path.is_file() and name.parts[0] not in _OTHERS:
            found.append(name)
    return found


def _link(source: Path, target: Path) -> None:
    """A second name for a file, or a copy of it."""
    if source.name in _GROWING:
        shutil.copy2(source, target)
        return
    try:
        os.link(source, target)
    except OSError:  # a disk without links
        shutil.copy2(source, target)
