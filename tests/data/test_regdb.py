"""The RegDB reader, on small made layouts and on the real one's names and counts."""

import shutil
from pathlib import Path

import pytest

from crossreid.data.datasets import REGDB_COUNTS, CameraCount, read_regdb
from crossreid.errors import ConfigError, DataError
from layouts import without, write_images

PEOPLE = {1: ([12, 3], [7, 205]), 2: ([7, 3], [12, 205])}
"""Split -> people of train and of test."""


def write_layout(root: Path, *, images: int = 3) -> Path:
    names = {}
    for folder, letter in (("Visible", "v"), ("Thermal", "t")):
        for pid in (3, 7, 12, 205, 300):  # 300 is in no list
            frames = range(9 + pid, 9 + pid + images)
            names[folder, pid] = [f"{folder}/{pid}/man_{letter}_{frame:05d}_{pid}.bmp" for frame in frames]
    write_images(root, [name for group in names.values() for name in group])
    (root / "idx").mkdir()
    for split, parts in PEOPLE.items():
        for part, pids in zip(("train", "test"), parts, strict=True):
            for folder in ("Visible", "Thermal"):
                lines = [f"{name} {label}" for label, pid in enumerate(pids) for name in reversed(names[folder, pid])]
                path = root / "idx" / f"{part}_{folder.lower()}_{split}.txt"
                path.write_bytes("".join(f"{line}\r\n" for line in lines).encode())
    return root


def edit(root: Path, name: str, old: str, new: str) -> None:
    path = root / "idx" / name
    assert old in path.read_text()
    path.write_text(path.read_text().replace(old, new))


def test_records_are_sorted_and_their_pids_are_folders_not_labels(tmp_path: Path) -> None:
    dataset = read_regdb(write_layout(tmp_path), 1, None)
    assert list(dataset.splits) == ["train", "test"]
    assert [record.row for record in dataset.records] == list(range(2 * 4 * 3))
    assert [(r.camid, r.modality, r.pid, r.frame) for r in dataset.records] == [
        (camid, modality, pid, frame)
        for camid, modality in ((1, "visible"), (2, "infrared"))
        for pid in (3, 7, 12, 205)
        for frame in range(3)
    ]
    assert dataset.records[0].path == tmp_path / "Visible" / "3" / "man_v_00012_3.bmp"  # ascending, not as in the list
    for record in dataset.records:
        part, number = record.path.parts[-3], record.path.parts[-2]
        assert (part == "Visible", int(number)) == (record.modality == "visible", record.pid)
    assert dataset.counts() == {part: {1: CameraCount(2, 6), 2: CameraCount(2, 6)} for part in ("train", "test")}


def test_all_splits_have_the_same_records(tmp_path: Path) -> None:
    first, second = (read_regdb(write_layout(tmp_path / "set"), 1, None), read_regdb(tmp_path / "set", 2, None))
    assert first.records == second.records
    for split, dataset in ((1, first), (2, second)):
        for part, pids in zip(("train", "test"), PEOPLE[split], strict=True):
            assert {dataset.records[row].pid for row in dataset.rows(part)} == set(pids)
            assert (dataset.rows(part)[1:] > dataset.rows(part)[:-1]).all()


def test_a_split_is_1_to_10_and_its_lists_must_be_there(tmp_path: Path) -> None:
    write_layout(tmp_path)
    for split in (0, 11):
        with pytest.raises(ConfigError, match=f"splits 1 to 10, not {split}"):
            read_regdb(tmp_path, split, None)
    with pytest.raises(DataError, match=r"train_visible_3\.txt' is missing"):
        read_regdb(tmp_path, 3, None)
    with pytest.raises(DataError, match=r"train_visible_3\.txt' is missing"):  # a complete copy has all ten
        read_regdb(tmp_path, 1)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (shutil.rmtree, r"There is no dataset folder .* Visible, Thermal, idx\. Ask the authors of RegDB"),
        (lambda root: shutil.rmtree(root / "Thermal"), r"lacks Thermal\. Ask"),
        (
            lambda root: (root / "idx" / "test_thermal_2.txt").unlink(),
            r"test_thermal_2\.txt' is missing; restore the idx",
        ),
        (
            lambda root: (root / "Visible" / "3" / "man_v_00012_3.bmp").unlink(),
            r"image '.*Visible/3/man_v_00012_3\.bmp' is missing, which 'train_visible_1\.txt' names",
        ),
        (
            lambda root: edit(root, "train_visible_1.txt", "Visible/3/man_v_00012_3", "Thermal/3/man_t_00012_3"),
            r"train_visible_1\.txt' names 'Thermal/3/man_t_00012_3\.bmp' where 'Visible/<person>/<image>' belongs",
        ),
        (
            lambda root: edit(root, "test_visible_2.txt", "Visible/12/", "Visible/twelve/"),
            r"names 'Visible/twelve/.* where 'Visible/<person>/<image>' belongs",
        ),
        (
            lambda root: [
                shutil.copy(root / "idx" / f"train_{m}_1.txt", root / "idx" / f"test_{m}_1.txt")
                for m in ("visible", "thermal")
            ],
            r"train_visible_1\.txt' and 'test_visible_1\.txt' share identities \(3, 12\)",
        ),
        (
            lambda root: shutil.copy(root / "idx" / "train_thermal_1.txt", root / "idx" / "train_thermal_2.txt"),
            r"train_visible_2\.txt' and 'train_thermal_2\.txt' name different identities \(7, 12 stand",
        ),
        (
            lambda root: edit(root, "train_visible_2.txt", "man_v_00012_3", "man_v_00013_3"),
            r"train_visible_2\.txt' names 'Visible/3/man_v_00013_3\.bmp' twice",
        ),
        (
            lambda root: edit(root, "train_visible_2.txt", "man_v_00012_3.bmp 1", "man_v_00012_3.bmp"),
            r"Line 6 of '.*train_visible_2\.txt' is 'Visible/3/man_v_00012_3\.bmp' where 'path label' belongs",
        ),
        (lambda root: (root / "idx" / "test_visible_1.txt").write_text("\n"), r"test_visible_1\.txt' names no image"),
    ],
)
def test_what_is_wrong_is_said_in_one_sentence(tmp_path: Path, damage, message: str) -> None:
    root = write_layout(tmp_path / "set")
    damage(root)
    with pytest.raises(DataError, match=message) as caught:
        read_regdb(root, 1, None)
    assert "\n" not in str(caught.value)


@pytest.mark.slow
def test_every_split_of_the_real_layout_is_complete(real_layout) -> None:
    root = real_layout("regdb")
    first = read_regdb(root, 1)
    assert len({record.pid for record in first.records}) == 412
    assert [sum(r.camid == camid for r in first.records) for camid in (1, 2)] == [4120, 4120]
    tested = []
    for split in range(1, 11):
        dataset = read_regdb(root, split)
        assert dataset.records == first.records
        assert dataset.counts() == REGDB_COUNTS
        people = {part: {dataset.records[row].pid for row in dataset.rows(part)} for part in ("train", "test")}
        assert not people["train"] & people["test"]
        tested.append(frozenset(people["test"]))
    assert len(set(tested)) == 10


@pytest.mark.parametrize(
    ("missing", "message"),
    [
        ("Thermal/7", r"image '.*Thermal/7/.*\.bmp' is missing, which '(train|test)_thermal_1\.txt' names"),
        ("idx/train_visible_10.txt", r"train_visible_10\.txt' is missing"),
        ("idx", r"lacks idx\. Ask"),
    ],
)
def test_what_a_copy_of_the_real_layout_lacks_is_named(real_layout, tmp_path: Path, missing, message) -> None:
    with pytest.raises(DataError, match=message):
        read_regdb(without(real_layout("regdb"), missing, tmp_path / "copy"))


def test_lists_that_were_shortened_are_named_by_split_and_camera(real_layout, tmp_path: Path) -> None:
    root = without(real_layout("regdb"), "idx/test_thermal_4.txt", tmp_path / "copy")
    lines = (real_layout("regdb") / "idx" / "test_thermal_4.txt").read_text().splitlines()
    (root / "idx" / "test_thermal_4.txt").write_text("\n".join(lines[:-1]))
    message = "complete: split 4 test camera 2 holds 206 ids and 2059 images where 206 and 2060 belong. Ask"
    with pytest.raises(DataError, match=message):
        read_regdb(root, 1)
    assert read_regdb(root, 1, None).counts() == REGDB_COUNTS  # found without being verified
    assert read_regdb(root, 4, None).counts()["test"][2] == CameraCount(206, 2059)


def test_splits_that_divide_different_images_are_named(real_layout, tmp_path: Path) -> None:
    real = real_layout("regdb")
    lines = (real / "idx" / "test_thermal_4.txt").read_text().splitlines()
    name, label = lines[-1].split()
    other = f"{name.removesuffix('.bmp')}_b.bmp"
    root = without(real, "idx/test_thermal_4.txt", tmp_path / "copy")
    (root / "idx" / "test_thermal_4.txt").write_text("\n".join([*lines[:-1], f"{other} {label}"]))
    (root / "Thermal").unlink()
    without(real / "Thermal", f"{name.split('/')[1]}/nothing", root / "Thermal")
    (root / other).symlink_to(real / name)
    with pytest.raises(
        DataError, match="ten splits name 8241 different images where all of them should divide the same 8240"
    ):
        read_regdb(root)
