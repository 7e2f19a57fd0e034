"""history.csv, checkpoints on disk, and notices."""

import itertools
from pathlib import Path

import pytest
import torch
from PIL import Image

from crossreid.data.datamodule import ReIDDataModule
from crossreid.errors import CheckpointError, WriteError
from crossreid.runs.folder import RunFolder
from crossreid.runs.history import read_history
from crossreid.settings.compose import compose, run_config
from crossreid.settings.run import FORMAT
from crossreid.training.checkpoints import AtomicCheckpointIO, read_checkpoint
from crossreid.training.loggers import HistoryLogger
from crossreid.training.session import Session
from support import disk_of


def test_history_is_appended_and_cut_where_a_run_resumes(tmp_path: Path) -> None:
    logger = HistoryLogger(tmp_path / "history.csv")
    for step in (0, 2, 4):
        logger.log_metrics({"iteration": step, "train/a": 0.1 + step, "train/b": 1 / 3}, step=step)
    logger.log_metrics({"test/x": 1.0}, step=5)
    with logger.path.open("a") as stream:
        stream.write("6,tra")  # a process killed while writing
    logger.truncate(4)
    assert read_history(logger.path) == {"train/a": [(0, 0.1), (2, 2.1)], "train/b": [(0, 1 / 3), (2, 1 / 3)]}
    HistoryLogger(tmp_path / "history.csv").log_metrics({"train/a": 7.0}, step=4)
    assert read_history(logger.path)["train/a"][-1] == (4, 7.0)


def test_a_checkpoint_that_cannot_be_written_leaves_the_old_one(tmp_path: Path) -> None:
    path = tmp_path / "last.ckpt"
    ours = {"format": FORMAT, "iteration": 1}
    whole = {"state_dict": {}, "optimizer_states": [], "loops": {}, "crossreid": ours}
    AtomicCheckpointIO().save_checkpoint(whole, path)

    with disk_of(1000), pytest.raises(WriteError, match=r"last\.ckpt' could not be written \(File too large\)"):
        AtomicCheckpointIO().save_checkpoint({"state_dict": torch.zeros(10_000)}, path)
    assert read_checkpoint(path)["crossreid"]["iteration"] == 1
    assert [p.name for p in tmp_path.iterdir()] == ["last.ckpt"]


def test_checkpoints_are_read_without_pickled_code(tmp_path: Path) -> None:
    torch.save({"state_dict": {}, "crossreid": Path("/")}, tmp_path / "odd.ckpt")
    with pytest.raises(CheckpointError, match="cannot be read"):
        read_checkpoint(tmp_path / "odd.ckpt")


def write_folder(root: Path, tested: tuple[str, ...]) -> Path:
    """Images of one's own: six training persons in both modalities, three test persons in the given ones."""
    for split, persons, modalities in (("train", range(6), ("visible", "infrared")), ("test", range(6, 9), tested)):
        for person, modality, camera, frame in itertools.product(persons, modalities, (1, 2), range(2)):
            path = root / split / modality / f"{person}" / f"c{camera}_{frame}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.new("RGB", (16, 32), (20 * person, 100 * camera, 60 * frame)).save(path)
    return root


@pytest.mark.parametrize(
    ("logger", "every", "tested", "grids"),
    [
        ("csv", 100, ("visible", "infrared"), 0),  # it takes no pictures
        ("wandb", 0, ("visible", "infrared"), 0),
        ("wandb", 100, ("visible", "infrared"), 1),
        ("wandb", 100, ("visible",), 0),
        ("csv", 100, ("visible",), 0),
    ],
)
def test_grids_of_pictures_are_made_where_they_go_somewhere_and_there_are_pairs(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    logger: str,
    every: int,
    tested: tuple[str, ...],
    grids: int,
) -> None:
    places = [f"data.root={write_folder(tmp_path / 'mine', tested)}", f"data.cache={tmp_path / 'cache'}"]
    words = ["model=onestream", "scale=smoke", "data=folder", *places, f"trainer.pictures_every={every}"]
    config = run_config(compose("train", [*words, f"logger={logger}"]))
    session = Session(config, RunFolder(tmp_path / "run"))
    session.data = ReIDDataModule.for_method(config.data, config.model, progress=False)
    drawn: list[str] = []
    sample_pairs = ReIDDataModule.sample_pairs
    monkeypatch.setattr(
        ReIDDataModule,
        "sample_pairs",
        lambda self, split, *_, **how: drawn.append(split) or sample_pairs(self, split, **how),
    )
    assert len(session._picture_grids()) == len(drawn) == grids
    said = "Left out, grids of pictures: no test person has both" in " ".join(capsys.readouterr().out.split())
    assert said == (logger == "wandb" and tested == ("visible",))


@pytest.mark.slow
def test_a_run_whose_test_persons_have_one_modality_ends_with_its_scores(run_here, tmp_path: Path) -> None:
    root = write_folder(tmp_path / "mine", ("visible",))
    done = run_here(
        "train",
        *("model=onestream", "scale=smoke", "data=folder", f"data.root={root}", f"data.cache={tmp_path / 'cache'}"),
        *("trainer=cpu", "report.figures=false", "run_dir=run"),
    )
    assert done.code == 0, done.output
    assert (tmp_path / "run" / "results.json").is_file()
