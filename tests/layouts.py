"""Datasets on disk for tests: the real ones' names and counts from their split lists, with one tiny image for all files."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from PIL import Image

from support import PROTOCOLS


def write_images(root: Path, names: Iterable[str]) -> None:
    """Every named file below ``root``, all of them hard links to one image a folder of ``root``."""
    made: set[Path] = set()
    for name in names:
        path = root / name
        if path.parent not in made:
            path.parent.mkdir(parents=True, exist_ok=True)
            made.add(path.parent)
        source = root / f".{name.partition('/')[0]}{path.suffix}"  # one a folder: a file has at most some 65,000 links
        if source not in made:
            Image.new("RGB", (4, 8), (90, 120, 150)).save(source)
            made.add(source)
        os.link(source, path)


def copy_lists(dataset: str, folder: str, root: Path) -> Path:
    """The split lists of a real dataset, as its copies on disk have them."""
    shutil.copytree(PROTOCOLS / dataset / folder, root / folder)
    for path in (root, root / folder):
        path.chmod(0o755)
    return root / folder


def list_names(path: Path) -> list[str]:
    """The first words of a list file's lines."""
    return [line.split()[0] for line in path.read_text().splitlines()]


def write_real_sysu(root: Path) -> None:
    """All 45,863 images that the official permutation file knows, also of people who are in no split."""
    from scipy.io import loadmat

    copy_lists("SYSU-MM01", "exp", root)
    permutations = loadmat(PROTOCOLS / "SYSU-MM01" / "data_split" / "rand_perm_cam.mat")["rand_perm_cam"]
    counts = {
        (camid, pid): np.shape(order[0])[1]
        for camid in range(1, 7)
        for pid, order in enumerate(permutations[camid - 1, 0], start=1)
    }
    names = [f"cam{c}/{pid:04d}/{i:04d}.jpg" for (c, pid), n in counts.items() for i in range(1, n + 1)]
    write_images(root, names)


def write_real_regdb(root: Path) -> None:
    """All 8,240 images that the ten splits name."""
    lists = copy_lists("RegDB", "idx", root)
    write_images(root, sorted({name for path in lists.glob("*.txt") for name in list_names(path)}))


def write_real_llcm(root: Path) -> None:
    """The 30,921 images to train on, and the 15,846 to test on in camera folders."""
    lists = copy_lists("LLCM", "idx", root)
    names = [name for short in ("vis", "nir") for name in list_names(lists / f"train_{short}.txt")]
    for name in (name for short in ("vis", "nir") for name in list_names(lists / f"test_{short}.txt")):
        short, pid, file = name.split("/")
        names.append(f"test_{short}/cam{int(file.split('_c')[1][:2])}/{pid}/{file}")
    write_images(root, names)


WRITERS = {"sysu_mm01": write_real_sysu, "regdb": write_real_regdb, "llcm": write_real_llcm}


def without(root: Path, missing: str, target: Path) -> Path:
    """A view of ``root`` (symbolic links) in which one file or folder is missing."""
    first, _, rest = missing.partition("/")
    target.mkdir(parents=True)
    for child in root.iterdir():
        if child.name != first:
            (target / child.name).symlink_to(child)
        elif rest:
            without(child, rest, target / child.name)
    return target


def write_small_llcm(root: Path, people: Path) -> Path:
    """The synthetic people (SYSU-MM01 layout) as LLCM: cameras 4 and 5 visible, camera 3 and 6 infrared as places 4 and 5."""
    by_folder = {("vis", 4): "cam4", ("vis", 5): "cam5", ("nir", 4): "cam3", ("nir", 5): "cam6"}
    train, test = (_ids(people, split) for split in ("train", "test"))
    (root / "idx").mkdir(parents=True)
    for short in ("vis", "nir"):
        listed = []
        for (kind, place), source in by_folder.items():
            for pid in (*train, *test) if kind == short else ():
                for image in sorted((people / source / f"{pid:04d}").glob("*.jpg")):
                    name = f"{pid:04d}_c{place:02d}_{image.stem}_{short}.jpg"
                    home = f"{short}/{pid:04d}" if pid in train else f"test_{short}/cam{place}/{pid:04d}"
                    (root / home).mkdir(parents=True, exist_ok=True)
                    shutil.copyfile(image, root / home / name)
                    if pid in train:
                        listed.append(f"{home}/{name} {train.index(pid)}")
        (root / "idx" / f"train_{short}.txt").write_text("\n".join(listed) + "\n")
    (root / "idx" / "test_id.txt").write_text(",".join(map(str, test)) + "\n")
    return root


def write_small_folder(root: Path, people: Path) -> Path:
    """The synthetic people as folders: splits, modalities, one folder a person, cameras in file names."""
    for split in ("train", "test"):
        for pid in _ids(people, split):
            for camera in range(1, 7):
                for image in sorted((people / f"cam{camera}" / f"{pid:04d}").glob("*.jpg")):
                    home = root / split / ("infrared" if camera in (3, 6) else "visible") / f"person{pid}"
                    home.mkdir(parents=True, exist_ok=True)
                    shutil.copyfile(image, home / f"c{camera}_{image.name}")
    return root


def write_small_regdb(root: Path, people: Path) -> Path:
    """The synthetic people as RegDB with two splits: camera 4 visible, camera 3 thermal."""
    names: dict[int, dict[str, list[str]]] = {}
    seen = [{path.name for path in (people / camera).iterdir()} for camera in ("cam3", "cam4")]
    for pid in map(int, sorted(seen[0] & seen[1])):
        for folder, letter, camera in (("Visible", "v", "cam4"), ("Thermal", "t", "cam3")):
            home = root / folder / str(pid)
            home.mkdir(parents=True)
            for frame, image in enumerate(sorted((people / camera / f"{pid:04d}").glob("*.jpg"))):
                with Image.open(image) as picture:
                    picture.save(home / f"walk_{letter}_{frame:05d}_{pid}.bmp")
            names.setdefault(pid, {})[folder] = [f"{folder}/{pid}/{path.name}" for path in sorted(home.iterdir())]
    pids = sorted(names)
    halves = pids[: len(pids) // 2], pids[len(pids) // 2 : 2 * (len(pids) // 2)]
    (root / "idx").mkdir()
    for split, (train, test) in ((1, halves), (2, halves[::-1])):
        for part, group in (("train", train), ("test", test)):
            for folder in ("Visible", "Thermal"):
                lines = [f"{name} {label}" for label, pid in enumerate(group) for name in names[pid][folder]]
                (root / "idx" / f"{part}_{folder.lower()}_{split}.txt").write_bytes("\r\n".join([*lines, ""]).encode())
    return root


def _ids(people: Path, split: str) -> list[int]:
    return sorted(int(pid) for pid in (people / "exp" / f"{split}_id.txt").read_text().split(","))
