"""A full disk at each file that a run writes: one sentence, the previous state whole, nothing half-written left."""

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from crossreid.errors import DataError, WriteError
from crossreid.evaluation import Embeddings
from crossreid.files import append_whole, check_writable, folder_in_place, write_atomically
from crossreid.runs.folder import RunFolder, write_json
from crossreid.training.checkpoints import AtomicCheckpointIO
from crossreid.training.loggers import HistoryLogger
from support import disk_of, files_in

FULL = r"could not be written \(File too large\): free some space, or choose another place; what was there before is unchanged"


def save_checkpoint(folder: Path, size: int) -> None:
    AtomicCheckpointIO().save_checkpoint({"state_dict": torch.zeros(size, 100)}, folder / "last.ckpt")


def save_embeddings(folder: Path, size: int) -> None:
    rows = np.arange(size)
    embeddings = Embeddings(
        features={"main": np.ones((size, 100), np.float32)},
        pids=rows,
        camids=rows,
        infrared=rows > 0,
        frames=rows,
        rows=rows,
        paths=tuple(map(str, rows)),
    )
    embeddings.save(folder / "embeddings.npz")


def save_results(folder: Path, size: int) -> None:
    write_json(folder / "results.json", {"rows": list(range(size * 10))})


def save_history(folder: Path, size: int) -> None:
    HistoryLogger(folder / "history.csv").log_metrics({f"train/{i}": 0.5 for i in range(size * 10)}, step=size)


def save_facts(folder: Path, size: int) -> None:
    RunFolder(folder).note(status="x" * size * 50)


def save_figure(folder: Path, size: int) -> None:
    from matplotlib.figure import Figure

    from crossreid.visualization import save

    figure = Figure(figsize=(2, 2))
    figure.add_subplot().imshow(np.random.default_rng(size).random((size + 2, size + 2)))
    save(figure, folder / "figures" / "x.png")


@pytest.mark.parametrize(
    "write", [save_checkpoint, save_embeddings, save_results, save_history, save_facts, save_figure]
)
def test_a_full_disk_leaves_the_previous_state(tmp_path: Path, write: Callable[[Path, int], Any]) -> None:
    write(tmp_path, 1)
    before = files_in(tmp_path)
    with disk_of(max(map(len, before.values())) // 2), pytest.raises(WriteError, match=FULL):
        write(tmp_path, 1000)
    assert files_in(tmp_path) == before
    write(tmp_path, 2)  # there is room again
    assert files_in(tmp_path) != before


def test_nothing_goes_to_the_folder_for_temporary_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    elsewhere = tmp_path / "nowhere"
    monkeypatch.setenv("TMPDIR", str(elsewhere))
    monkeypatch.setattr(tempfile, "tempdir", str(elsewhere))
    save_checkpoint(tmp_path, 1)
    assert list(files_in(tmp_path)) == ["last.ckpt"]


def test_a_bug_while_writing_stays_a_bug(tmp_path: Path) -> None:
    def broken(stream: Any) -> None:
        raise TypeError("no such thing")

    with pytest.raises(TypeError, match="no such thing"):
        write_atomically(tmp_path / "x", broken)
    assert not list(tmp_path.iterdir())


def test_what_is_added_is_added_whole(tmp_path: Path) -> None:
    path = tmp_path / "history.csv"
    append_whole(path, b"a" * 60)
    with disk_of(100), pytest.raises(WriteError, match=FULL):  # 40 bytes would fit
        append_whole(path, b"b" * 60)
    assert path.read_bytes() == b"a" * 60


def test_places_are_tried_without_a_trace(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    before = files_in(tmp_path)
    check_writable(tmp_path / "new" / "folder" / "x.json", "output")
    with pytest.raises(WriteError, match=r"output is to be .*file/x\.json', and '.*file' is a file, not a folder"):
        check_writable(tmp_path / "file" / "x.json", "output")
    with pytest.raises(WriteError, match=r"output is to be the file '.*', and a folder is there"):
        check_writable(tmp_path, "output")
    with pytest.raises(WriteError, match=r"output cannot be written to '/proc' \(.*\): choose another place"):
        check_writable(Path("/proc/x.json"), "output")
    assert files_in(tmp_path) == before


@pytest.mark.slow
@pytest.mark.true_width
def test_a_run_on_a_full_disk_says_one_sentence(run_here, smoke_args: list[str], tmp_path: Path) -> None:
    with disk_of(20_000_000):  # the decoded images fit in
        finished = run_here("train", "model=baseline", *smoke_args, "run_dir=run", "report.untrained=false")
    assert finished.code == 1
    errors = [line for line in finished.output.splitlines() if line.startswith("Error: ")]
    assert errors == [
        "Error: 'run/last.ckpt' could not be written (File too large): free some space, or choose another place; what was "
        "there before is unchanged."
    ]
    assert "Traceback" not in finished.output
    assert sorted(files_in(tmp_path / "run")) == ["config.yaml", "history.csv", "run.json"]
    assert '"status": "failed"' in (tmp_path / "run" / "run.json").read_text()


def test_an_error_that_was_handled_before_is_no_cause_of_a_failed_write(tmp_path: Path) -> None:
    def mistaken(stream: Any) -> None:
        raise ValueError("a bug")

    try:
        raise OSError("of somebody else")
    except OSError:
        with pytest.raises(ValueError, match="a bug"):
            write_atomically(tmp_path / "x", mistaken)
    assert not list(tmp_path.iterdir())


def test_a_folder_is_replaced_only_where_it_holds_nothing_of_others(tmp_path: Path) -> None:
    place = tmp_path / "weights"
    for content in ("one", "two"):
        with folder_in_place(place, ["a.txt", "b.txt"]) as folder:
            (folder / f"{content}.txt").write_text(content)
            (folder / f"{content}.txt").rename(folder / ("a.txt" if content == "one" else "b.txt"))
    assert files_in(tmp_path) == {"weights/b.txt": b"two"}  # own files go without a successor too
    (tmp_path / "elsewhere").mkdir()
    for name, make in {
        "thesis.txt": lambda entry: entry.write_text("mine"),
        "a.txt": lambda entry: entry.mkdir(),
        "c": lambda entry: entry.mkdir(),
        "link": lambda entry: entry.symlink_to(tmp_path / "elsewhere"),
    }.items():
        make(place / name)
        before = sorted(tmp_path.rglob("*"))
        with pytest.raises(WriteError, match=rf"holds '{name}', which would be lost: choose another place"):
            with folder_in_place(place, ["a.txt", "b.txt"]):
                pytest.fail("nothing is written")
        assert sorted(tmp_path.rglob("*")) == before
        (place / name).rename(tmp_path / f"moved {name}")


def test_what_somebody_puts_there_meanwhile_stays(tmp_path: Path) -> None:
    with pytest.raises(WriteError, match=r"holds 'thesis\.txt', which would be lost"):
        with folder_in_place(tmp_path / "weights") as folder:
            (folder / "a.txt").write_text("one")
            (tmp_path / "weights").mkdir()
            (tmp_path / "weights" / "thesis.txt").write_text("mine")
    assert files_in(tmp_path) == {"weights/thesis.txt": b"mine"}
    assert len(list(tmp_path.iterdir())) == 1


def test_of_a_link_the_folder_that_it_leads_to_is_replaced(tmp_path: Path) -> None:
    (tmp_path / "disk").mkdir()
    (tmp_path / "disk" / "a.txt").write_text("old")
    (tmp_path / "link").symlink_to("disk")
    (tmp_path / "new").symlink_to("later")
    for name in ("link", "new"):
        with folder_in_place(tmp_path / name, ["a.txt"]) as folder:
            (folder / "a.txt").write_text("new")
        assert (tmp_path / name).is_symlink()
    assert {path.name for path in tmp_path.iterdir()} == {"disk", "link", "later", "new"}
    assert (tmp_path / "disk" / "a.txt").read_text() == (tmp_path / "later" / "a.txt").read_text() == "new"


@pytest.mark.parametrize("place", [".", "/", "..", "../here"])
def test_the_folder_that_one_is_in_is_not_replaced(place: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    with pytest.raises(WriteError, match="is the one that you are in, or one around it: name one inside"):
        with folder_in_place(Path(place)):
            pytest.fail("nothing is written")


def test_where_one_is_in_a_removed_folder_a_whole_path_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    (tmp_path / "here").rmdir()
    with folder_in_place(tmp_path / "weights") as folder:
        (folder / "a.txt").write_text("one")
    assert files_in(tmp_path) == {"weights/a.txt": b"one"}


def test_stopped_between_two_renames_the_old_folder_is_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    place = tmp_path / "weights"
    with folder_in_place(place) as folder:
        (folder / "a.txt").write_text("old")
    rename = Path.rename

    def stopped(self: Path, target: Path) -> Path:
        if self.name.endswith(".tmp"):
            raise KeyboardInterrupt
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", stopped)
    with pytest.raises(KeyboardInterrupt):
        with folder_in_place(place, ["a.txt"]) as folder:
            (folder / "a.txt").write_text("new")
    assert files_in(tmp_path) == {"weights/a.txt": b"old"}
    assert len(list(tmp_path.iterdir())) == 1


def test_what_could_not_be_read_is_not_called_unwritable(tmp_path: Path) -> None:
    def reading(_: Any) -> None:
        try:
            (tmp_path / "none").read_bytes()
        except OSError as error:
            raise DataError("the image is missing") from error

    with pytest.raises(DataError, match=r"^the image is missing$"):
        write_atomically(tmp_path / "x", reading)
    with pytest.raises(DataError, match=r"^the image is missing$"):
        with folder_in_place(tmp_path / "y"):
            reading(None)
    assert not list(tmp_path.iterdir())


def test_a_folder_does_not_take_the_place_of_a_file(tmp_path: Path) -> None:
    (tmp_path / "thesis").write_text("mine")
    with pytest.raises(WriteError, match=r"thesis' is to be a folder, and a file is there"):
        with folder_in_place(tmp_path / "thesis"):
            pytest.fail("nothing is written")
    assert files_in(tmp_path) == {"thesis": b"mine"}
