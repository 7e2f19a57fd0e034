"""Datasets of each layout with files removed, renamed, doubled, emptied, lists damaged and names from elsewhere."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from filelock import FileLock
from hypothesis import given
from hypothesis import strategies as st

from crossreid.data.datasets import ReIDDataset
from crossreid.data.datasets.sources import open_source, read_manifest
from crossreid.evaluation.building import Scored, build_protocols
from crossreid.settings.data import DataConfig, FolderConfig, LLCMConfig, RegDBConfig, SysuMM01Config
from crossreid.settings.protocol import PROTOCOLS
from crossreid.studies.examination import protocol_sizes
from fuzz.oracle import cases, damaged, ends_well, untouched
from layouts import write_small_folder, write_small_llcm, write_small_regdb

NAMES = [
    "0",
    "-1",
    "9" * 25,
    "c1",
    "anna",
    "e\u0301",
    "[red]x",
    "a b",
    ".hidden",
    "train",
    "visible",
    "0002_c1s1_1.jpg",
    "x.txt",
]
"""Names that files and folders get."""
LINES = [
    "",
    " ",
    "1,2",
    "-5",
    "9" * 25,
    "Visible/1/x.bmp 0",
    "vis/0001/0001_c01_x_vis.jpg 0",
    "a b c",
    "\0",
    "1.5",
    "٣",
]
"""Lines that lists get."""
ENCODINGS = ("utf-16", "utf-8-sig", "utf-32", "latin-1")


@dataclass(frozen=True)
class Layout:
    """A layout: what writes it from the embedded people, and its settings for a folder."""

    write: Callable[[Path, Path], object]
    settings: Callable[[Path], DataConfig]


def _as_it_is(root: Path, people: Path) -> None:
    shutil.copytree(people, root)


LAYOUTS = {
    "sysu_mm01": Layout(_as_it_is, lambda root: SysuMM01Config(root=str(root), counts="any")),
    "regdb": Layout(write_small_regdb, lambda root: RegDBConfig(root=str(root), counts="any")),
    "llcm": Layout(write_small_llcm, lambda root: LLCMConfig(root=str(root), counts="any")),
    "folder": Layout(write_small_folder, lambda root: FolderConfig(root=str(root))),
}


def few(people: Path, root: Path) -> Path:
    """Of the embedded people, some of each split, two images a camera."""
    kept: set[str] = set()
    (root / "exp").mkdir(parents=True)
    for split, count in (("train", 3), ("val", 2), ("test", 3)):
        ids = (people / "exp" / f"{split}_id.txt").read_text().strip().split(",")[:count]
        (root / "exp" / f"{split}_id.txt").write_text(",".join(ids) + "\n")
        kept.update(ids)
    (root / "exp" / "available_id.txt").write_text(",".join(sorted(kept, key=int)) + "\n")
    shutil.copyfile(people / "manifest.json", root / "manifest.json")
    for camera in people.glob("cam*"):
        for pid in kept:
            images = sorted((camera / f"{int(pid):04d}").glob("*.jpg"))[:2]
            for image in images:
                copy = root / image.relative_to(people)
                copy.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(image, copy)
    return root


@pytest.fixture(scope="session")
def originals(people_root: Path, shared_folder: Path) -> dict[str, Path]:
    """Each layout once, not to be written to."""
    people = shared_folder / "fuzz_people"
    with FileLock(shared_folder / "fuzz_people.lock"):
        if not people.is_dir():
            few(people_root, people)
    found = {}
    for name, layout in LAYOUTS.items():
        root = shared_folder / f"fuzz_{name}"
        with FileLock(shared_folder / f"fuzz_{name}.lock"):
            if not root.is_dir():
                layout.write(root, people)
        found[name] = root
    return found


Change = tuple[str, int, str, bytes]


@st.composite
def changes(draw: st.DrawFn) -> list[Change]:
    """What is done to a copy: how, to which of its files and folders, with which name and bytes."""
    how = [
        "remove",
        "rename",
        "double",
        "empty",
        "swap kind",
        "dangle",
        "loop",
        "bytes",
        "list line",
        "list order",
        "encoding",
    ]
    one = st.tuples(
        st.sampled_from(how), st.integers(0, 10_000), st.sampled_from(NAMES), st.sampled_from(LINES).map(_encoded)
    )
    return draw(st.lists(one, min_size=1, max_size=4))


def _encoded(line: str) -> bytes:
    return line.encode()


def apply(root: Path, change: Change, mutate: Callable[[bytes], bytes]) -> None:
    """Change one file or folder below ``root``; files are links, so a new one takes the place of a changed one."""
    how, number, name, line = change
    entries = sorted(path for path in root.rglob("*") if not path.is_symlink())
    lists = [path for path in entries if path.suffix in (".txt", ".json") and path.is_file()]
    about_lists = how in ("list line", "list order", "encoding")
    chosen_from = lists if about_lists and lists else entries
    if not chosen_from:
        return
    path = chosen_from[number % len(chosen_from)]
    other = path.with_name(name if path.is_dir() or number % 2 else name + path.suffix)
    if how in IN_PLACE:
        _rewrite(path, IN_PLACE[how](number, line, mutate))
    elif how == "remove":
        _remove(path)
    elif how == "rename" and not other.exists():
        path.rename(other)
    elif how == "double" and not other.exists():
        (shutil.copytree if path.is_dir() else shutil.copyfile)(path, other)
    elif how in ("swap kind", "dangle", "loop"):
        _replace(path, how, root / "nowhere")


Bytes = Callable[[bytes], bytes]
IN_PLACE: dict[str, Callable[[int, bytes, Bytes], Bytes]] = {
    "empty": lambda number, line, mutate: lambda content: b"",
    "bytes": lambda number, line, mutate: mutate,
    "list line": lambda number, line, mutate: lambda content: content + b"\n" + line,
    "list order": lambda number, line, mutate: (
        lambda content: b"\n".join(sorted(content.splitlines()) * (1 + number % 2))
    ),
    "encoding": lambda number, line, mutate: lambda content: _in_encoding(content, ENCODINGS[number % len(ENCODINGS)]),
}
"""How the bytes of a file become others."""


def _in_encoding(content: bytes, encoding: str) -> bytes:
    return content.decode("utf-8", "replace").encode(encoding, "replace")


def _replace(path: Path, how: str, nowhere: Path) -> None:
    """A folder where a file was and the other way round, or a link to nothing or to itself."""
    was_folder = path.is_dir()
    _remove(path)
    if how == "dangle":
        path.symlink_to(nowhere)
    elif how == "loop":
        path.symlink_to(path)
    elif was_folder:
        path.write_bytes(b"")
    else:
        path.mkdir()


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink()


def _rewrite(path: Path, change: Callable[[bytes], bytes]) -> None:
    """A new file in the place of a link; a folder loses what it holds."""
    if path.is_dir():
        shutil.rmtree(path)
        path.mkdir()
        return
    content = path.read_bytes()
    path.unlink()
    path.write_bytes(change(content))


@pytest.mark.parametrize("layout", LAYOUTS)
@cases(30)
@given(what=changes(), data=st.data())
def test_a_damaged_dataset_is_refused_in_a_sentence_or_read_right(
    layout: str, originals: dict[str, Path], what: list[Change], data: st.DataObject
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder) / "set"
        shutil.copytree(originals[layout], root, copy_function=os.link)
        for change in what:
            apply(root, change, lambda content: data.draw(damaged(content[:2000])) + content[2000:])
        config = LAYOUTS[layout].settings(root)

        def read() -> ReIDDataset:
            dataset = open_source(config).read()
            check_records(dataset)
            protocol_sizes(build_protocols(PROTOCOLS[config.protocol](), Scored.of(config, config, dataset)), dataset)
            return dataset

        def survey() -> list[str]:
            dataset, complaints = open_source(config).survey()
            check_records(dataset)
            return complaints

        with untouched(root):
            ends_well(read)
            complaints, _ = ends_well(survey)
            for complaint in complaints or []:
                assert complaint.strip()
            if layout == "sysu_mm01":
                ends_well(lambda: read_manifest(root))


def check_records(dataset: ReIDDataset) -> None:
    """What every reader promises."""
    for row, record in enumerate(dataset.records):
        assert record.row == row
        assert record.path.is_file()
        assert record.camid >= 1
        assert record.frame >= 0
    places = {(r.pid, r.camid, r.modality, r.frame) for r in dataset.records}
    assert len(places) == len(dataset.records)
    for rows in dataset.splits.values():
        assert np.array_equal(rows, np.unique(rows))
        assert not len(rows) or rows[-1] < len(dataset.records)
