"""Writing the people to disk in the layout of SYSU-MM01, all or nothing."""

from __future__ import annotations

import json
import multiprocessing
import shutil
from collections.abc import Generator, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from filelock import FileLock
from PIL import Image
from rich.progress import track

from crossreid.data.synthetic.permutations import write_permutations
from crossreid.data.synthetic.people import make_figure, sample_person
from crossreid.data.synthetic.render import render
from crossreid.data.synthetic.roster import CAMERAS, SPLITS, RosterEntry, count_images, make_roster
from crossreid.data.synthetic.settings import SyntheticPeople
from crossreid.errors import DataError

MANIFEST = "manifest.json"
_QUALITY = 92  # of the JPEG files


def write_sysu_layout(root: Path, people: SyntheticPeople, *, workers: int = 1, progress: bool = False) -> Path:
    """Draw the people and write them as SYSU-MM01 does; a set that is there already is only verified.

    The folder appears when it is complete, by one rename. Two processes that call at once do the work once. With
    ``workers`` above 1 processes are spawned, so a script that calls this needs the usual ``if __name__ == "__main__":``.

    Args:
        root: folder of the dataset, made if missing. people: what to draw. workers: processes. progress: show a bar.

    Returns:
        ``root``.

    Raises:
        DataError: ``root`` holds something else, a set with other settings, or a damaged set.
    """
    root = Path(root)
    root.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(root.parent / f".{root.name}.lock"):
        if root.is_dir() and any(root.iterdir()):
            _verify(root, people)
        else:
            with _folder_in_the_making(root) as folder:
                _write(folder, people, workers, progress)
    return root


def make_manifest(people: SyntheticPeople) -> dict[str, Any]:
    """Settings, version and counts per split and camera, as ``manifest.json`` holds them."""
    counts = count_images(make_roster(people), people.frames)
    return {"dataset": "synthetic people", "version": people.VERSION, "settings": people.as_dict(), "counts": counts}


@contextmanager
def _folder_in_the_making(root: Path) -> Iterator[Path]:
    """A sibling of ``root`` that takes its place if the block succeeds and vanishes if it does not."""
    folder = root.parent / f".{root.name}.partial"
    shutil.rmtree(folder, ignore_errors=True)  # of a process that was killed
    folder.mkdir()
    try:
        yield folder
        folder.replace(root)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _verify(root: Path, people: SyntheticPeople) -> None:
    path = root / MANIFEST
    if not path.is_file():
        raise DataError(f"{root} is not empty and holds no synthetic people: name another folder.")
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise DataError(f"{path} cannot be read: delete {root} and it is generated again.") from error
    expected = make_manifest(people)
    if found != expected:
        raise DataError(
            f"{root} holds synthetic people with other settings or of another version: "
            "name another folder, or delete it to generate it again."
        )
    for camera in CAMERAS:
        images = sum(1 for _ in (root / f"cam{camera}").glob("*/*.jpg"))
        wanted = sum(expected["counts"][split][str(camera)]["images"] for split in SPLITS)
        if images != wanted:
            raise DataError(
                f"{root}/cam{camera} holds {images} images instead of {wanted}: delete {root} and it is generated again."
            )


def _write(folder: Path, people: SyntheticPeople, workers: int, progress: bool) -> None:
    roster = make_roster(people)
    for camera in CAMERAS:
        (folder / f"cam{camera}").mkdir()
    (folder / "exp").mkdir()
    for split in SPLITS:
        _write_ids(folder / "exp" / f"{split}_id.txt", [e.pid for e in roster if e.split == split])
    _write_ids(folder / "exp" / "available_id.txt", [e.pid for e in roster])
    write_permutations(folder / "exp" / "rand_perm_cam.mat", roster, people)
    with closing(_draw_all(folder, roster, people, workers)) as done:  # no worker outlives an interruption
        for _ in track(done, "drawing people", total=len(roster), disable=not progress):
            pass
    (folder / MANIFEST).write_text(json.dumps(make_manifest(people), indent=1) + "\n", encoding="utf-8")


def _write_ids(path: Path, pids: list[int]) -> None:
    path.write_text(",".join(map(str, pids)) + "\n", encoding="utf-8")


def _draw_all(
    folder: Path, roster: list[RosterEntry], people: SyntheticPeople, workers: int
) -> Generator[int, None, None]:
    """Draw everyone; yields each pid that is done."""
    if workers <= 1:
        for entry in roster:
            _draw_person(folder, entry, people)
            yield entry.pid
        return
    pool = ProcessPoolExecutor(workers, mp_context=multiprocessing.get_context("spawn"))
    try:
        futures = [pool.submit(_draw_person, folder, entry, people) for entry in roster]
        for entry, future in zip(roster, futures, strict=True):
            future.result()
            yield entry.pid
    finally:
        pool.shutdown(cancel_futures=True)


def _draw_person(folder: Path, entry: RosterEntry, people: SyntheticPeople) -> None:
    """All images of one identity."""
    figure = make_figure(sample_person(people.seed, entry.pid))
    for camera in entry.cameras:
        home = folder / f"cam{camera}" / f"{entry.pid:04d}"
        home.mkdir()
        for frame in range(people.frames):
            image = Image.fromarray(render(figure, entry.pid, camera, frame, people))
            image.save(home / f"{frame + 1:04d}.jpg", quality=_QUALITY)
