"""The people in the layout of RegDB: a visible and a thermal camera side by side see each moment together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from crossreid.data.synthetic.pairs import looks_away, render_pair
from crossreid.data.synthetic.people import make_figure, sample_person
from crossreid.data.synthetic.writing import save_image, write_set
from crossreid.settings.data import RegDBPeople

SPLITS = 10
MODALITIES = (("visible", "Visible", "v"), ("thermal", "Thermal", "t"))  # in list names, folders and file names
_STREAM = 8


def write_regdb_layout(root: Path, people: RegDBPeople, *, workers: int = 1, progress: bool = False) -> Path:
    """Draw the people and write them as RegDB does, under the contract of :func:`write_sysu_layout`."""
    return write_set(root, RegDBLayout(people), workers=workers, progress=progress)


@dataclass(frozen=True)
class RegDBLayout:
    """``Visible/<pid>/*_v_*.bmp``, ``Thermal/<pid>/*_t_*.bmp`` and the lists of ten splits under ``idx/``."""

    people: RegDBPeople
    title: str = "synthetic people in RegDB's layout"

    def manifest(self) -> dict[str, Any]:
        """Settings, version and counts."""
        counts = {}
        for folder, images in self.folders().items():
            counts[folder] = {"ids": self.people.ids, "images": images}
        return {
            "dataset": self.title,
            "version": self.people.VERSION,
            "settings": asdict(self.people),
            "counts": counts,
        }

    def pids(self) -> Sequence[int]:
        """From 1."""
        return range(1, self.people.ids + 1)

    def folders(self) -> dict[str, int]:
        """Images of each modality."""
        return {folder: self.people.ids * self.people.frames for _, folder, _ in MODALITIES}

    def names(self, pid: int, letter: str) -> list[str]:
        """File names of one person, such as ``female_back_v_00031_4.bmp``; a pair shares its number."""
        person = sample_person(self.world, pid)
        gender = "female" if person.sliders["gender"] > 0.5 else "male"
        side = "back" if looks_away(self.world, pid) else "front"
        first = (pid - 1) * self.people.frames + 1
        return [f"{gender}_{side}_{letter}_{first + frame:05d}_{pid}.bmp" for frame in range(self.people.frames)]

    @property
    def world(self) -> int:
        """Seed of the people."""
        return self.people.seed + 1_000_000

    def write_lists(self, folder: Path) -> None:
        """``idx/{train,test}_{visible,thermal}_{1..10}.txt``: path, space, label in order of appearance; CRLF."""
        (folder / "idx").mkdir(exist_ok=True)
        half = self.people.ids // 2
        for split in range(1, SPLITS + 1):
            order = np.random.default_rng((self.people.seed, _STREAM, split)).permutation(self.people.ids) + 1
            for part, pids in (("train", order[:half]), ("test", order[half:])):
                for modality, home, letter in MODALITIES:
                    lines = []
                    for label, pid in enumerate(pids):
                        for name in self.names(int(pid), letter):
                            lines.append(f"{home}/{pid}/{name} {label}\r\n")
                    path = folder / "idx" / f"{part}_{modality}_{split}.txt"
                    path.write_bytes("".join(lines).encode())

    def write_person(self, folder: Path, pid: int) -> None:
        """All pairs of one identity."""
        paths: list[list[Path]] = []  # modality by modality, the files of all frames
        for _, home, letter in MODALITIES:
            paths.append([folder / home / str(pid) / name for name in self.names(pid, letter)])
        missing_frames = []
        for frame in range(self.people.frames):
            if not all(files[frame].exists() for files in paths):
                missing_frames.append(frame)
        if not missing_frames:
            return
        figure = make_figure(sample_person(self.world, pid))
        for files in paths:
            files[0].parent.mkdir(exist_ok=True)
        size = (self.people.height, self.people.width)
        for frame in missing_frames:
            for files, image in zip(paths, render_pair(figure, self.world, pid, frame, size), strict=True):
                save_image(files[frame], Image.fromarray(image))
