"""Persons of a folder without splits: who is trained on, calibrated on and tested on."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from crossreid.data.datasets.division import divide_persons
from crossreid.data.datasets.folder import read_folder
from crossreid.data.datasets.sources import open_source
from crossreid.errors import ConfigError
from crossreid.settings.data import FolderConfig


def test_parts_are_disjoint_of_the_right_size_and_the_same_again() -> None:
    names = {pid: f"person {pid}" for pid in range(1, 101)}
    paired = set(range(1, 81))
    parts = divide_persons(names, paired, (0.6, 0.2, 0.2), 0)
    assert set(parts) == set(names)
    for group, counts in ((paired, (48, 16, 16)), (set(names) - paired, (12, 4, 4))):
        found = tuple(sum(parts[pid] == part for pid in group) for part in ("train", "calibration", "test"))
        assert found == counts
    assert divide_persons(names, paired, (0.6, 0.2, 0.2), 0) == parts
    assert divide_persons(names, paired, (0.6, 0.2, 0.2), 1) != parts
    renumbered = divide_persons(
        {pid + 7: name for pid, name in names.items()}, {p + 7 for p in paired}, (0.6, 0.2, 0.2), 0
    )
    assert {pid - 7: part for pid, part in renumbered.items()} == parts  # names decide, not numbers
    more = divide_persons({**names, 101: "somebody"}, {*paired, 101}, (0.6, 0.2, 0.2), 0)
    assert sum(more[pid] != parts[pid] for pid in names) <= 2


@pytest.mark.parametrize("count", [3, 4, 5, 9])
def test_every_share_has_somebody(count: int) -> None:
    names = {pid: str(pid) for pid in range(count)}
    parts = divide_persons(names, set(names), (0.8, 0.1, 0.1), 0)
    assert set(parts.values()) == {"train", "calibration", "test"}
    without = divide_persons(names, set(names), (0.5, 0.0, 0.5), 0)
    assert set(without.values()) == {"train", "test"}


def write_people(root: Path, count: int = 10) -> Path:
    for number in range(count):
        for modality, camera in (("visible", 1), ("infrared", 2)):
            place = root / modality / f"p{number}"
            place.mkdir(parents=True)
            Image.new("RGB", (8, 16)).save(place / f"c{camera}_1.png")
    return root


def test_a_folder_is_divided_where_it_says_nothing_itself(tmp_path: Path) -> None:
    root = write_people(tmp_path / "mine")
    plain = read_folder(root)
    assert list(plain.splits) == ["test"]
    divided = read_folder(root, divide=(0.6, 0.2, 0.2), divide_seed=3)
    assert [len(divided.people(split)) for split in ("train", "calibration", "test")] == [6, 2, 2]
    assert divided.records == plain.records
    assert "6 are trained on, 2 are kept for calibration and 2 for the test" in " ".join(divided.remarks())
    config = FolderConfig(root=str(root))
    assert open_source(config).for_training().divide == [0.6, 0.2, 0.2]
    assert open_source(FolderConfig(root=str(root), divide=[0.5, 0.0, 0.5])).for_training().divide == [0.5, 0.0, 0.5]
    (root / "train").mkdir()
    (root / "visible").rename(root / "train" / "visible")
    (root / "infrared").rename(root / "train" / "infrared")
    assert open_source(config).for_training().divide is None
    with pytest.raises(ConfigError, match=r"leave data.divide out"):
        read_folder(root, divide=(0.6, 0.2, 0.2))


@pytest.mark.parametrize("shares", [[0.6, 0.2, 0.1], [0.0, 0.5, 0.5], [0.5, 0.5, 0.0]])
def test_shares_that_cannot_be_are_refused(shares: list[float]) -> None:
    with pytest.raises(ConfigError, match="three shares that sum to 1"):
        FolderConfig(root=".", divide=shares).check("data")
