"""The LLCM reader, on small made layouts and on the real one's names and counts."""

import shutil
from pathlib import Path

import pytest

from crossreid.data.datasets import LLCM_COUNTS, CameraCount, read_llcm
from crossreid.errors import DataError
from layouts import without, write_images


def write_layout(root: Path) -> Path:
    names: dict[str, list[str]] = {"vis": [], "nir": []}
    for short, cameras in (("vis", (3, 5)), ("nir", (5, 6))):
        for pid in (10, 4):
            names[short] += [
                f"{short}/{pid:04d}/{pid:04d}_c{c:02d}_s1_f{f}_{short}.jpg" for c in cameras for f in (90, 100)
            ]
    tests = [
        f"test_{short}/cam{c}/{pid:04d}/{pid:04d}_c{c:02d}_s1_f{f}_{short}.jpg"
        for short, cameras in (("vis", (3, 5)), ("nir", (5, 6)))
        for c in cameras
        for pid in (2, 11, 77)  # 77 is in no list
        for f in (90, 100, 120)
    ]
    write_images(root, [*names["vis"], *names["nir"], *tests])
    (root / "idx").mkdir()
    for short, listed in names.items():
        (root / "idx" / f"train_{short}.txt").write_text("".join(f"{name} {i // 4}\n" for i, name in enumerate(listed)))
    (root / "idx" / "test_id.txt").write_text("0011,0002")
    return root


def edit(root: Path, name: str, old: str, new: str) -> None:
    path = root / "idx" / name
    assert old in path.read_text()
    path.write_text(path.read_text().replace(old, new))


def test_records_hold_cameras_modalities_and_frames_of_their_own(tmp_path: Path) -> None:
    dataset = read_llcm(write_layout(tmp_path), None)
    assert list(dataset.splits) == ["train", "test"]
    assert [record.row for record in dataset.records] == list(range(16 + 24))
    assert {record.pid for record in dataset.records} == {2, 4, 10, 11}
    found = [
        (r.modality, r.frame, r.path.name) for r in dataset.records if (r.camid, r.pid) == (5, 4)
    ]  # both modalities count from 0; names sort as text
    assert found == [
        ("visible", 0, "0004_c05_s1_f100_vis.jpg"),
        ("visible", 1, "0004_c05_s1_f90_vis.jpg"),
        ("infrared", 0, "0004_c05_s1_f100_nir.jpg"),
        ("infrared", 1, "0004_c05_s1_f90_nir.jpg"),
    ]
    assert {r.path.parts[-4] for r in dataset.records if r.pid in (2, 11)} == {"test_vis", "test_nir"}
    assert dataset.counts() == {
        "train visible": {3: CameraCount(2, 4), 5: CameraCount(2, 4)},
        "train infrared": {5: CameraCount(2, 4), 6: CameraCount(2, 4)},
        "test visible": {3: CameraCount(2, 6), 5: CameraCount(2, 6)},
        "test infrared": {5: CameraCount(2, 6), 6: CameraCount(2, 6)},
    }


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (shutil.rmtree, r"There is no dataset folder .* vis, nir, test_vis, test_nir, idx\. Ask .* ZYK100/LLCM"),
        (lambda root: shutil.rmtree(root / "test_nir"), r"lacks test_nir\. Ask"),
        (lambda root: (root / "idx" / "train_nir.txt").unlink(), r"train_nir\.txt' is missing; restore the idx"),
        (lambda root: (root / "idx" / "test_id.txt").unlink(), r"test_id\.txt' is missing; restore the idx"),
        (lambda root: (root / "idx" / "test_id.txt").write_text("2;11"), r"test_id\.txt' must hold comma-separated"),
        (
            lambda root: (root / "nir" / "0010" / "0010_c06_s1_f90_nir.jpg").unlink(),
            r"image '.*0010_c06_s1_f90_nir\.jpg' is missing, which 'train_nir\.txt' names",
        ),
        (
            lambda root: shutil.copy(root / "idx" / "train_vis.txt", root / "idx" / "train_nir.txt"),
            r"train_nir\.txt' names 'vis/0010/.* where 'nir/<person>/<person>_c<camera>_<image>' belongs",
        ),
        (
            lambda root: edit(root, "train_vis.txt", "_c03_", "_"),
            r"train_vis\.txt' names .* '.*_c<camera>_<image>' belongs",
        ),
        (
            lambda root: (root / "idx" / "test_id.txt").write_text("2,11,10"),
            r"do not match: 10 stand in test_id\.txt and in the training lists",
        ),
        (lambda root: (root / "idx" / "test_id.txt").write_text("2,11,12"), r"test_id\.txt lists 12, but neither"),
        (lambda root: (root / "test_vis" / "camera3").mkdir(), r"test_vis/camera3' should be a camera's folder"),
    ],
)
def test_what_is_wrong_is_said_in_one_sentence(tmp_path: Path, damage, message: str) -> None:
    root = write_layout(tmp_path / "set")
    damage(root)
    with pytest.raises(DataError, match=message) as caught:
        read_llcm(root, None)
    assert "\n" not in str(caught.value)


def test_a_complete_copy_of_the_real_layout_is_accepted(real_layout) -> None:
    dataset = read_llcm(real_layout("llcm"))
    assert dataset.counts() == LLCM_COUNTS
    for split, people, visible, infrared in (("train", 713, 16946, 13975), ("test", 351, 8680, 7166)):
        records = [dataset.records[row] for row in dataset.rows(split)]
        assert len({record.pid for record in records}) == people
        assert sum(record.modality == "visible" for record in records) == visible
        assert sum(record.modality == "infrared" for record in records) == infrared
    assert 3 not in {record.camid for record in dataset.records if record.modality == "infrared"}


def test_official_counts_sum_to_the_published_numbers() -> None:
    totals = {name: sum(camera.images for camera in cameras.values()) for name, cameras in LLCM_COUNTS.items()}
    assert totals == {"train visible": 16946, "train infrared": 13975, "test visible": 8680, "test infrared": 7166}
    sampled = [sum(camera.ids for camera in LLCM_COUNTS[f"test {m}"].values()) for m in ("visible", "infrared")]
    assert sampled == [484, 619]


@pytest.mark.parametrize(
    ("missing", "message"),
    [
        ("test_nir/cam6", r"test infrared camera 6 holds 0 ids and 0 images where 338 and 4276 belong\. Ask"),
        ("idx/train_vis.txt", r"train_vis\.txt' is missing"),
        ("vis/0250", r"vis/0250/.*' is missing, which 'train_vis\.txt' names"),
    ],
)
def test_what_a_copy_of_the_real_layout_lacks_is_named(real_layout, tmp_path: Path, missing, message) -> None:
    root = without(real_layout("llcm"), missing, tmp_path / "copy")
    with pytest.raises(DataError, match=message):
        read_llcm(root)


def test_a_near_infrared_camera_three_does_not_belong(real_layout, tmp_path: Path) -> None:
    root = without(real_layout("llcm"), "test_nir/nothing", tmp_path / "copy")
    (root / "test_nir" / "cam3").symlink_to(real_layout("llcm") / "test_nir" / "cam1")
    with pytest.raises(
        DataError, match="complete: test infrared camera 3 holds 4 ids and 19 images where 0 and 0 belong"
    ):
        read_llcm(root)
