"""history.csv, checkpoints on disk, and notices."""

from pathlib import Path

import pytest
import torch

from crossreid.config import ProtocolConfig
from crossreid.errors import CheckpointError, DataError
from crossreid.training.build import find_permutations
from crossreid.training.checkpoints import AtomicCheckpointIO, read_checkpoint
from crossreid.training.loggers import HistoryLogger, read_history


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


def test_a_checkpoint_that_cannot_be_written_leaves_the_old_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "last.ckpt"
    whole = {"state_dict": {}, "optimizer_states": [], "loops": {}, "crossreid": {"iteration": 1, "config": {}}}
    AtomicCheckpointIO().save_checkpoint(whole, path)

    def killed(checkpoint: object, target: Path, options: object = None) -> None:
        Path(target).write_bytes(b"half")
        raise OSError("disk full")

    monkeypatch.setattr("lightning_fabric.plugins.io.torch_io._atomic_save", killed)
    with pytest.raises(OSError, match="disk full"):
        AtomicCheckpointIO().save_checkpoint({}, path)
    assert read_checkpoint(path)["crossreid"]["iteration"] == 1
    assert [p.name for p in tmp_path.iterdir()] == ["last.ckpt"]


def test_checkpoints_are_read_without_pickled_code(tmp_path: Path) -> None:
    torch.save({"state_dict": {}, "crossreid": Path("/")}, tmp_path / "odd.ckpt")
    with pytest.raises(CheckpointError, match="cannot be read"):
        read_checkpoint(tmp_path / "odd.ckpt")


def test_the_official_draw_is_used_where_it_is_and_its_lack_is_said(
    tmp_path: Path, people_root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    name, permutations = find_permutations(ProtocolConfig("sysu_mm01"), people_root)
    assert name == "official"
    assert permutations is not None
    assert find_permutations(ProtocolConfig("sysu_mm01", draw="seeded"), people_root) == ("seeded", None)
    assert find_permutations(ProtocolConfig("sysu_mm01"), tmp_path) == ("seeded", None)
    assert "rand_perm_cam.mat was not found, so galleries are drawn by seed" in capsys.readouterr().out
    with pytest.raises(DataError, match=r"gone\.mat"):
        find_permutations(ProtocolConfig("sysu_mm01", permutations=str(tmp_path / "gone.mat")), tmp_path)
