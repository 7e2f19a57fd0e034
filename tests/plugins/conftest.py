"""The packages that the pages about adding things show, written to disk as they stand there."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tomllib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from processes import Command
from support import ROOT, Finished

METHOD_PAGE = ROOT / "docs" / "adding_a_method.md"
DATASET_PAGE = ROOT / "docs" / "adding_a_dataset.md"
INSIDE = "src/crossreid/methods/centres/"
FILE = re.compile(r"^`([\w./-]+)`:[^\n]*\n\n```\w+\n(.*?)^```", re.MULTILINE | re.DOTALL)


def files_of(page: Path) -> dict[str, str]:
    """The files that a page shows: name -> content."""
    return dict(FILE.findall(page.read_text(encoding="utf-8")))


def write(root: Path, name: str, text: str) -> None:
    """One file, with its folders."""
    path = root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


@pytest.fixture(scope="session")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the source tree, with the method of the page added inside it."""
    root = tmp_path_factory.mktemp("tree")
    for folder in ("src", "conf"):
        for path in (ROOT / folder).rglob("*"):
            if path.is_file() and path.suffix != ".pyc":
                target = root / path.relative_to(ROOT)
                target.parent.mkdir(parents=True, exist_ok=True)
                target.symlink_to(path) if path.suffix == ".yaml" else target.write_bytes(path.read_bytes())
    for name, text in files_of(METHOD_PAGE).items():
        if name.startswith((INSIDE, "conf/")):
            write(root, name, text)
    return root


@pytest.fixture(scope="session")
def toy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the package `toy`: the method and the dataset of the pages."""
    root = tmp_path_factory.mktemp("elsewhere")
    inside, dataset = files_of(METHOD_PAGE), files_of(DATASET_PAGE)
    for name in ("config.py", "module.py"):
        write(root, f"toy/{name}", inside[f"{INSIDE}{name}"].replace("crossreid.methods.centres", "toy"))
    for name in ("toy/dots.py", "toy/dots_source.py"):
        write(root, name, dataset[name])
    write(root, "toy/__init__.py", inside["toy/__init__.py"] + dataset["toy/__init__.py"])
    return root


@pytest.fixture(scope="session")
def installed(toy: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which the package is installed as pip would: with the metadata of its entry points."""
    root = tmp_path_factory.mktemp("site")
    (root / "toy").symlink_to(toy / "toy")
    groups = tomllib.loads(files_of(METHOD_PAGE)["pyproject.toml"])["project"]["entry-points"]
    groups["crossreid.datasets"] = {"dots": "toy.dots:DotsConfig"}
    lines = []
    for group, entries in groups.items():
        lines += [f"[{group}]", *(f"{name} = {place}" for name, place in entries.items())]
    write(root, "toy-0.1.dist-info/METADATA", "Metadata-Version: 2.1\nName: toy\nVersion: 0.1\n")
    write(root, "toy-0.1.dist-info/entry_points.txt", "\n".join(lines) + "\n")
    return root


@pytest.fixture(scope="session")
def dots(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Images as the example's dataset expects them: 12 persons, two cameras, three images each."""
    root = tmp_path_factory.mktemp("dots")
    for pid in range(1, 13):
        for camid in (1, 2):
            for frame in range(3):
                noise = np.random.default_rng([pid, camid, frame]).integers(0, 100, (64, 32, 3))
                Image.fromarray((noise + 10 * pid).astype(np.uint8)).save(root / f"{pid:02d}_{camid}_{frame}.png")
    return root


@pytest.fixture
def run_with(tmp_path: Path) -> Callable[..., Finished]:
    """Run ``crossreid.<module>`` in a process of its own that finds packages in a further folder."""

    def run(folder: Path, module: str, *args: str) -> Finished:
        command = Command(tmp_path, module, *args, path=folder)
        return Finished(command.wait(), command.output)

    return run


SEVERAL = """
import importlib, json, sys
for module, *arguments in json.loads(sys.argv[1]):
    sys.argv = [f"crossreid.{module}", *arguments]
    importlib.import_module(f"crossreid.{module}").main()
"""


@pytest.fixture
def run_from(tmp_path: Path) -> Callable[..., Finished]:
    """Run commands one after the other in a fresh Python that takes the whole of ``crossreid`` from a folder."""

    def run(folder: Path, *commands: list[str]) -> Finished:
        environment = {**os.environ, "PYTHONPATH": str(folder)}
        done = subprocess.run(
            [sys.executable, "-c", SEVERAL, json.dumps(commands)],
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
        return Finished(done.returncode, done.stdout + done.stderr)

    return run
