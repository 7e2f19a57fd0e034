"""The reader of one's own folders: what the names mean, and what is said where they mean nothing."""

from pathlib import Path

import pytest

from crossreid.data.datasets import CameraCount, read_folder
from crossreid.errors import ConfigError, DataError
from layouts import write_images


def seen(dataset, split="test"):
    """(pid, camera, modality, frame, file) of a split's records."""
    records = [dataset.records[row] for row in dataset.rows(split)]
    return [(r.pid, r.camid, r.modality, r.frame, r.path.relative_to(dataset.root).as_posix()) for r in records]


def test_market_names_in_query_and_gallery_with_infrared_cameras(tmp_path: Path) -> None:
    names = ["train/0007_c1s1_000451_03.jpg", "train/0007_c6s1_000001_00.jpg", "query/0002_c3s1_000551_00.jpg"]
    names += ["gallery/0002_c1s1_000451_03.jpg", "gallery/0002_c3s2_000451_03.jpg", "gallery/-1_c1s1_000451_03.jpg"]
    write_images(tmp_path, [*names, "notes/0009_c1s1_000451_03.jpg"])  # beside split folders, others are not read
    (tmp_path / "gallery" / "Thumbs.db").touch()
    dataset = read_folder(tmp_path, infrared_cameras=[3, 6], name="mine")
    assert (dataset.name, list(dataset.splits)) == ("mine", ["train", "test"])
    assert seen(dataset, "train") == [
        (7, 1, "visible", 0, "train/0007_c1s1_000451_03.jpg"),
        (7, 6, "infrared", 0, "train/0007_c6s1_000001_00.jpg"),
    ]
    assert seen(dataset) == [
        (2, 1, "visible", 0, "gallery/0002_c1s1_000451_03.jpg"),
        (2, 3, "infrared", 0, "gallery/0002_c3s2_000451_03.jpg"),
        (2, 3, "infrared", 1, "query/0002_c3s1_000551_00.jpg"),
    ]
    assert [record.row for record in dataset.records] == list(range(5))


def test_a_flat_folder_of_one_modality_is_all_test(tmp_path: Path) -> None:
    write_images(tmp_path, ["0001_c1s1_1.jpg", "0001_c2s1_1.JPG", "0003_c2s1_1.png"])
    dataset = read_folder(tmp_path, modality="visible")
    assert list(dataset.splits) == ["test"]
    assert [(pid, camid, modality) for pid, camid, modality, *_ in seen(dataset)] == [
        (1, 1, "visible"),
        (1, 2, "visible"),
        (3, 2, "visible"),
    ]
    assert dataset.counts() == {"test": {1: CameraCount(1, 1), 2: CameraCount(2, 2)}}


def test_people_in_folders_of_splits_and_modalities(tmp_path: Path) -> None:
    names = [
        f"{split}/{modality}/{person}/c{camera}_{i}.jpg"
        for split, people in (("Train", ("zoe", "ben")), ("val", ("kim",)), ("test", ("anna",)))
        for modality, camera in (("RGB", 1), ("thermal", 1))
        for person in people
        for i in (1, 2)
    ]
    write_images(tmp_path, names)
    dataset = read_folder(tmp_path)
    assert list(dataset.splits) == ["train", "val", "test"]
    pids = {r.path.parent.name: r.pid for r in dataset.records}
    assert pids == {"anna": 1, "ben": 2, "kim": 3, "zoe": 4}  # places among all names
    assert [entry[:4] for entry in seen(dataset)] == [
        (1, 1, "visible", 0),
        (1, 1, "visible", 1),
        (1, 101, "infrared", 0),
        (1, 101, "infrared", 1),
    ]
    assert dataset.counts()["test"] == {1: CameraCount(1, 2), 101: CameraCount(1, 2)}  # one number, two cameras


def test_numbers_as_folder_names_are_the_identities(tmp_path: Path) -> None:
    write_images(tmp_path, ["0031/a.jpg", "0031/b.jpg", "7/x.jpg"])
    dataset = read_folder(tmp_path, modality="infrared")
    assert [entry[:4] for entry in seen(dataset)] == [
        (7, 2, "infrared", 0),
        (31, 2, "infrared", 0),
        (31, 2, "infrared", 1),
    ]


@pytest.mark.parametrize(
    ("file", "camera"),
    [("c2_0001.jpg", 2), ("anna_cam12_0001.jpg", 12), ("0002_c1s1_000451_03.jpg", 1), ("x_C4-7.png", 4), ("c3.jpg", 3)],
)
def test_cameras_in_file_names(tmp_path: Path, file, camera) -> None:
    write_images(tmp_path, [f"anna/{file}"])
    assert [entry[1] for entry in seen(read_folder(tmp_path, modality="visible"))] == [camera]


@pytest.mark.parametrize("file", ["music2_1.jpg", "cat7_1.jpg", "0001.jpg", "c12x_1.jpg"])
def test_names_without_a_camera_give_one_a_modality(tmp_path: Path, file) -> None:
    write_images(tmp_path, [f"visible/anna/{file}", f"infrared/anna/{file}"])
    assert [entry[:3] for entry in seen(read_folder(tmp_path))] == [(1, 1, "visible"), (1, 2, "infrared")]


@pytest.mark.parametrize(
    ("names", "arguments", "error", "message"),
    [
        (None, {}, DataError, "There is no image folder"),
        (["notes.txt"], {"modality": "visible"}, DataError, "There are no images in"),
        (
            ["a/c1_1.jpg", "b/cam1/1.jpg"],
            {"modality": "visible"},
            DataError,
            "b' should be a person's folder and holds no",
        ),
        (["test/a/c1_1.jpg"], {}, ConfigError, r"Nothing says whether '.*test/a/c1_1\.jpg' is visible or infrared"),
        (["test/a/c1_1.jpg"], {"modality": "grey"}, ConfigError, "visible or infrared, not 'grey'"),
        (["test/a/c1_1.jpg"], {"modality": "visible", "infrared_cameras": [3]}, ConfigError, "not both"),
        (["rgb/a/c1_1.jpg"], {"modality": "visible"}, ConfigError, r"said twice: by the folder of '.*c1_1\.jpg'"),
        (["rgb/a/c1_1.jpg"], {"infrared_cameras": [1]}, ConfigError, "said twice"),
        (["a/1.jpg"], {"infrared_cameras": [1]}, ConfigError, "no file name in .* has a camera"),
        (["a/c1_1.jpg", "a/2.jpg"], {"modality": "visible"}, DataError, r"a/2\.jpg' has no camera"),
        (["a/c0_1.jpg"], {"modality": "visible"}, DataError, "camera 0: cameras count from 1"),
        (["query/anna.jpg"], {"modality": "visible"}, DataError, r"anna\.jpg' does not say whom it shows"),
        (
            ["test/1_c1_1.jpg", "test/2/c1_1.jpg"],
            {"modality": "visible"},
            DataError,
            "holds both images .* and folders",
        ),
        (["test/rgb/a/c1_1.jpg", "test/b/c1_1.jpg"], {}, DataError, r"folders of modalities and others \(b\)"),
        (
            ["train/a/c1_1.jpg", "test/a/c2_1.jpg"],
            {"modality": "visible"},
            DataError,
            "Person 'a' is in the splits .* and .*know its people",
        ),
        (["train/1/c1_1.jpg", "test/001/c2_1.jpg"], {"modality": "visible"}, DataError, "Person '1' is in the splits"),
    ],
)
def test_what_is_wrong_is_said_in_one_sentence(tmp_path: Path, names, arguments, error, message) -> None:
    root = tmp_path / "set"
    if names is not None:
        write_images(root, [name for name in names if not name.endswith(".txt")])
        for name in names:
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            (root / name).touch()
    with pytest.raises(error, match=message) as caught:
        read_folder(root, **arguments)
    assert "\n" not in str(caught.value)


def test_the_digest_of_a_folder_is_that_of_its_list_wherever_it_lies(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = ["visible/anna/c1_0001.jpg", "visible/ben/c1_0001.jpg", "infrared/anna/c2_0001.jpg"]
    write_images(tmp_path / "one", names)
    write_images(tmp_path / "two", names)
    digest = read_folder(tmp_path / "one").digest
    assert read_folder(tmp_path / "two").digest == digest
    monkeypatch.chdir(tmp_path / "one")
    assert read_folder(Path()).digest == digest
    assert read_folder(Path("../two")).digest == digest
    assert read_folder(tmp_path / "one", divide=[0.5, 0.0, 0.5]).digest != digest
    (tmp_path / "two" / "visible" / "ben").rename(tmp_path / "two" / "visible" / "carl")
    assert read_folder(tmp_path / "two").digest != digest
