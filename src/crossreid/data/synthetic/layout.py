"""The people in the layout of SYSU-MM01."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PIL import Image

from crossreid.data.synthetic.cameras import CAMERA
from crossreid.data.synthetic.people import make_figure, sample_person
from crossreid.data.synthetic.permutations import write_permutations
from crossreid.data.synthetic.render import render
from crossreid.data.synthetic.roster import CAMERAS, SPLITS, RosterEntry, count_images, make_roster
from crossreid.data.synthetic.writing import save_image, write_set
from crossreid.settings.data import SyntheticPeople


def write_sysu_layout(root: Path, people: SyntheticPeople, *, workers: int = 1, progress: bool = False) -> Path:
    """Draw the people and write them as SYSU-MM01 does; a set that is there already is only verified.

    The folder appears when it is complete, by one rename. An interrupted call leaves its images in a hidden folder beside
    ``root``; the next call with the same settings goes on from there. Two processes that call at once do the work once.

    Args:
        root: folder of the dataset, made if missing. people: what to draw. workers: processes. progress: show a bar.

    Returns:
        ``root``.

    Raises:
        DataError: ``root`` holds something else, a set with other settings, or a damaged set.
    """
    return write_set(root, SysuLayout(people), workers=workers, progress=progress)


@dataclass(frozen=True)
class SysuLayout:
    """``cam1..cam6/<pid>/<frame>.jpg`` and ``exp/``."""

    people: SyntheticPeople
    title: str = "synthetic people"

    def roster(self) -> list[RosterEntry]:
        """Who is where."""
        return make_roster(self.people)

    def manifest(self) -> dict[str, Any]:
        """Settings, version and counts per split and camera."""
        counts = count_images(self.roster(), self.people.frames)
        return {
            "dataset": self.title,
            "version": self.people.VERSION,
            "settings": self.people.as_dict(),
            "counts": counts,
        }

    def pids(self) -> Sequence[int]:
        """From 1."""
        return range(1, self.people.ids + 1)

    def folders(self) -> dict[str, int]:
        """Images of each camera."""
        images = {f"cam{camera}": 0 for camera in CAMERAS}
        for entry in self.roster():
            for camera in entry.cameras:
                images[f"cam{camera}"] += self.people.frames
        return images

    def write_lists(self, folder: Path) -> None:
        """The splits and the gallery draw."""
        roster = self.roster()
        lists: dict[str, list[int]] = {"available": [entry.pid for entry in roster]}
        for split in SPLITS:
            lists[split] = [entry.pid for entry in roster if entry.split == split]
        (folder / "exp").mkdir(exist_ok=True)
        for name, pids in lists.items():
            line = ",".join(map(str, pids)) + "\n"
            (folder / "exp" / f"{name}_id.txt").write_text(line, encoding="utf-8")
        write_permutations(folder / "exp" / "rand_perm_cam.mat", roster, self.people)

    def write_person(self, folder: Path, pid: int) -> None:
        """All cameras and frames of one identity."""
        entry = self.roster()[pid - 1]
        missing: list[tuple[Path, int, int]] = []
        for camera in entry.cameras:
            for frame in range(self.people.frames):
                path = folder / f"cam{camera}" / f"{pid:04d}" / f"{frame + 1:04d}.jpg"
                if not path.exists():
                    missing.append((path, camera, frame))
        if not missing:
            return
        figure = make_figure(sample_person(self.people.seed, pid))
        for path, camera, frame in missing:
            path.parent.mkdir(exist_ok=True)
            image = Image.fromarray(render(figure, pid, camera, frame, self.people))
            save_image(path, image, quality=CAMERA[camera].quality)
