"""The front door: experiments from Python, trained methods, scores, and methods under a plain Lightning trainer."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import pytorch_lightning as pl
import torch

import crossreid
from crossreid.data import ReIDDataModule
from crossreid.errors import CheckpointError, ConfigError
from crossreid.evaluation import Embeddings
from crossreid.experiment import as_overrides
from crossreid.methods import LbA, LbAConfig, OneStream, OneStreamConfig
from crossreid.settings.batches import StreamConfig
from crossreid.settings.data import SyntheticConfig, SyntheticPeople, SysuMM01Config
from crossreid.settings.fields import from_plain
from crossreid.settings.networks import BackboneConfig
from crossreid.settings.protocol import SysuProtocolConfig

TINY = {"streams": {"identity": StreamConfig(2, 2, 64, 32)}, "epochs": 2, "iterations_per_epoch": 2}
SMALL_BACKBONE = BackboneConfig(name="resnet18", weights="random", size=[64, 32])
PEOPLE = SyntheticPeople(train_ids=8, val_ids=4, test_ids=10, frames=3)


@pytest.fixture
def quick(people_root: Path, shared_folder: Path) -> dict[str, Any]:
    """Settings that keep a run short, whatever the method."""
    return {
        "data.root": str(people_root),
        "data.cache": str(shared_folder / "cache"),
        "report.figures": False,
        "report.untrained": False,
        "report.modality_pairs": False,
        "protocol.trials": 1,
        "trainer.progress": False,
    }


def tiny_lba(**changed: Any) -> LbAConfig:
    return LbAConfig(backbone=SMALL_BACKBONE, **TINY, **changed)


@pytest.mark.slow
def test_an_experiment_runs_and_what_it_leaves_can_be_used(tmp_path: Path, quick: dict[str, Any]) -> None:
    experiment = crossreid.Experiment(
        model="lba",
        scale="smoke",
        seed=1,
        trainer="cpu",
        run_dir=str(tmp_path / "run"),
        overrides={**quick, "model.w_dt": 0.0},
    )
    assert (experiment.config.model.w_dt, experiment.config.seed, experiment.config.label) == (0.0, 1, "lba")
    run = experiment.run()
    assert run.path == tmp_path / "run"
    first = run.results["sysu_mm01/all/single"]
    assert 0 <= run.results.headline == float(first.rank(1).mean()) <= 1
    assert "mAP" in repr(run.results)
    assert {"row", "protocol", "rank1", "mAP", "mINP"} <= set(run.results.to_records()[0])

    method = crossreid.load(run.path)
    assert isinstance(method, LbA)
    assert not method.training
    again = crossreid.load(run.path / "last.ckpt", device="cpu")
    assert all(
        torch.equal(one, two)
        for one, two in zip(method.state_dict().values(), again.state_dict().values(), strict=True)
    )

    embeddings = Embeddings.load(run.path / "embeddings.npz")
    scored = crossreid.score(
        embeddings, "sysu_mm01", trials=1, permutations=str(quick["data.root"]) + "/exp/rand_perm_cam.mat"
    )
    assert scored["sysu_mm01/all/single"].rank(1) == first.rank(1)


def test_settings_are_taken_as_they_are(tmp_path: Path, quick: dict[str, Any]) -> None:
    settings = tiny_lba(w_dt=0.0)
    people = SyntheticConfig(root=quick.pop("data.root"), cache=quick.pop("data.cache"), people=PEOPLE)
    protocol = SysuProtocolConfig(modes=["all"], shots=[1], trials=1)
    del quick["protocol.trials"]
    experiment = crossreid.Experiment(
        settings, people, protocol=protocol, trainer="cpu", run_dir=str(tmp_path / "run"), overrides=quick
    )
    config = experiment.config
    assert config.model is settings
    assert config.data is people
    assert config.protocol is protocol
    assert (config.scale, config.preset, config.choices.method) == (None, None, "lba")
    run = experiment.run()
    assert list(run.results.rows[0].results) == ["sysu_mm01/all/single"]
    assert run.config.model.plain() == settings.plain()


def test_a_row_says_its_method_itself() -> None:
    experiment = crossreid.Experiment(row="aligngan/pixalign", scale="smoke", trainer="cpu")
    assert experiment.config.choices.row == "aligngan/pixalign"
    assert (experiment.config.model.name, experiment.config.model.feature.gan) == ("aligngan", 0.0)
    with pytest.raises(ConfigError, match="give model or row, not both"):
        crossreid.Experiment("lba", row="lba/full")
    with pytest.raises(ConfigError, match="A preset does not apply"):
        crossreid.Experiment(LbAConfig(), preset="official")


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"model": "lbaa"}, "did you mean model=lba"),
        ({"row": "lba/ful"}, "did you mean experiment=lba/full"),
        ({"model": "lba", "overrides": {"model.w_dtt": 1}}, "did you mean model.w_dt"),
        ({"model": LbAConfig(beta=-1.0)}, "model.beta is -1.0: choose above 0"),
        ({"model": "lba", "overrides": {"model.layers": [5]}}, "model.layers"),
        ({"model": "lba", "trainer": "gpux"}, "did you mean trainer=gpu"),
        ({"model": "lba", "protocol": SysuMM01Config(root="x")}, "protocol was given a SysuMM01Config"),
        ({"model": "lba", "data": SysuProtocolConfig()}, "data was given a SysuProtocolConfig"),
        ({"model": BackboneConfig()}, "model was given a BackboneConfig"),
        ({"model": LbAConfig}, "model was given the class LbAConfig: give it a name, or a MethodConfig of its own"),
        ({"model": "lba", "protocol": SysuProtocolConfig}, "protocol was given the class SysuProtocolConfig"),
        ({"model": "lba", "data": 3}, "data was given a int: give it a name"),
        ({"model": "lba", "trainer": LbAConfig()}, "trainer was given a LbAConfig: give it a name or a value"),
        ({"model": "lba", "scale": LbAConfig}, "scale was given the class LbAConfig: give it a name or a value"),
    ],
)
def test_mistakes_are_said_when_an_experiment_is_made(given: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        crossreid.Experiment(**given)


def test_overrides_are_said_as_a_command_line_would() -> None:
    words = as_overrides({"a": None, "b": True, "c": [1, "x"], "d": {"e": 0.5}, "f": "a b, 'c'", "g": "/data/x.mat"})
    assert words == ["a=null", "b=true", "c=[1,x]", "d={e:0.5}", "f='a b, \\'c\\''", "g=/data/x.mat"]


def test_a_folder_with_odd_letters_arrives_whole(tmp_path: Path) -> None:
    folder = tmp_path / "people [2] of Zürich, night's"
    config = crossreid.Experiment("hog", overrides={"data.root": str(folder)}).config
    assert config.data.folder == folder


def test_loading_says_what_is_wrong(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="There is no checkpoint at"):
        crossreid.load(tmp_path)
    (tmp_path / "last.ckpt").write_bytes(b"not a checkpoint")
    with pytest.raises(CheckpointError, match="cannot be read"):
        crossreid.load(tmp_path)


def test_scoring_says_what_is_wrong(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="There is no protocol 'sysu'"):
        crossreid.score(tmp_path / "x.npz", "sysu")
    with pytest.raises(ConfigError, match=r"did you mean protocol\.trials"):
        crossreid.score(tmp_path / "x.npz", "sysu_mm01", trails=3)


def test_embeddings_from_a_file_are_scored(tmp_path: Path) -> None:
    generator = np.random.default_rng(0)
    features = generator.normal(size=(40, 8)).astype(np.float32)
    pids = np.repeat(np.arange(1, 6), 8)
    camids = np.tile([1, 2, 3, 6, 1, 2, 3, 6], 5)
    frames = np.tile([0, 0, 0, 0, 1, 1, 1, 1], 5)
    np.savez(tmp_path / "mine.npz", features=features, pids=pids, camids=camids, frames=frames)
    results = crossreid.score(tmp_path / "mine.npz", "sysu_mm01", draw="seeded", trials=2)
    assert results.rows[0].name == "mine"
    assert set(results.rows[0].results) == {
        f"sysu_mm01/{mode}/{shots}" for mode in ("all", "indoor") for shots in ("single", "multi")
    }


# ---------------------------------------------------------------- a plain Lightning trainer


def plain_trainer(folder: Path, **changed: Any) -> pl.Trainer:
    quiet = {"logger": False, "enable_progress_bar": False, "enable_model_summary": False}
    return pl.Trainer(accelerator="cpu", default_root_dir=folder, use_distributed_sampler=False, **quiet, **changed)


def people_of(people_root: Path, shared_folder: Path) -> SyntheticConfig:
    return SyntheticConfig(root=str(people_root), cache=str(shared_folder / "cache"), people=PEOPLE)


def test_a_plain_trainer_stops_behind_the_last_phase(tmp_path: Path, people_root: Path, shared_folder: Path) -> None:
    settings = OneStreamConfig(backbone=SMALL_BACKBONE, **TINY)
    data = ReIDDataModule.for_method(people_of(people_root, shared_folder), settings, progress=False)
    method = OneStream(settings, num_identities=data.num_identities)
    trainer = plain_trainer(tmp_path, max_epochs=-1)
    trainer.fit(method, data)
    assert method.iteration == settings.iterations == 4

    path = tmp_path / "plain.ckpt"
    trainer.save_checkpoint(path)
    kept = torch.load(path, weights_only=True)["hyper_parameters"]
    assert from_plain(OneStreamConfig, kept["config"]) == settings
    for again in (OneStream.load_from_checkpoint(path), crossreid.load(path, device="cpu")):
        assert again.config == settings
        assert again.num_identities == data.num_identities
        pairs = zip(again.state_dict().values(), method.state_dict().values(), strict=True)
        assert all(torch.equal(one, two) for one, two in pairs)


@pytest.mark.slow
def test_the_data_module_says_how_long_an_epoch_is(tmp_path: Path, people_root: Path, shared_folder: Path) -> None:
    settings = OneStreamConfig(backbone=SMALL_BACKBONE, streams=TINY["streams"], epochs=1)
    data = ReIDDataModule.for_method(people_of(people_root, shared_folder), settings, progress=False)
    images = data.training_images
    assert data.iterations_per_epoch == -(-images // 4)
    method = OneStream(settings, num_identities=data.num_identities)
    plain_trainer(tmp_path, max_epochs=1, enable_checkpointing=False).fit(method, data)
    assert method.iteration == data.iterations_per_epoch


def test_without_a_data_module_somebody_must_say_it(tmp_path: Path) -> None:
    method = OneStream(replace(OneStreamConfig(), backbone=SMALL_BACKBONE), num_identities=4)
    loader = torch.utils.data.DataLoader([0])
    with pytest.raises(ConfigError, match=r"model\.iterations_per_epoch is not known"):
        plain_trainer(tmp_path, max_epochs=1).fit(method, loader)


def test_a_constructor_needs_no_seed_and_downloads_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*args: object, **kwargs: object) -> None:
        raise AssertionError("a download was tried")

    monkeypatch.setattr("torch.hub.load_state_dict_from_url", refuse)
    method = LbA(LbAConfig(), num_identities=5)
    assert method.config.backbone.weights == "imagenet"
    assert LbA({"w_dt": 0.0}, num_identities=5).config.w_dt == 0.0


def test_an_experiment_with_ranks_is_the_only_one_of_its_program(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Its other processes start the program from the top, where they would meet another experiment."""
    from crossreid import experiment as front_door

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(front_door, "_before", [False])
    second = crossreid.Experiment(model="baseline", scale="smoke", trainer="ddp_cpu")
    with pytest.raises(ConfigError, match="must be the first of its program"):
        second.run()
    monkeypatch.setattr(front_door, "_before", [True])
    monkeypatch.setenv("LOCAL_RANK", "1")
    with pytest.raises(SystemExit) as end:
        crossreid.Experiment(model="baseline", scale="smoke").run()
    assert end.value.code == 0
    assert not list(tmp_path.iterdir())
