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
