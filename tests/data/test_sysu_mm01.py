"""The SYSU-MM01 reader, on small made layouts and on the real one's names and counts."""

import shutil
from collections import Counter
from pathlib import Path

import pytest

from crossreid.data.datasets import SYSU_MM01_COUNTS, CameraCount, read_sysu_mm01
from crossreid.data.datasets.sysu_mm01 import CAMERAS
from crossreid.errors import DataError
from layouts import without


def write_layout(root: Path, *, images: int = 2) -> Path:
    ids = {"train": [2, 5], "val": [3], "test": [1, 7], "available": [1, 2, 3, 5, 7]}
    for split, pids in ids.items():
        path = root / "exp" / f"{split}_id.txt"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(",".join(str(pid) for pid in pids) + "\n")
    for camid in CAMERAS:
        for pid in (1, 2, 3, 5, 7, 9):  # 9 is in no list
            folder = root / f"cam{camid}" / f"{pid:04d}"
            folder.mkdir(parents=True)
            for index in range(1, images + 1):
                (folder / f"{index:04d}.jpg").touch()
    return root


def test_records_are_typed_sorted_and_only_of_available_ids(tmp_path: Path) -> None:
    dataset = read_sysu_mm01(write_layout(tmp_path), None)
    assert [record.row for record in dataset.records] == list(range(5 * 6 * 2))
    assert {record.pid for record in dataset.records} == {1, 2, 3, 5, 7}
    first = dataset.records[0]
    assert (first.pid, first.camid, first.modality, first.frame, first.path.name) == (1, 1, "visible", 0, "0001.jpg")
    assert {record.modality for record in dataset.records if record.camid in (3, 6)} == {"infrared"}
    assert dataset.counts()["test"][3] == CameraCount(2, 4)
    trained = {dataset.records[row].pid for row in dataset.rows("train", "val")}
    assert trained == {2, 3, 5}


def test_an_unavailable_id_is_left_out(tmp_path: Path) -> None:
    (write_layout(tmp_path) / "exp" / "available_id.txt").write_text("1,2,3,5")
    dataset = read_sysu_mm01(tmp_path, None)
    assert {dataset.records[row].pid for row in dataset.rows("test")} == {1}


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (shutil.rmtree, r"There is no dataset folder .* set data\.root .* wuancong/SYSU-MM01"),
        (lambda root: shutil.rmtree(root / "cam4"), r"lacks cam4\. Ask the authors"),
        (lambda root: (root / "exp" / "val_id.txt").unlink(), r"val_id\.txt' is missing"),
        (lambda root: (root / "exp" / "val_id.txt").write_text("3,x"), r"comma-separated numbers"),
        (
            lambda root: (root / "exp" / "test_id.txt").write_text("1,2,7"),
            r"do not match: 2 stand in both train_id.txt and",
        ),
        (
            lambda root: [shutil.rmtree(root / f"cam{c}" / "0007") for c in CAMERAS],
            r"test_id\.txt lists 7, but no camera",
        ),
        (lambda root: [shutil.rmtree(root / f"cam{c}" / "0003") for c in (3, 6)], r"val split .* one modality only"),
    ],
)
def test_what_is_wrong_is_said_in_one_sentence(tmp_path: Path, damage, message: str) -> None:
    root = write_layout(tmp_path / "set")
    damage(root)
    with pytest.raises(DataError, match=message) as caught:
        read_sysu_mm01(root, None)
    assert "\n" not in str(caught.value)


def test_counts_are_verified_by_split_and_camera(tmp_path: Path) -> None:
    root = write_layout(tmp_path)
    counts = read_sysu_mm01(root, None).counts()
    assert read_sysu_mm01(root, counts).counts() == counts
    (root / "cam5" / "0002" / "0002.jpg").unlink()
    shutil.rmtree(root / "cam1" / "0007")
    with pytest.raises(DataError) as caught:
        read_sysu_mm01(root, counts)
    assert "train camera 5 holds 2 ids and 3 images where 2 and 4 belong" in str(caught.value)
    assert "test camera 1 holds 1 ids and 2 images where 2 and 4 belong" in str(caught.value)


def test_official_counts_sum_to_the_published_numbers() -> None:
    totals = {split: sum(c.images for c in cameras.values()) for split, cameras in SYSU_MM01_COUNTS.items()}
    assert totals == {"train": 30213, "val": 3954, "test": 10578}
    infrared = sum(
        SYSU_MM01_COUNTS[split][c].images for split in ("train", "val") for c in (3, 6) if c in SYSU_MM01_COUNTS[split]
    )
    assert (totals["train"] + totals["val"] - infrared, infrared) == (22258, 11909)


def test_a_complete_copy_of_the_real_layout_is_accepted(real_layout) -> None:
    dataset = read_sysu_mm01(real_layout("sysu_mm01"))
    trained = [dataset.records[row] for row in dataset.rows("train", "val")]
    assert len({record.pid for record in trained}) == 395
    modalities = Counter(record.modality for record in trained)
    assert modalities == {"visible": 22258, "infrared": 11909}
    assert len(dataset.rows("test")) == 10578
    assert dataset.counts() == SYSU_MM01_COUNTS


@pytest.mark.parametrize(
    ("missing", "message"),
    [
        ("cam6/0006/0001.jpg", r"test camera 6 holds 96 ids and 1919 images where 96 and 1920 belong\. Ask"),
        ("cam4/0334", r"val camera 4 holds 98 ids and 980 images where 99 and 990 belong\. Ask"),
        ("exp/available_id.txt", r"available_id\.txt' is missing"),
        ("cam3", r"lacks cam3\. Ask"),
    ],
)
def test_what_a_copy_of_the_real_layout_lacks_is_named(real_layout, tmp_path: Path, missing, message) -> None:
    with pytest.raises(DataError, match=message):
        read_sysu_mm01(without(real_layout("sysu_mm01"), missing, tmp_path / "copy"))
