"""From a checkpoint to what it is scored on: that of a run says it itself, that of a plain trainer is told."""

import json
from pathlib import Path

import pytorch_lightning as pl

from crossreid.data import ReIDDataModule
from crossreid.methods import OneStream, OneStreamConfig
from crossreid.settings.batches import StreamConfig
from crossreid.settings.data import SysuMM01Config
from crossreid.settings.networks import BackboneConfig


def plain_checkpoint(path: Path, people_root: Path, cache: Path) -> None:
    """One iteration under a plain Lightning trainer."""
    settings = OneStreamConfig(
        streams={"identity": StreamConfig(2, 2, 64, 32)},
        backbone=BackboneConfig(name="resnet18", weights="random", size=[64, 32]),
        epochs=1,
        iterations_per_epoch=1,
    )
    data = ReIDDataModule.for_method(
        SysuMM01Config(root=str(people_root), cache=str(cache), counts="any"), settings, progress=False
    )
    quiet = {"logger": False, "enable_progress_bar": False, "enable_model_summary": False}
    trainer = pl.Trainer(
        accelerator="cpu", max_epochs=1, default_root_dir=path.parent, use_distributed_sampler=False, **quiet
    )
    trainer.fit(OneStream(settings, num_identities=data.num_identities), data)
    trainer.save_checkpoint(path)


def test_a_plain_trainers_checkpoint_is_scored_on_what_is_said(
    run_here, people_root: Path, shared_folder: Path, tmp_path: Path
) -> None:
    cache = shared_folder / "cache"
    plain_checkpoint(tmp_path / "plain.ckpt", people_root, cache)
    score = ["evaluate", "checkpoint=plain.ckpt", "trainer=cpu", "report.figures=false"]
    data = ["data=sysu_mm01", f"data.root={people_root}", f"data.cache={cache}", "data.counts=any"]

    for unsaid in ([], ["protocol=sysu_mm01"], [*data, "protocol=auto"]):
        refused = run_here(*score, *unsaid)
        assert refused.code == 1
        assert "does not say what to score: name data and protocol" in refused.output

    finished = run_here(*score, *data, "protocol=sysu_mm01", "protocol.trials=1")
    assert finished.code == 0, finished.output
    assert "onestream (iteration 1)" in finished.output
    assert "sysu_mm01/all/single" in json.loads((tmp_path / "plain.evaluation.json").read_text())
