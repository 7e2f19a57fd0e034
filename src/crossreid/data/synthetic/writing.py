"""Writing a generated set to disk: all or nothing, taken up again where it was interrupted, verified when it is there."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Generator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any, Protocol

from filelock import FileLock
from PIL import Image
from rich.progress import track

from crossreid.errors import DataError
from crossreid.interruption import end_with_parent
from crossreid.spawning import SPAWN, without_main

MANIFEST = "manifest.json"
_PLAN = "plan.json"  # the manifest of a set in the making
_UNFINISHED = ".part"  # suffix of a file that is being written


class Layout(Protocol):
    """A set to write. It travels to the workers, so it is plain data."""

    @property
    def title(self) -> str:
        """What the set is called in messages."""

    def manifest(self) -> dict[str, Any]:
        """Settings, version and counts, as JSON; the same for the same pictures only."""

    def pids(self) -> Sequence[int]:
        """The identities."""

    def write_lists(self, folder: Path) -> None:
        """Everything but the images."""

    def write_person(self, folder: Path, pid: int) -> None:
        """The images of one identity, by :func:`save_image`; those that are there are left."""

    def folders(self) -> dict[str, int]:
        """Number of images under each folder of the set, as ``<folder>/<person>/<image>``."""


def write_set(root: Path, layout: Layout, *, workers: int, progress: bool) -> Path:
    """Write the set, or verify the one that is there; see :func:`write_sysu_layout` for the contract."""
    root = Path(root)
    root.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(root.parent / f".{root.name}.lock"):
        if root.is_dir() and any(root.iterdir()):
            _verify(root, layout)
        else:
            folder = _take_up(root.parent / f".{root.name}.partial", layout)
            with closing(_draw_all(folder, layout, workers)) as done:  # no worker outlives an interruption
                for _ in track(done, f"drawing {layout.title}", total=len(layout.pids()), disable=not progress):
                    pass
            layout.write_lists(folder)
            (folder / _PLAN).rename(folder / MANIFEST)
            folder.replace(root)
    return root


def save_image(path: Path, image: Image.Image, **options: int) -> None:
    """Save so that ``path`` never holds a part of an image."""
    unfinished = path.with_name(path.name + _UNFINISHED)
    image.save(unfinished, format={".jpg": "JPEG", ".bmp": "BMP"}[path.suffix], **options)
    os.replace(unfinished, path)


def _take_up(folder: Path, layout: Layout) -> Path:
    """The folder of a set in the making: that of an earlier call for the same set, or an empty one."""
    plan = json.dumps(layout.manifest(), indent=1) + "\n"
    if not (folder / _PLAN).is_file() or (folder / _PLAN).read_text(encoding="utf-8") != plan:
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        (folder / _PLAN).write_text(plan, encoding="utf-8")
    for unfinished in folder.rglob(f"*{_UNFINISHED}"):
        unfinished.unlink()
    for name in layout.folders():
        (folder / name).mkdir(exist_ok=True)
    return folder


def _verify(root: Path, layout: Layout) -> None:
    path = root / MANIFEST
    if not path.is_file():
        raise DataError(f"{root} is not empty and holds no {layout.title}: name another folder.")
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise DataError(f"{path} cannot be read: delete {root} and it is generated again.") from error
    if found != layout.manifest():
        raise DataError(
            f"{root} holds {layout.title} with other settings or of another version: "
            "name another folder, or delete it to generate it again."
        )
    for name, wanted in layout.folders().items():
        images = sum(1 for _ in (root / name).glob("*/*.*"))
        if images != wanted:
            raise DataError(
                f"{root / name} holds {images} images instead of {wanted}: delete {root} and it is generated again."
            )


def _draw_all(folder: Path, layout: Layout, workers: int) -> Generator[int, None, None]:
    """Draw everyone; yields each pid that is done."""
    if workers <= 1:
        for pid in layout.pids():
            layout.write_person(folder, pid)
            yield pid
        return
    pool = ProcessPoolExecutor(workers, SPAWN, initializer=end_with_parent)
    try:
        with without_main():  # submitting starts the processes
            futures = [pool.submit(layout.write_person, folder, pid) for pid in layout.pids()]
        for pid, future in zip(layout.pids(), futures, strict=True):
            future.result()
            yield pid
    finally:
        pool.shutdown(cancel_futures=True)
