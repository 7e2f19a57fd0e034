"""What lies in datasets' folders, all layouts: odd lists, links, rights, places; read right or refused in one sentence."""

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from crossreid import Experiment
from crossreid.data.datamodule import ReIDDataModule
from crossreid.data.datasets import read_folder, read_llcm, read_regdb, read_sysu_mm01
from crossreid.data.datasets.lists import read_ids, read_image_list
from crossreid.data.sampler import IdentityIndex
from crossreid.errors import DataError
from crossreid.experiment import as_overrides
from crossreid.settings.batches import StreamConfig
from crossreid.settings.compose import compose
from crossreid.settings.overrides import with_paths_quoted
from layouts import write_images, write_small_folder, write_small_llcm, write_small_regdb
from support import Finished

READERS: dict[str, Callable] = {
    "sysu_mm01": lambda root: read_sysu_mm01(root, None),
    "regdb": lambda root: read_regdb(root, 1, None),
    "llcm": lambda root: read_llcm(root, None),
    "folder": read_folder,
}


@pytest.fixture(scope="module")
def originals(people_root: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The people in every layout; do not write into them."""
    made = tmp_path_factory.mktemp("layouts")
    return {
        "sysu_mm01": people_root,
        "regdb": write_small_regdb(made / "regdb", people_root),
        "llcm": write_small_llcm(made / "llcm", people_root),
        "folder": write_small_folder(made / "folder", people_root),
    }


@pytest.fixture
def copy(originals: dict[str, Path], tmp_path: Path) -> Callable[[str], Path]:
    """A copy of a layout that may be damaged."""
    return lambda layout: Path(shutil.copytree(originals[layout], tmp_path / layout, copy_function=os.link))


def rewrite(path: Path, content: bytes) -> None:
    """New content in the place of a hard link."""
    path.unlink()
    path.write_bytes(content)


LISTS = {"sysu_mm01": "exp/test_id.txt", "regdb": "idx/test_thermal_1.txt", "llcm": "idx/train_nir.txt"}


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-32", "utf-16-be with mark"])
@pytest.mark.parametrize("layout", LISTS)
def test_lists_of_other_encodings_and_line_ends_are_read(copy, originals, layout: str, encoding: str) -> None:
    root = copy(layout)
    path = root / LISTS[layout]
    lines = path.read_text(encoding="utf-8").splitlines()
    text = "\r\n\r\n".join(f"{line}  " for line in lines) + "\r\n \r\n"
    mark = b"\xfe\xff" if encoding.endswith("mark") else b""
    rewrite(path, mark + text.encode(encoding.removesuffix(" with mark")))
    changed, original = READERS[layout](root), READERS[layout](originals[layout])
    for split, rows in original.splits.items():
        assert changed.splits[split].tolist() == rows.tolist()
    assert [record.pid for record in changed.records] == [record.pid for record in original.records]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("1,2".encode("utf-16-le"), "null bytes"),
        (b"1,\xff\xff2", "no text in UTF-8 or UTF-16"),
        (b"1,2;3", "comma-separated numbers"),
        (b"1,-2", "comma-separated numbers"),
        (b"1,1_000", "comma-separated numbers"),
        ("1,\uff12".encode(), "comma-separated numbers"),
        (b"1,2.0", "comma-separated numbers"),
        (b"1," + b"9" * 5000, "comma-separated numbers"),
    ],
)
def test_id_lists_that_are_none_are_refused(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "exp" / "train_id.txt"
    path.parent.mkdir()
    path.write_bytes(content)
    with pytest.raises(DataError, match=message) as caught:
        read_ids(path)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 400


def test_an_id_that_stands_twice_is_one(tmp_path: Path) -> None:
    (tmp_path / "ids.txt").write_text("3, 3,\r\n,0003 , 18446744073\n")
    assert read_ids(tmp_path / "ids.txt") == {3, 18446744073}


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("Thermal/3/../../../outside.bmp 0", "names .* where 'Thermal/<person>/<image>' belongs"),
        ("/etc/passwd 0", "where 'Thermal/<person>/<image>' belongs"),
        ("Thermal\\3\\x.bmp 0", "where 'Thermal/<person>/<image>' belongs"),
        ("Thermal/3/.. 0", r"is no file where an image belongs \(folder\)"),
        (f"Thermal/3/{'x' * 300}.bmp 0", "is missing, which"),
        (f"Thermal/{'9' * 20}/x.bmp 0", "person's number .* at most 18 digits"),
        ("Thermal/3/x.bmp zero", "Line 1 of .* where 'path label' belongs"),
        ("Thermal/3/x.bmp", "Line 1 of .* where 'path label' belongs"),
        (f"{'y' * 5000}", "Line 1 of .* where 'path label' belongs"),
        ("TWICE", "names .* twice"),
        ("", "names no image"),
    ],
)
def test_lines_of_image_lists_are_refused(copy, line: str, message: str) -> None:
    root = copy("regdb")
    path = root / "idx" / "test_thermal_1.txt"
    first = path.read_text().splitlines()[0]
    person = first.split("/")[1]
    line = line.replace("/3/", f"/{person}/")
    rewrite(path, (f"{first}\n{first}\n" if line == "TWICE" else f"{line}\n").encode())
    with pytest.raises(DataError, match=message) as caught:
        read_regdb(root, 1, None)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 1000


def test_an_image_list_keeps_spaces_inside_names(tmp_path: Path) -> None:
    (tmp_path / "list.txt").write_bytes(b"Visible/1/a b.bmp 0 \r\n\r\n\tVisible/1/c.bmp\t1\r\n")
    assert read_image_list(tmp_path / "list.txt") == ["Visible/1/a b.bmp", "Visible/1/c.bmp"]


def first_image(root: Path) -> Path:
    """An image that the reader of this layout reads."""
    return READERS[root.name](root).records[0].path


def as_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


def as_loop(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink()
    path.symlink_to(path.name)


def as_file(path: Path) -> None:
    shutil.rmtree(path)
    path.touch()


def as_pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


@pytest.mark.parametrize("damage", [as_folder, as_loop, as_pipe])
@pytest.mark.parametrize("layout", READERS)
def test_what_is_no_file_where_an_image_belongs_is_refused(copy, layout: str, damage) -> None:
    root = copy(layout)
    place = first_image(root)
    damage(place)
    with pytest.raises(DataError, match=r"no file where an image|leads nowhere|is missing, which") as caught:
        READERS[layout](root)
    assert place.name in str(caught.value)


@pytest.mark.parametrize("damage", [as_folder, as_loop, as_pipe])
@pytest.mark.parametrize("layout", LISTS)
def test_what_is_no_file_where_a_list_belongs_is_refused(copy, layout: str, damage) -> None:
    root = copy(layout)
    damage(root / LISTS[layout])
    with pytest.raises(DataError, match=r"no file where the|list .* is missing") as caught:
        READERS[layout](root)
    assert Path(LISTS[layout]).name in str(caught.value)


PARTS = {
    "sysu_mm01": ("cam3", "exp"),
    "regdb": ("Thermal", "idx"),
    "llcm": ("nir", "test_vis", "test_vis/cam4", "idx"),
    "folder": ("test", "test/visible"),
}


@pytest.mark.parametrize("damage", [as_file, as_loop])
@pytest.mark.parametrize(("layout", "part"), [(layout, part) for layout, parts in PARTS.items() for part in parts])
def test_what_is_no_folder_where_one_belongs_is_refused(copy, layout: str, part: str, damage) -> None:
    root = copy(layout)
    damage(root / part)
    message = r"is a file where a folder|lacks|is no folder|leads nowhere"
    with pytest.raises(DataError, match=message) as caught:
        READERS[layout](root)
    assert Path(part).name in str(caught.value)


@pytest.mark.parametrize("layout", READERS)
def test_a_file_or_nothing_in_the_place_of_the_root_is_refused(tmp_path: Path, layout: str) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(DataError, match="file' is a file where a folder belongs"):
        READERS[layout](tmp_path / "file")
    with pytest.raises(DataError, match=r"There is no .* folder"):
        READERS[layout](tmp_path / "gone")


def test_a_person_of_sysu_that_is_a_file_is_refused(copy) -> None:
    root = copy("sysu_mm01")
    as_file(first_image(root).parent)
    with pytest.raises(DataError, match="is a file where a folder belongs"):
        read_sysu_mm01(root, None)


@pytest.mark.parametrize("layout", READERS)
def test_folders_and_lists_without_the_right_to_read_are_named(copy, layout: str, monkeypatch) -> None:
    root = copy(layout)
    forbidden = first_image(root).parent if layout != "regdb" else root / LISTS[layout]

    def listdir(path, original=os.listdir):
        if Path(path) == forbidden:
            raise PermissionError(13, "Permission denied", str(path))
        return original(path)

    def read_bytes(path, original=Path.read_bytes):
        if path == forbidden:
            raise PermissionError(13, "Permission denied", str(path))
        return original(path)

    monkeypatch.setattr(os, "listdir", listdir)  # root, who runs tests in containers, may read anything
    monkeypatch.setattr(Path, "read_bytes", read_bytes)
    if layout == "llcm":  # the first image of LLCM stands in a list: a test folder instead
        forbidden = root / "test_vis"
    with pytest.raises(DataError, match=r"cannot be read \(Permission denied\)") as caught:
        READERS[layout](root)
    assert str(forbidden) in str(caught.value)


@pytest.mark.parametrize("name", [b"\xff\xfe.jpg", b"a\nb.jpg", b"a\x1b[31m.jpg"])
def test_names_that_cannot_be_shown_are_refused(tmp_path: Path, name: bytes) -> None:
    (tmp_path / "anna").mkdir()
    (tmp_path / "anna" / os.fsdecode(name)).touch()
    with pytest.raises(DataError, match="cannot be shown") as caught:
        read_folder(tmp_path, modality="visible")
    assert str(caught.value).isprintable()


def test_a_folder_that_holds_itself_ends(tmp_path: Path) -> None:
    write_images(tmp_path, ["anna/c1_1.jpg"])
    (tmp_path / "anna" / "again").symlink_to("..")
    dataset = read_folder(tmp_path, modality="visible")
    assert [record.path.name for record in dataset.records] == ["c1_1.jpg"]
    assert "folder among images" in {part.reason for part in dataset.skipped}
    (tmp_path / "self").symlink_to(".")
    with pytest.raises(DataError, match="self' should be a person's folder and holds no images"):
        read_folder(tmp_path, modality="visible")


# ---------------------------------------------------------------------- only one split


def module_of(root: Path) -> ReIDDataModule:
    return ReIDDataModule(lambda: read_folder(root), root / "cache", {"identity": StreamConfig(2, 2, 8, 4)})


@pytest.mark.parametrize("splits", [("test",), ("val", "test"), ("train",)])
def test_a_missing_split_is_named(tmp_path: Path, splits) -> None:
    write_images(tmp_path, [f"{s}/{m}/{s}{i}/1.jpg" for s in splits for m in ("visible", "infrared") for i in (1, 2)])
    data = module_of(tmp_path)
    if "train" in splits:
        assert data.num_identities == 2
        with pytest.raises(DataError, match=r"has no split 'test' \(splits there: train\): add its folder or list"):
            data.dataset.rows("test")
    else:
        with pytest.raises(DataError, match="has no split 'train'"):
            _ = data.num_identities


def test_empty_training_lists_are_named(copy) -> None:
    root = copy("sysu_mm01")
    rewrite(root / "exp" / "train_id.txt", b"")
    dataset = read_sysu_mm01(root, None)
    with pytest.raises(DataError, match="No training identity has both"):
        IdentityIndex(dataset.records, dataset.rows("train"))


# ---------------------------------------------------------------------- places

ODD = ["a [b] (c)", "d,e", "f=g", "h'i", "ü ñ 人", "~j", "k{l}", "m;n&o", "p#q", "1e5", "r:s"]


@pytest.mark.parametrize("name", ODD)
def test_odd_places_are_taken_as_they_stand(name: str) -> None:
    for place in (f"/data/{name}", name):
        (word,) = with_paths_quoted([f"data.root={place}"])
        for said in (word, *as_overrides({"data.root": place})):
            composed = compose("check", ["data=folder", said])
            assert composed.values["data"]["root"] == place


def test_an_odd_root_is_read_on_the_command_line_and_in_python(run_here, tmp_path: Path) -> None:
    root = tmp_path / "a [b] (c),d=e'f ü人 ~g{h};i#j"
    write_images(root, ["visible/a/c1_1.jpg", "infrared/a/c2_1.jpg"])
    finished: Finished = run_here("check", "data=folder", f"data.root={root}", "output=found.json", "progress=false")
    assert "2 images opened" in finished.output, finished.output
    assert json.loads((tmp_path / "found.json").read_text())["root"] == str(root)
    assert Experiment("baseline", "folder", overrides={"data.root": str(root)}).config.data.folder == root


def test_the_home_folder_may_be_written_as_a_tilde(run_here, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    write_images(tmp_path / "my set", ["visible/a/c1_1.jpg", "infrared/a/c2_1.jpg"])
    finished = run_here("check", "data=folder", "data.root=~/my set", "progress=false")
    assert "2 images opened" in finished.output, finished.output
    config = Experiment("baseline", "folder", overrides={"data.root": "~/my set", "data.cache": "~/c"}).config
    assert (config.data.folder, config.data.cache_folder) == (tmp_path / "my set", tmp_path / "c")
    nobody = Experiment("baseline", "folder", overrides={"data.root": "~nobody-of-this-name/x"}).config
    assert str(nobody.data.folder) == "~nobody-of-this-name/x"


@pytest.mark.parametrize(
    "word",
    [
        "data.root='/a b'",
        'data.root="/a,b"',
        "data.root=/plain",
        "data.root=null",
        "data.root=${oc.env:X}",
        "model=lba",
    ],
)
def test_words_that_are_in_the_grammar_already_stay(word: str) -> None:
    assert with_paths_quoted([word]) == [word]
    assert with_paths_quoted(["-m", "data.root=/a,/b", word]) == ["-m", "data.root=/a,/b", word]


# ---------------------------------------------------------------------- what is said


def test_the_doctor_prints_what_it_understood_and_left_out(run_here, copy, tmp_path: Path) -> None:
    root = copy("folder")
    person = next((root / "test" / "visible").iterdir())
    (person / "notes.txt").touch()
    shutil.copyfile(next(person.glob("*.jpg")), person / "x.gif")
    finished = run_here("check", "data=folder", f"data.root={root}", "output=found.json", "progress=false")
    assert finished.code == 0, finished.output
    found = json.loads((tmp_path / "found.json").read_text())
    (names,) = found["names"]
    dataset = read_folder(root)
    assert names["images"] == len(dataset.records)
    assert names["pattern"] == "..._c<camera>_... or ..._cam<camera>_..."
    assert len(names["examples"]) == 3
    by_file = {record.path.relative_to(root).as_posix(): record for record in dataset.records}
    for example in names["examples"]:
        record = by_file[example["file"]]
        assert (example["pid"], example["camera"], example["modality"]) == (record.pid, record.camid, record.modality)
        assert example["file"] in finished.output
    assert {part["reason"]: part["files"] for part in found["skipped"]} == {
        "ending .txt not known": 1,
        "ending .gif not known": 1,
    }
    assert "ending .gif not known" in finished.output


def test_training_says_what_was_left_out(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    from crossreid.data.datasets.sources import open_source
    from crossreid.settings.data import FolderConfig

    write_images(tmp_path / "set", ["visible/a/c1_1.jpg", "infrared/a/c1_1.jpg"])
    (tmp_path / "set" / "visible" / "a" / "c1_2.heic").touch()
    open_source(FolderConfig(root=str(tmp_path / "set"))).read()
    said = capsys.readouterr().out
    assert "1 x ending .heic not known (such as" in said
    assert "Cameras 1 have visible and infrared images and are taken as two cameras each" in said


@pytest.mark.parametrize(
    "content", [b"", b"[]", b'{"counts": 3}', b"\xff\xfe", b'{"counts": {"train": {"x": {"images": 1}}}}']
)
def test_a_damaged_manifest_is_named(tmp_path: Path, content: bytes) -> None:
    from crossreid.data.datasets.sources import read_manifest

    (tmp_path / "manifest.json").write_bytes(content)
    with pytest.raises(DataError, match=r"manifest\.json' is damaged"):
        read_manifest(tmp_path)
