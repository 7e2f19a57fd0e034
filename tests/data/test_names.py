"""What file names of folders of one's own mean: persons, cameras, junk, distractors, fixed queries."""

import unicodedata
from pathlib import Path

import numpy as np
import pytest

from crossreid.data.datasets import read_folder
from crossreid.data.doctor import names_read
from crossreid.errors import ConfigError, DataError
from crossreid.evaluation import Embeddings, RegDBProtocol, load_foreign
from crossreid.evaluation.building import Scored, build_protocols
from crossreid.settings.data import FolderConfig
from crossreid.settings.protocol import AllPairsProtocolConfig
from crossreid.training.scoring import as_embeddings
from layouts import write_images


def told(dataset, split="test"):
    """File name -> (identity, camera, modality, role)."""
    records = [dataset.records[row] for row in dataset.rows(split)]
    return {record.path.name: (record.pid, record.camid, record.modality, record.role) for record in records}


def skipped(dataset):
    return {part.reason: part.files for part in dataset.skipped}


@pytest.mark.parametrize(
    ("file", "person", "camera", "pattern"),
    [
        ("0002_c1s1_000451_03.jpg", 2, 1, "Market-1501"),
        ("0002_C6s4_000451_03.JPG", 2, 6, "Market-1501"),
        ("0001_c2_f0046182.jpg", 1, 2, "DukeMTMC-reID"),
        ("0000_000_01_0303morning_0008_0.jpg", 0, 1, "MSMT17"),
        ("0007_003_14_0302afternoon_1208_2_ex.png", 7, 14, "MSMT17"),
        ("0003C4T0002F016.jpg", 3, 4, "MARS"),
        ("12_c03_anything.webp", 12, 3, "<person>_c<camera>"),
    ],
)
@pytest.mark.parametrize("in_a_folder", [False, True])
def test_each_way_of_naming_gives_its_person_and_camera(tmp_path: Path, file, person, camera, pattern, in_a_folder):
    write_images(tmp_path, [f"{person:04d}/{file}" if in_a_folder else file])
    dataset = read_folder(tmp_path, modality="visible")
    assert told(dataset) == {file: (person, camera, "visible", "any")}
    (read,) = names_read(dataset)
    assert read.pattern.startswith(pattern)
    example = read.examples[0]
    assert (Path(example.file).name, example.pid, example.camera, read.images) == (file, person, camera, 1)


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (["1_c1s1_1.jpg", "0001C1T0001F001.jpg"], "named as in .*MARS.* and .* as in .*Market-1501.*two sets"),
        (["0001_000_01_0303noon_0008_0.jpg", "0001_c2_f0046182.jpg"], "as in .*MSMT17.*DukeMTMC"),
        (["a/c1_cam2_1.jpg"], "says camera 1 and camera 2"),
        (["1_c1s1_cam2.jpg"], "says camera 1 and camera 2"),
        (["a/c99999999999999999999_1.jpg"], "largest number of a camera is 9999"),
        (["0001C0T0001F001.jpg"], "camera 0: cameras count from 1"),
        (["0001_c1x.jpg"], "does not say whom it shows"),
        (["0001_000_01.jpg"], "does not say whom it shows"),
        (["test/visible/a/c1_1.jpg", "test/visible.jpg"], r"folders of modalities and an image \(visible\.jpg\)"),
    ],
)
def test_names_of_two_meanings_are_refused(tmp_path: Path, names, message):
    write_images(tmp_path, names)
    by_folder = "visible" in names[0]
    with pytest.raises(DataError, match=message) as caught:
        read_folder(tmp_path, modality=None if by_folder else "visible")
    assert "\n" not in str(caught.value)


def test_junk_is_not_read_and_distractors_are_in_galleries_only(tmp_path: Path):
    names = [
        "bounding_box_test/-1_c1s1_1.jpg",
        "bounding_box_test/0000_c1s1_1.jpg",
        "bounding_box_test/0000_c2s1_1.jpg",
    ]
    names += ["bounding_box_test/0002_c1s1_1.jpg", "query/0002_c2s1_1.jpg"]
    names += ["bounding_box_train/0003_c1s1_1.jpg", "bounding_box_train/0000_c1s1_2.jpg"]
    write_images(tmp_path, [*names, "gt_bbox/0002_c1s1_9.jpg"])
    dataset = read_folder(tmp_path, modality="visible")
    assert told(dataset, "train") == {"0003_c1s1_1.jpg": (3, 1, "visible", "any")}
    assert told(dataset) == {
        "0000_c1s1_1.jpg": (-1, 1, "visible", "distractor"),
        "0000_c2s1_1.jpg": (-2, 2, "visible", "distractor"),  # another nobody: they do not match each other
        "0002_c1s1_1.jpg": (2, 1, "visible", "gallery"),
        "0002_c2s1_1.jpg": (2, 2, "visible", "query"),
    }
    assert dataset.people("test") == {2}
    assert {camera: tuple(count) for camera, count in dataset.counts()["test"].items()} == {1: (1, 2), 2: (1, 2)}
    assert skipped(dataset) == {
        "junk (person -1)": 1,
        "distractor (0000), not trained on": 1,
        "folder beside those of the splits": 1,
    }
    assert "2 images (such as" in dataset.remarks()[0]
    assert "1 x junk (person -1) (such as" in dataset.remarks()[1]


@pytest.mark.parametrize(
    ("name", "role"),
    [
        ("0000/0000_c1s1_1.jpg", "distractor"),
        ("0000/0000C1T0001F001.jpg", "distractor"),
        ("0000C1T0001F001.jpg", "distractor"),
        ("0000_c1_f0000001.jpg", "distractor"),
        ("0000/0000_000_01_0303noon_0008_0.jpg", "any"),
        ("0000/c1_1.jpg", "any"),
        ("anna/0000_c1s1_1.jpg", "any"),
        ("0_c1s1_1.jpg", "any"),
    ],
)
def test_who_is_nobody(tmp_path: Path, name, role):
    write_images(tmp_path, [name])
    assert [entry[3] for entry in told(read_folder(tmp_path, modality="visible")).values()] == [role]


@pytest.mark.parametrize("name", ["-1/c1_1.jpg", "00-1/00-1C1T0001F001.jpg", "1/-1_c1s1_1.jpg"])
def test_junk_in_folders(tmp_path: Path, name):
    write_images(tmp_path, [name, "1/0001C1T0001F001.jpg" if "00-1" in name else "1/c1_2.jpg"])
    dataset = read_folder(tmp_path, modality="visible")
    assert len(dataset.records) == 1
    assert skipped(dataset)["junk (person -1)"] == 1


def scored(tmp_path: Path, config: AllPairsProtocolConfig):
    """Rank-1, probes and gallery of each pairing, with features in which the distractor is nearest to every probe."""
    dataset = read_folder(tmp_path, infrared_cameras=[2])
    protocols = build_protocols(config, Scored.of(FolderConfig(root=str(tmp_path)), None, dataset))
    rows = dataset.rows("test")
    roles = [dataset.records[row].role for row in rows]
    features = np.array(
        [[1.0, 0.1 * (role != "distractor") * (1 + row)] for row, role in zip(rows, roles, strict=True)]
    )
    embeddings = as_embeddings(dataset, rows, {"main": features})
    place = embeddings.save(tmp_path / "saved.npz")
    results = {}
    for held in (embeddings, Embeddings.load(place), load_foreign(place)):  # roles are kept on disk
        for protocol in protocols.test:
            result = protocol(held)
            entry = (result.n_probes, int(result.n_gallery[0]), result.labels.draw)
            assert results.setdefault(protocol.key, entry) == entry
    return results


def test_fixed_queries_are_kept_and_distractors_never_query(tmp_path: Path):
    names = ["query/0001_c2s1_1.jpg", "query/0002_c2s1_1.jpg", "gallery/0001_c1s1_1.jpg", "gallery/0002_c1s1_1.jpg"]
    names += ["gallery/0001_c2s1_5.jpg", "gallery/0000_c1s1_1.jpg", "gallery/0000_c2s1_1.jpg", "query/0001_c1s1_7.jpg"]
    write_images(tmp_path, names)
    across = ["ir2rgb", "rgb2ir"]
    fixed = {"all/fixed/ir2rgb": (2, 3, "fixed queries"), "all/fixed/rgb2ir": (1, 2, "fixed queries")}
    assert scored(tmp_path, AllPairsProtocolConfig(pairings=across)) == fixed
    assert scored(tmp_path, AllPairsProtocolConfig(pairings=across, queries="fixed")) == fixed
    assert scored(tmp_path, AllPairsProtocolConfig(pairings=across, queries="all")) == {
        "all/pairs/ir2rgb": (3, 4, "none"),
        "all/pairs/rgb2ir": (3, 4, "none"),
    }


def test_a_distractor_that_is_nearest_costs_the_rank(tmp_path: Path):
    write_images(tmp_path, ["0001_c2s1_1.jpg", "0001_c1s1_1.jpg", "0000_c1s1_1.jpg", "0000_c2s1_1.jpg"])
    dataset = read_folder(tmp_path, infrared_cameras=[2])
    rows = dataset.rows("test")
    names = [dataset.records[row].path.name for row in rows]
    direction = {
        "0001_c2s1_1.jpg": [1, 0],
        "0000_c1s1_1.jpg": [1, 0.1],
        "0001_c1s1_1.jpg": [1, 1],
        "0000_c2s1_1.jpg": [0, 1],
    }
    embeddings = as_embeddings(dataset, rows, {"main": np.array([direction[name] for name in names])})
    protocol = build_protocols(AllPairsProtocolConfig(pairings=["ir2rgb"]), Scored()).test[0]
    for scoring in (protocol, RegDBProtocol("thermal_to_visible", 1)):
        result = scoring(embeddings)
        assert (result.n_probes, float(result.rank(1)[0]), float(result.rank(2)[0])) == (1, 0.0, 1.0)
        assert result.mean_ap[0] == pytest.approx(0.5)


def test_fixed_queries_need_both_folders(tmp_path: Path):
    write_images(tmp_path, ["gallery/0001_c2s1_1.jpg", "gallery/0001_c1s1_1.jpg"])
    with pytest.raises(ConfigError, match=r"protocol\.queries=fixed needs .* folders query and gallery"):
        scored(tmp_path, AllPairsProtocolConfig(queries="fixed"))
    assert scored(tmp_path, AllPairsProtocolConfig(pairings=["ir2rgb"])) == {"all/pairs/ir2rgb": (1, 1, "none")}


@pytest.mark.parametrize(
    ("visible", "infrared", "cameras"),
    [
        ((1, 2), (1, 2), {1, 2, 101, 102}),
        ((1, 2), (2, 3), {1, 2, 102, 103}),
        ((1,), (2,), {1, 2}),
        ((120,), (120,), {120, 1120}),
    ],
)
def test_cameras_numbered_by_modality_are_different_cameras(tmp_path: Path, visible, infrared, cameras):
    names = [f"visible/a/c{camera}_1.jpg" for camera in visible] + [
        f"infrared/a/c{camera}_1.jpg" for camera in infrared
    ]
    write_images(tmp_path, names)
    dataset = read_folder(tmp_path)
    assert {record.camid for record in dataset.records} == cameras
    renumbered = len(cameras & {*visible, *infrared}) < len(cameras)
    assert [("taken as two cameras each" in note) for note in dataset.notes] == [True] * renumbered
    embeddings = as_embeddings(dataset, dataset.rows("test"), {"main": np.ones((len(dataset.records), 2))})
    protocol = build_protocols(AllPairsProtocolConfig(pairings=["ir2rgb"]), Scored()).test[0]
    assert protocol(embeddings).n_valid.tolist() == [len(infrared)]  # none loses its matches


def test_infrared_cameras_that_no_file_has_are_refused(tmp_path: Path):
    write_images(tmp_path, ["0001_c1s1_1.jpg", "0001_c6s1_1.jpg"])
    with pytest.raises(ConfigError, match=r"data\.infrared_cameras names 3, but the file names in .* the cameras 1, 6"):
        read_folder(tmp_path, infrared_cameras=[3, 6])
    for wrong in ([], [0], [6, 6], [10000]):
        with pytest.raises(ConfigError, match=r"data\.infrared_cameras"):
            FolderConfig(root="x", infrared_cameras=wrong).check()


def test_names_that_differ_in_unicode_form_are_one_person(tmp_path: Path):
    composed, decomposed = (unicodedata.normalize(form, "renée") for form in ("NFC", "NFD"))
    write_images(tmp_path / "one", [f"visible/{composed}/1.jpg", f"infrared/{decomposed}/1.jpg"])
    assert {record.pid for record in read_folder(tmp_path / "one").records} == {1}
    write_images(tmp_path / "two", [f"train/{composed}/1.jpg", f"test/{decomposed}/1.jpg"])
    with pytest.raises(DataError, match=r"is in the splits (train and test|test and train)"):
        read_folder(tmp_path / "two", modality="visible")


def test_people_of_twenty_digits_are_numbered_in_order(tmp_path: Path):
    write_images(
        tmp_path, [f"{person}/c1_1.jpg" for person in ("99999999999999999999", "7", "007", "12345678901234567890")]
    )
    dataset = read_folder(tmp_path, modality="visible")
    people = {record.path.parent.name: record.pid for record in dataset.records}
    assert people == {"7": 1, "007": 1, "12345678901234567890": 2, "99999999999999999999": 3}
    rows = dataset.rows("test")
    assert as_embeddings(dataset, rows, {"main": np.ones((len(rows), 1))}).pids.max() == 3


def test_images_of_other_endings_are_read_and_what_is_left_out_is_counted(tmp_path: Path):
    read = ["a.tif", "b.TIFF", "c.webp", "d.jp2", "e.bmp", "f.png", "g.jpeg"]
    left = ["h.gif", "i.gif", "notes.txt", "LICENSE", "._a.tif", "sub/x.jpg"]
    for name in read + left:
        path = tmp_path / "set" / "anna" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"")
    dataset = read_folder(tmp_path / "set", modality="visible")
    assert [record.path.name for record in dataset.records] == read
    assert skipped(dataset) == {
        "ending .gif not known": 2,
        "ending .txt not known": 1,
        "name without an ending": 1,
        "hidden file": 1,
        "folder among images": 1,
    }
