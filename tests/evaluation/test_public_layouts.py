"""Embeddings in the files and layouts of other codes give the same images, and what is something else is one sentence."""

import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.io
import scipy.sparse

from crossreid import score
from crossreid.errors import ConfigError, DataError
from crossreid.evaluation import load_foreign
from crossreid.evaluation.foreign import Reading, read_persons
from crossreid.evaluation.matlab import read_matlab
from foreign_files import as_cells, write_cameras, write_listed, write_matlab_73

NAMES = ("pids", "camids", "frames")


def world(seed: int = 0) -> dict[str, np.ndarray]:
    """Three persons in the six cameras of SYSU-MM01, one to three images each, in the order of persons."""
    rng = np.random.default_rng(seed)
    images = []
    for pid in (2, 3, 7):
        for camera in range(1, 7):
            if rng.random() < 0.8:
                images += [(pid, camera, frame) for frame in range(int(rng.integers(1, 4)))]
    pids, camids, frames = np.array(images).T
    features = rng.standard_normal((len(pids), 4)).astype(np.float32)
    return {"features": features, "pids": pids, "camids": camids, "frames": frames}


def by_image(embeddings) -> dict[tuple[int, ...], list[float]]:
    """(pid, camera, infrared, frame) -> feature, whatever the order of rows."""
    found = {}
    for row in range(len(embeddings)):
        key = (embeddings.pids[row], embeddings.camids[row], embeddings.infrared[row], embeddings.frames[row])
        found[tuple(map(int, key))] = embeddings.features["main"][row].tolist()
    return found


def expected(data) -> dict[tuple[int, ...], list[float]]:
    found = {}
    for row, camera in enumerate(data["camids"].tolist()):
        key = (int(data["pids"][row]), camera, int(camera in (3, 6)), int(data["frames"][row]))
        found[key] = data["features"][row].tolist()
    return found


Data = dict[str, np.ndarray]


def as_matlab_5(folder: Path, data: Data) -> Path:
    scipy.io.savemat(folder / "theirs.mat", data)
    return folder / "theirs.mat"


def as_compressed_matlab_5(folder: Path, data: Data) -> Path:
    scipy.io.savemat(folder / "theirs.mat", data, do_compression=True)
    return folder / "theirs.mat"


def as_listed_paths(folder: Path, data: Data) -> Path:
    np.save(folder / "theirs.npy", data["features"])
    paths = [f"/sysu/cam{c}/{p:04}/{f + 1:04}.jpg" for p, c, f in zip(*(data[n] for n in NAMES), strict=True)]
    (folder / "theirs.txt").write_text("\n".join(paths))
    return folder / "theirs.npy"


def as_listed_halves(folder: Path, data: Data) -> Path:
    (folder / "theirs").mkdir()
    for name, infrared in (("query", True), ("gallery", False)):
        rows = np.isin(data["camids"], (3, 6)) == infrared
        write_listed(folder / "theirs" / f"{name}.npy", {key: value[rows] for key, value in data.items()})
    return folder / "theirs"


def as_query_and_gallery(folder: Path, data: Data) -> Path:
    path = folder / "theirs.npz"
    arrays = {}
    is_probe = np.isin(data["camids"], (3, 6))
    for side, rows in (("query", is_probe), ("gall", ~is_probe)):
        arrays |= {f"{side}_feat": data["features"][rows], f"{side}_label": data["pids"][rows]}
        arrays[f"{side}_cam"] = data["camids"][rows]
    np.savez(path, **arrays)
    return path


FORMS = {
    "mat 5": as_matlab_5,
    "mat 5, compressed": as_compressed_matlab_5,
    "mat 7.3": lambda folder, data: write_matlab_73(folder / "theirs.mat", data),
    "cameras": lambda folder, data: write_cameras(folder / "theirs", data),
    "cameras 7.3": lambda folder, data: write_cameras(folder / "theirs", data, version_73=True),
    "npy and csv": lambda folder, data: write_listed(folder / "theirs.npy", data),
    "npy and txt": as_listed_paths,
    "folder of npy": as_listed_halves,
    "query and gallery": as_query_and_gallery,
}


@pytest.mark.parametrize("kind", list(FORMS))
def test_every_form_gives_the_same_images(kind: str, tmp_path: Path) -> None:
    if "7.3" in kind:
        pytest.importorskip("h5py")
    data = world()
    assert by_image(load_foreign(FORMS[kind](tmp_path, data))) == expected(data)


def test_columns_of_parquet_are_read_ours_and_others(tmp_path: Path) -> None:
    pa = pytest.importorskip("pyarrow")
    import pyarrow.parquet as pq

    data = world()
    lists = pa.array(data["features"].tolist(), pa.list_(pa.float32()))
    others = {"features": lists, **{name: data[name] for name in NAMES}, "remark": ["x"] * len(lists)}
    pq.write_table(pa.table(others), tmp_path / "theirs.parquet")
    assert by_image(load_foreign(tmp_path / "theirs.parquet")) == expected(data)

    from crossreid.extraction.storage import save_extracted

    np.savez(tmp_path / "ours.npz", **data)
    ours = load_foreign(tmp_path / "ours.npz")
    save_extracted(ours, tmp_path / "ours.parquet")
    assert by_image(load_foreign(tmp_path / "ours.parquet")) == expected(data)


def test_lists_of_regdb_and_llcm_say_whom_they_show(tmp_path: Path) -> None:
    features = np.arange(8.0).reshape(4, 2)
    np.save(tmp_path / "a.npy", features)
    (tmp_path / "a.txt").write_text(
        "Visible/285/b_v.bmp 0\r\nVisible/285/a_v.bmp 0\r\nThermal/285/a_t.bmp 0\r\nThermal/9/x_t.bmp 1\r\n"
    )
    regdb = load_foreign(tmp_path / "a.npy")
    assert (regdb.pids.tolist(), regdb.camids.tolist()) == ([285, 285, 285, 9], [1, 1, 2, 2])
    assert regdb.infrared.tolist() == [False, False, True, True]
    assert regdb.frames.tolist() == [1, 0, 0, 0]  # by ascending name, whatever the order of the list
    np.testing.assert_array_equal(regdb.features["main"], features)
    (tmp_path / "a.txt").write_text(
        "\n".join(f"D:\\LLCM\\test_{m}\\cam{c}\\{p:04}\\x.jpg" for m, c, p in [("vis", 3, 7), ("nir", 9, 7)] * 2)
    )
    with pytest.raises(DataError, match="twice"):
        load_foreign(tmp_path / "a.npy")
    (tmp_path / "a.txt").write_text(
        "\n".join(
            f"test_{m}/cam{c}/{p:04}/x.jpg" for m, c, p in [("vis", 3, 7), ("nir", 9, 7), ("nir", 3, 7), ("vis", 1, 8)]
        )
    )
    llcm = load_foreign(tmp_path / "a.npy")
    assert (llcm.camids.tolist(), llcm.infrared.tolist()) == ([3, 9, 3, 1], [False, True, True, False])


@pytest.mark.parametrize(
    ("queries", "gallery"), [([1, 1], [2, 2]), ([3, 6], [3, 6]), ([3, 3], [1, 9]), ([7, 8], [9, 9])]
)
def test_cameras_of_other_sets_do_not_tell_infrared_images(
    queries: list[int], gallery: list[int], tmp_path: Path
) -> None:
    path = tmp_path / "llcm.npz"
    sides = {"query_f": np.eye(2), "query_label": [4, 5], "gallery_f": np.eye(2), "gallery_label": [5, 4]}
    np.savez(path, **sides, query_cam=queries, gallery_cam=gallery)
    with pytest.raises(ConfigError, match="set query_modality to visible or infrared"):
        load_foreign(path)
    embeddings = load_foreign(path, Reading(query_modality="infrared"))
    assert embeddings.infrared.tolist() == [True, True, False, False]
    np.savez(path, **sides, query_cam=[3, 6], gallery_cam=[1, 4])  # SYSU-MM01's
    assert load_foreign(path).infrared.tolist() == [True, True, False, False]


@pytest.mark.parametrize(
    "protocol", [{"protocol": "llcm"}, {"protocol": "all_pairs"}, {"protocol": "regdb", "split": 1}]
)
@pytest.mark.parametrize("kind", ["mat 5", "cameras", "query and gallery"])
def test_cameras_of_sysu_tell_infrared_images_in_its_own_protocol_alone(
    kind: str, protocol: dict[str, Any], tmp_path: Path
) -> None:
    theirs = load_foreign(FORMS[kind](tmp_path, world()))
    assert score(theirs, "sysu_mm01", draw="seeded", trials=1).rows
    with pytest.raises(DataError, match="nothing says which images are infrared: give an array 'infrared'"):
        score(theirs, **protocol)
    with pytest.raises(DataError, match="nothing says which images are infrared"):
        score(theirs.select(slice(None)), **protocol)  # a part of them knows it too
    theirs.save(tmp_path / "saved.npz")
    with pytest.raises(DataError, match="nothing says which images are infrared"):
        score(tmp_path / "saved.npz", **protocol)  # and what was saved
    assert score(tmp_path / "saved.npz", "sysu_mm01", draw="seeded", trials=1).rows


def test_images_said_to_be_of_the_other_modality_are_not_scored_by_cameras(tmp_path: Path) -> None:
    path = as_query_and_gallery(tmp_path, world())
    turned = load_foreign(path, Reading(query_modality="visible"))
    expected = (
        r"images are said to be visible, one of them of camera (3|6), which is infrared in SYSU-MM01: mend 'infrared'"
    )
    with pytest.raises(DataError, match=expected):
        score(turned, "sysu_mm01", draw="seeded", trials=1)
    some = Reading(query_modality="visible", persons=[2, 7])
    with pytest.raises(DataError, match="images are said to be visible"):
        score(load_foreign(path, some), "sysu_mm01", draw="seeded", trials=1)
    said = score(load_foreign(path, Reading(query_modality="infrared")), "sysu_mm01", draw="seeded", trials=1)
    assert said.rows


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"query_feat": np.float32(1)}, r"of the query in .* do not fit each other \(features \(\)"),
        ({"query_cam": np.array([3.0, np.nan])}, "The cameras of the query in .* should be whole numbers"),
        ({"query_cam": np.array(["3", "6"])}, "The cameras of the query in .* should be whole numbers"),
        ({"gall_label": np.array([1.5, 2.0])}, "The labels of the gall in .* should be whole numbers"),
        (
            {"query_feat": np.ones((0, 4)), "query_label": np.ones(0), "query_cam": np.ones(0)},
            "The query in .* has no images",
        ),
        ({"query_label": np.ones((2, 1))}, "of the query in .* do not fit each other"),
        ({"gall_feat": np.ones((2, 5))}, r"should be \(N, D\) with one D"),
    ],
)
def test_queries_and_gallery_of_something_else_are_one_sentence(
    changed: dict[str, Any], message: str, tmp_path: Path
) -> None:
    sides: dict[str, Any] = {}
    for side, camids in (("query", [3, 6]), ("gall", [1, 2])):
        sides |= {f"{side}_feat": np.eye(2, 4), f"{side}_label": np.arange(2), f"{side}_cam": np.array(camids)}
    np.savez(tmp_path / "whole.npz", **sides)
    assert len(load_foreign(tmp_path / "whole.npz")) == 4
    np.savez(tmp_path / "theirs.npz", **(sides | changed))
    with pytest.raises(DataError, match=message):
        load_foreign(tmp_path / "theirs.npz")


def test_a_camera_without_a_file_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = write_cameras(tmp_path / "cameras", world())
    load_foreign(folder)
    assert "has no file" not in capsys.readouterr().out
    next(folder.glob("*cam2.mat")).unlink()
    assert 2 not in load_foreign(folder).camids
    assert "has no file of camera 2: nothing of it is scored" in capsys.readouterr().out


def test_queries_without_cameras_need_to_be_told_apart(tmp_path: Path) -> None:
    path = tmp_path / "regdb.npz"
    arrays = {"query_f": np.eye(3), "query_label": [4, 4, 5], "gallery_f": np.eye(3), "gallery_label": [5, 4, 5]}
    np.savez(path, **arrays)
    with pytest.raises(ConfigError, match="set query_modality to visible or infrared"):
        load_foreign(path)
    embeddings = load_foreign(path, Reading(query_modality="visible"))
    assert embeddings.infrared.tolist() == [False] * 3 + [True] * 3
    assert embeddings.frames.tolist() == [0, 1, 0, 0, 0, 1]
    assert embeddings.roles.tolist() == [1, 1, 1, 2, 2, 2]
    with pytest.raises(ConfigError, match="query_modality is of files with queries and gallery"):
        load_foreign(write_listed(tmp_path / "theirs.npy", world()), Reading(query_modality="visible"))


@pytest.mark.parametrize("name", ["test_id.txt", "test_id.mat"])
def test_only_listed_persons_are_taken(name: str, tmp_path: Path) -> None:
    path = tmp_path / name
    if path.suffix == ".mat":
        scipy.io.savemat(path, {"id": np.array([[2.0, 7.0]])})
    else:
        path.write_text("2,7\n")
    persons = read_persons(path)
    assert persons == {2, 7}
    embeddings = load_foreign(write_cameras(tmp_path / "theirs", world()), Reading(persons=persons))
    assert set(embeddings.pids.tolist()) == {2, 7}
    with pytest.raises(DataError, match="no image of the persons 8, which test_ids lists"):
        load_foreign(tmp_path / "theirs", Reading(persons={2, 8}))


def test_a_slip_of_the_pen_is_not_left_out_silently(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", **world(), infrard=np.zeros(1))
    with pytest.raises(DataError, match=r"an array 'infrard', which is none of .*; is infrared meant"):
        load_foreign(tmp_path / "a.npz")


def test_objects_are_never_unpickled(tmp_path: Path) -> None:
    class Bomb:
        def __reduce__(self):
            return (Path(tmp_path / "gone off").touch, ())

    data = world()
    write_listed(tmp_path / "a.npy", data)
    np.save(tmp_path / "a.npy", np.array([Bomb()] * len(data["pids"])), allow_pickle=True)
    np.savez(tmp_path / "b.npz", **{**data, "pids": np.array([Bomb()])})
    for name in ("a.npy", "b.npz"):
        with pytest.raises(DataError, match="holds Python objects"):
            load_foreign(tmp_path / name)
    assert not (tmp_path / "gone off").exists()


def bad_lists() -> dict[str, tuple[str, str]]:
    """Name of a list -> its text, and what is said."""
    return {
        "rows.csv": ("pids,camids,frames\n1,2,0\n", "names 1 images"),
        "words.csv": ("pids,camids,frames\n1,2,x\n1,2,1\n", "column frames .* holds 'x', which is no whole number"),
        "ragged.csv": ("pids,camids,frames\n1,2\n1,2,1\n", "other lengths than its headings"),
        "twice.csv": ("pids,pid,camids,frames\n1,1,2,0\n1,1,2,1\n", "a heading twice"),
        "none.csv": ("pids,camids,frames\n", "names no image"),
        "camera.csv": ("pids,frames\n1,0\n1,1\n", "has no array 'camids'"),
        "paths.txt": ("cam1/0001/0001.jpg\nsomewhere/1.jpg\n", "which no layout has"),
        "both.txt": ("cam1/0001/0001.jpg\nVisible/1/1.bmp\n", "different datasets .RegDB and SYSU-MM01"),
    }


@pytest.mark.parametrize("name", list(bad_lists()))
def test_lists_that_do_not_fit_are_named(name: str, tmp_path: Path) -> None:
    text, message = bad_lists()[name]
    (tmp_path / name).write_text(text)
    features = (tmp_path / name).with_suffix(".npy")
    np.save(features, np.eye(2))
    with pytest.raises(DataError, match=message):
        load_foreign(features)


def test_two_lists_or_two_sets_are_not_guessed_between(tmp_path: Path) -> None:
    write_listed(tmp_path / "a.npy", world())
    (tmp_path / "a.txt").write_text("cam1/0001/0001.jpg\n")
    with pytest.raises(DataError, match="Two files say which images"):
        load_foreign(tmp_path / "a.npy")
    folder = write_cameras(tmp_path / "cameras", world())
    (folder / "other_cam1.mat").write_bytes(b"")
    with pytest.raises(DataError, match="holds the features of other, theirs"):
        load_foreign(folder)
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match=r"holds neither NAME_cam1\.mat"):
        load_foreign(tmp_path / "empty")
    with pytest.raises(DataError, match=r"name should end in \.npz, \.npy, \.parquet, \.mat"):
        load_foreign(tmp_path / "features.pkl")


def hostile_matlab(folder: Path) -> dict[str, tuple[Path, str]]:
    """Files of something else than numbers, or that are damaged -> what is said."""
    cases: dict[str, tuple[Path, str]] = {}

    def add(name: str, content: object, message: str) -> None:
        path = folder / f"{name}.mat"
        if isinstance(content, bytes):
            path.write_bytes(content)
        else:
            scipy.io.savemat(path, content)
        cases[name] = (path, message)

    add("text", {"pids": "abc"}, "of MATLAB's class char, not of numbers")
    add("struct", {"pids": {"a": 1.0}}, "of MATLAB's class struct")
    add("complex", {"features": np.eye(2) * 1j}, "something else than matrices of real numbers")
    add("cube", {"features": np.ones((2, 2, 2))}, "something else than matrices of real numbers")
    add("words", {"feature": as_cells([np.array("abc")])}, "of MATLAB's class char, not of numbers")
    add("deep", {"feature": as_cells([as_cells([as_cells([np.eye(2)])])])}, "has cells in cells in cells")
    add("no", b"hello", "cannot be read as a MATLAB file")
    add("empty", b"", "cannot be read as a MATLAB file")
    scipy.io.savemat(folder / "four.mat", {"features": np.eye(2)}, format="4")
    cases["four"] = (folder / "four.mat", "save it with -v7 or -v7.3")
    add("sparse", {"features": scipy.sparse.eye_array(3)}, "of MATLAB's class sparse")
    whole = folder / "whole.mat"
    scipy.io.savemat(whole, {"features": np.random.default_rng(0).random((50, 50))}, do_compression=True)
    add("cut", whole.read_bytes()[:-2000], "cannot be read as a MATLAB file")
    add("cell", {"pids": as_cells([np.eye(2)])}, "is a cell array: .* name the folder")
    packed = zlib.compress(bytes(4 * 2**20))  # of nothing, in 4 kB
    bomb = whole.read_bytes()[:128] + struct.pack("<2I", 15, len(packed)) + packed
    add("bomb", bomb, "would unpack to far more than it has")
    return cases


@pytest.mark.parametrize(
    "name",
    [
        "text",
        "struct",
        "complex",
        "cube",
        "words",
        "deep",
        "no",
        "empty",
        "cut",
        "cell",
        "bomb",
        "missing",
        "four",
        "sparse",
    ],
)
def test_matlab_files_of_something_else_are_one_sentence(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("crossreid.untrusted._FREE_BYTES", 2**20)
    cases = hostile_matlab(tmp_path)
    path, message = cases.get(name, (tmp_path / "missing.mat", "There is no MATLAB file"))
    with pytest.raises(DataError, match=message) as caught:
        load_foreign(path)
    assert "\n" not in str(caught.value)


def test_hdf5_files_are_not_followed_out_of_themselves(tmp_path: Path) -> None:
    h5py = pytest.importorskip("h5py")

    def made(change) -> Path:
        path = write_matlab_73(tmp_path / "a.mat", {"features": np.eye(3)})
        with h5py.File(path, "r+") as file:
            change(file)
        return path

    def marked(dataset, kind: str = "double"):
        dataset.attrs["MATLAB_class"] = np.bytes_(kind)

    def add_link(file) -> None:
        file["pids"] = h5py.ExternalLink("/etc/hostname", "/x")

    def add_soft_link(file) -> None:
        file["pids"] = h5py.SoftLink("/features")

    def add_huge(file) -> None:  # nothing of it is stored
        marked(file.create_dataset("pids", shape=(2**20, 2**20), chunks=(1024, 1024), dtype="f8"))

    def add_external(file) -> None:
        marked(file.create_dataset("pids", shape=(1, 8), dtype="u1", external=[("/etc/hostname", 0, 8)]), "uint8")

    def add_virtual(file) -> None:
        layout = h5py.VirtualLayout(shape=(3, 3), dtype="f8")
        layout[:] = h5py.VirtualSource("other.mat", "features", shape=(3, 3))
        marked(file.create_virtual_dataset("pids", layout))

    def add_text(file) -> None:
        marked(file.create_dataset("pids", data=np.array([[72, 105]], np.uint16)), "char")

    def add_group(file) -> None:
        marked(file.create_group("pids"), "struct")

    def add_unmarked(file) -> None:
        file.create_dataset("pids", data=np.eye(2))

    cases = {
        add_link: "is a link to somewhere else",
        add_soft_link: "is a link to somewhere else",
        add_huge: "would unpack to far more",
        add_external: "does not lie in this file",
        add_virtual: "does not lie in this file",
        add_text: "of MATLAB's class char",
        add_group: "of MATLAB's class struct",
        add_unmarked: "of MATLAB's class unknown",
    }
    for change, message in cases.items():
        with pytest.raises(DataError, match=message):
            read_matlab(made(change))


def test_a_file_of_version_73_says_which_package_reads_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("h5py")
    path = write_matlab_73(tmp_path / "a.mat", {"features": np.eye(3)})
    monkeypatch.setitem(__import__("sys").modules, "h5py", None)
    with pytest.raises(
        ConfigError, match=r"needs the package h5py: pip install 'crossreid\[matlab\]', or save it with -v7"
    ):
        load_foreign(path)


def test_numbers_of_matlab_are_those_that_were_written(tmp_path: Path) -> None:
    pytest.importorskip("h5py")
    written = {
        "double": np.arange(6.0).reshape(2, 3),
        "single": np.float32([[1.5], [2.5]]),
        "bytes": np.array([[1, 2, 255]], np.uint8),
        "flags": np.array([[True, False]]),
        "empty": np.zeros((0, 4)),
        "cells": [np.eye(2), np.zeros((0, 2)), np.float32([[3]])],
    }
    scipy.io.savemat(tmp_path / "v5.mat", {**written, "cells": as_cells(written["cells"])})
    for path in (tmp_path / "v5.mat", write_matlab_73(tmp_path / "v73.mat", written)):
        read = read_matlab(path)
        assert read.keys() == written.keys()
        for name, value in written.items():
            if name != "cells":
                np.testing.assert_array_equal(read[name], value)
                assert read[name].shape == value.shape
        assert len(read["cells"]) == 3
        for part, value in zip(read["cells"], written["cells"], strict=True):
            np.testing.assert_array_equal(part, value)


def test_features_of_one_drawn_gallery_are_not_scored_as_all_of_it(tmp_path: Path) -> None:
    import crossreid

    data = world()
    _, first = np.unique(np.stack([data["pids"], data["camids"]], axis=1), axis=0, return_index=True)
    visible = np.isin(data["camids"], (1, 2, 4, 5))
    drawn = np.zeros(len(visible), bool)
    drawn[first] = True
    for taken, message in ((visible & drawn, "has one image of each person in each camera"), (visible, None)):
        np.savez(
            tmp_path / "agw.npz",
            query_feat=data["features"][~visible],
            query_label=data["pids"][~visible],
            query_cam=data["camids"][~visible],
            gall_feat=data["features"][taken],
            gall_label=data["pids"][taken],
            gall_cam=data["camids"][taken],
        )
        settings = {"draw": "seeded", "trials": 2, "modes": ["all"], "shots": [1], "pairs": False}
        if message is None:
            assert crossreid.score(tmp_path / "agw.npz", "sysu_mm01", **settings).headline > 0
            continue
        with pytest.raises(DataError, match=message):
            crossreid.score(tmp_path / "agw.npz", "sysu_mm01", **settings)


def test_version_5_is_read_as_scipy_reads_it(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    kinds = ["f8", "f4", *(f"{sign}{size}" for sign in "iu" for size in (1, 2, 4, 8))]
    written = {}
    for number, kind in enumerate(kinds):
        shape = tuple(rng.integers(0, 5, size=2))
        written[f"v{number}"] = rng.integers(0, 100, size=shape).astype(kind)
    written["cells"] = as_cells([rng.random((n, 3)) for n in range(4)])
    for packed in (False, True):
        scipy.io.savemat(tmp_path / "a.mat", written, do_compression=packed)
        theirs = scipy.io.loadmat(tmp_path / "a.mat")
        ours = read_matlab(tmp_path / "a.mat")
        assert ours.keys() == written.keys()
        for name, value in ours.items():
            if name == "cells":
                for part, other in zip(value, theirs[name][0], strict=True):
                    np.testing.assert_array_equal(part, other)
                continue
            np.testing.assert_array_equal(value, theirs[name])
            assert value.dtype == theirs[name].dtype


def test_the_authors_own_files_are_read(tmp_path: Path, sysu_lists: Path) -> None:
    """Written by MATLAB itself, in both versions: numbers in a smaller type than their class, and structures."""
    listed = read_persons(sysu_lists / "exp" / "test_id.txt")
    for folder in ("exp", "data_split"):
        assert read_persons(sysu_lists / folder / "test_id.mat") == listed
    pytest.importorskip("h5py")
    (scores,) = (sysu_lists / "result").glob("*.mat")
    with pytest.raises(DataError, match=r"'performance' in .* is of MATLAB's class struct"):
        read_matlab(scores)
