"""history.csv, checkpoints on disk, and notices."""

from pathlib import Path

import pytest
import torch

from crossreid.errors import CheckpointError, WriteError
from crossreid.runs.history import read_history
from crossreid.settings.run import FORMAT
from crossreid.training.checkpoints import AtomicCheckpointIO, read_checkpoint
from crossreid.training.loggers import HistoryLogger
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
