"""Mistakes: one sentence, exit code 1, nothing left behind."""

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch


@pytest.fixture
def refused(run_here, tmp_path: Path):
    """Run a command that must fail with one sentence and leave no run behind."""

    def run(module: str, *args: str) -> str:
        finished = run_here(module, *args)
        assert finished.code == 1, finished.output
        errors = [line for line in finished.output.splitlines() if line.startswith("Error: ")]
        assert len(errors) == 1, finished.output
        assert "Traceback" not in finished.output
        assert not list(tmp_path.rglob("run.json"))
        return errors[0]

    return run


SYSU = ["data=sysu_mm01", "scale=smoke", "data.counts=any", "trainer=cpu", "protocol.trials=2"]


def damaged(people_root: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(people_root, tmp_path / "copy"))


def test_wrong_dataset_path(refused) -> None:
    assert "There is no dataset folder '/nowhere'" in refused("train", *SYSU, "data.root=/nowhere")


def test_missing_root(refused) -> None:
    assert "data.root has no default: give it (the folder that holds cam1..cam6 and exp)" in refused("train", *SYSU)


def test_missing_camera(refused, people_root: Path, tmp_path: Path) -> None:
    root = damaged(people_root, tmp_path)
    shutil.rmtree(root / "cam6")
    assert "lacks cam6" in refused("train", *SYSU, f"data.root={root}")


def test_incomplete_copy(refused, people_root: Path) -> None:
    message = refused("train", *SYSU[:2], f"data.root={people_root}")
    assert "train camera 1 holds" in message
    assert "194 and 4721 belong" in message
    assert "wuancong/SYSU-MM01" in message


def test_truncated_image(refused, people_root: Path, tmp_path: Path) -> None:
    root = damaged(people_root, tmp_path)
    victim = sorted(root.glob("cam3/*/*.jpg"))[5]
    victim.write_bytes(victim.read_bytes()[:200])
    message = refused("train", *SYSU, f"data.root={root}", f"data.cache={tmp_path / 'cache'}")
    assert f"{victim.parent.name}/{victim.name}' cannot be read" in message
    assert not list((tmp_path / "cache").glob("*.npy"))


def test_ids_that_do_not_match(refused, people_root: Path, tmp_path: Path) -> None:
    root = damaged(people_root, tmp_path)
    ids = root / "exp" / "test_id.txt"
    ids.write_text(ids.read_text().strip() + ",999")
    available = root / "exp" / "available_id.txt"
    available.write_text(available.read_text().strip() + ",999")
    assert "test_id.txt lists 999" in refused("train", *SYSU, f"data.root={root}")


def test_more_identities_than_there_are(refused, smoke_args: list[str]) -> None:
    message = refused("train", *smoke_args, "model.streams.identity.identities=50")
    assert "asks for 50 identities" in message
    assert "has 12 identities" in message


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("model.margn=1", "There is no setting 'model.margn': did you mean model.margin?"),
        ("model=vgg", "There is no model=vgg: choose from agw, aligngan"),
        ("experiment=aligngan/nothing", "There is no experiment=aligngan/nothing"),
        ("model.margin=wide", "model.margin is 'wide': give a number."),
        ("scale=huge", "There is no scale=huge: choose from medium, paper, small, smoke."),
        ("+model.extra=1", "There is no setting 'model.extra'"),
        ("data.people.frames=0", "data.people.frames is 0: choose 1 to 255"),
    ],
)
def test_unknown_keys_and_values(refused, smoke_args: list[str], override: str, message: str) -> None:
    assert message in refused("train", *smoke_args, override)


def test_multirun_with_ddp(run_here, smoke_args: list[str], tmp_path: Path) -> None:
    finished = run_here("train", "-m", "seed=0,1", *smoke_args, "trainer=ddp_cpu")
    assert finished.code == 1, finished.output
    errors = [line for line in finished.output.splitlines() if "A multirun cannot start DDP jobs" in line]
    assert len(errors) == 2, finished.output  # one a job
    assert all("trainer.devices=1" in line for line in errors)
    assert not list(tmp_path.rglob("run.json"))


@pytest.mark.slow
def test_checkpoints(refused, smoke_args: list[str], run_here, tmp_path: Path) -> None:
    assert "There is no checkpoint at 'gone.ckpt'" in refused("evaluate", "checkpoint=gone.ckpt")
    assert "Name what to score" in refused("evaluate")
    (tmp_path / "text.ckpt").write_text("hello")
    assert "cannot be read" in refused("evaluate", "checkpoint=text.ckpt")
    torch.save({"state_dict": {}}, tmp_path / "foreign.ckpt")
    assert "not written by crossreid" in refused("evaluate", "checkpoint=foreign.ckpt")
    torch.save({"state_dict": {}, "crossreid": {}, "loops": {}}, tmp_path / "thin.ckpt")
    assert "is partial, it lacks optimizer states" in refused("evaluate", "checkpoint=thin.ckpt")
    assert "There is no checkpoint at 'gone' to resume from" in refused("train", *smoke_args, "resume=gone")

    assert run_here("train", "model=baseline", *smoke_args, "run_dir=run").code == 0
    whole = (tmp_path / "run" / "last.ckpt").read_bytes()
    (tmp_path / "half.ckpt").write_bytes(whole[: len(whole) // 2])
    partial = torch.load(tmp_path / "run" / "last.ckpt", weights_only=True)
    partial["state_dict"].popitem()
    torch.save(partial, tmp_path / "partial.ckpt")
    for facts in (tmp_path / "run").glob("run.json"):
        facts.unlink()  # so that `refused` can see that nothing new appears
    assert "it is damaged, or not what torch.save writes; use another one" in refused(
        "evaluate", "checkpoint=half.ckpt"
    )
    assert "lacks 1 weights" in refused("evaluate", "checkpoint=partial.ckpt")


@pytest.mark.slow
def test_a_folder_with_a_run_is_not_written_over(run_here, smoke_args: list[str], tmp_path: Path) -> None:
    arguments = ["model=baseline", *smoke_args, "run_dir=run"]
    assert run_here("train", *arguments).code == 0
    before = (tmp_path / "run" / "results.json").read_bytes()
    finished = run_here("train", *arguments)
    assert finished.code == 1
    assert "holds a run already: set resume=run to go on, overwrite=true" in finished.output
    assert (tmp_path / "run" / "results.json").read_bytes() == before
    other = run_here("train", *arguments[:-1], "seed=1", "resume=run")
    assert other.code == 1
    assert "has other settings" in other.output
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.tex").touch()
    assert "other things in it" in run_here("train", *arguments[:-1], "run_dir=mine", "overwrite=true").output
    assert (tmp_path / "mine" / "thesis.tex").is_file()
    assert run_here("train", *arguments, "overwrite=true").code == 0


def test_embeddings(refused, tmp_path: Path, people_root: Path) -> None:
    np.savez(tmp_path / "odd.npz", features=np.ones((3, 2)), pids=np.ones(2, int), camids=np.ones(3, int))
    assert "protocol=sysu_mm01" in refused("evaluate", "embeddings=odd.npz")
    refused("evaluate", "embeddings=odd.npz", "protocol=sysu_mm01")
    refused("evaluate", "embeddings=none.npz", "protocol=sysu_mm01")
    mat = f"protocol.permutations={people_root / 'exp' / 'missing.mat'}"
    np.savez(tmp_path / "fine.npz", features=np.eye(3), pids=[1, 1, 2], camids=[1, 3, 6], frames=[0, 0, 0])
    assert "missing.mat" in refused("evaluate", "embeddings=fine.npz", "protocol=sysu_mm01", mat)
