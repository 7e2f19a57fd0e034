"""Every composition that a person can ask for, and the errors of settings that cannot be."""

from pathlib import Path

import pytest
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf

from crossreid.checks import check_train
from crossreid.config import TrainConfig, method_class, method_config, packaged_conf, typed
from crossreid.datasets import data_config
from crossreid.errors import ConfigError
from crossreid.protocols import protocol_config
from support import ROOT

CONF = ROOT / "conf"


def names(group: str) -> list[str]:
    return sorted(str(p.relative_to(CONF / group).with_suffix("")) for p in (CONF / group).rglob("*.yaml"))


def composed(*overrides: str, command: str = "train"):
    with initialize_config_dir(str(packaged_conf()), version_base="1.3"):
        return compose(command, overrides=list(overrides))


def train_config(*overrides: str) -> TrainConfig:
    plain = OmegaConf.to_container(composed(*overrides), resolve=True)
    config = typed(TrainConfig, plain)
    check_train(config, method_config(plain["model"]), len(method_class(plain["model"]).OPTIMIZERS))
    data_config(plain["data"])
    protocol_config(plain["protocol"])
    return config


@pytest.mark.parametrize("model", names("model"))
@pytest.mark.parametrize("scale", names("scale"))
@pytest.mark.parametrize("preset", names("preset"))
def test_every_model_scale_and_preset_composes_to_valid_settings(model: str, scale: str, preset: str) -> None:
    config = train_config(f"model={model}", f"scale={scale}", f"preset={preset}")
    method = method_config(config.model)
    assert (method.name, method.preset, config.scale["name"]) == (model, preset, scale)


@pytest.mark.parametrize("experiment", names("experiment"))
@pytest.mark.parametrize("scale", ["smoke", "paper"])
def test_every_row_combines_with_every_scale(experiment: str, scale: str) -> None:
    config = train_config(f"experiment={experiment}", f"scale={scale}")
    method = method_config(config.model)
    assert config.name == experiment
    assert (method.iterations < 10) == (scale == "smoke" or not method.trains)


def test_a_row_sets_method_switches_only() -> None:
    for name in names("experiment"):
        content = OmegaConf.to_container(OmegaConf.load(CONF / "experiment" / f"{name}.yaml"))
        assert set(content) <= {"defaults", "name", "model", "protocol"}
        assert set(content.get("protocol", {})) <= {"rerank", "modes", "shots"}  # what is scored besides, not how
        assert not {"streams", "phases", "iterations_per_epoch"} & set(content.get("model", {}))


def test_the_dataset_implies_a_scale_and_an_explicit_one_wins() -> None:
    real = ["data=sysu_mm01", "data.root=/data"]
    assert train_config().scale["name"] == "small"
    assert train_config(*real).scale["name"] == "paper"
    assert train_config("scale=smoke", *real).scale["name"] == "smoke"
    assert train_config(*real, "scale=small").scale["name"] == "small"


def test_real_data_start_from_imagenet_and_the_embedded_set_from_scratch() -> None:
    assert train_config("data=sysu_mm01", "data.root=/data").model["backbone"]["weights"] == "imagenet"
    assert train_config().model["backbone"]["weights"] == "random"


def test_the_full_setting_is_the_published_one() -> None:
    model = train_config("data=sysu_mm01", "data.root=/data", "preset=official").model
    assert model["phases"] == {"feature": 5000, "pixel": 10000, "joint": 10100}
    assert (model["streams"]["identity"]["identities"], model["streams"]["gan"]["identities"]) == (18, 4)
    assert model["feature_optimizer"]["encoder_lr"] == 0.02
    paper = train_config("data=sysu_mm01", "data.root=/data", "preset=paper").model
    assert paper["streams"]["gan"] == {"identities": 18, "images": 4, "height": 128, "width": 128}


def test_the_full_setting_of_cmssft_is_the_published_one() -> None:
    model = train_config("model=cmssft", "data=sysu_mm01", "data.root=/data").model
    assert model["phases"] == {"joint": 120 * 696}
    assert model["iterations_per_epoch"] == 696
    assert model["decay"] == {"after": [40 * 696, 70 * 696], "factor": 0.1}
    assert model["streams"]["identity"] == {"identities": 8, "images": 4, "height": 288, "width": 144}
    assert (model["optimizer"]["lr"], model["k"]) == (3.5e-4, 4)
    assert [model[name] for name in ("reconstruction", "modality", "projection")] == [1.0, 0.2, 0.2]


@pytest.mark.parametrize("sweep", names("sweep"))
def test_sweeps_turn_multirun_on_and_every_job_composes(sweep: str) -> None:
    content = OmegaConf.load(CONF / "sweep" / f"{sweep}.yaml")
    assert content.hydra.mode == "MULTIRUN"
    choices = {key: str(values).split(",") for key, values in content.hydra.sweeper.params.items()}
    first = {key: values[0] for key, values in choices.items()}
    data = ["data=synthetic_regdb"] if "data.split" in choices else []
    for key, values in choices.items():
        for value in values:
            train_config(*data, "scale=paper", *(f"{k}={v}" for k, v in (first | {key: value}).items()))


@pytest.mark.parametrize("trainer", names("trainer"))
@pytest.mark.parametrize("logger", names("logger"))
def test_every_trainer_and_logger_composes(trainer: str, logger: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch.cuda.device_count", lambda: 2)
    config = train_config(f"trainer={trainer}", f"logger={logger}")
    assert config.logger.name in ("csv", "wandb")


def test_every_key_of_the_methods_stands_in_its_model_file() -> None:
    for name in names("model"):
        content = OmegaConf.load(CONF / "model" / f"{name}.yaml")
        schema = OmegaConf.structured(method_class({"_target_": content._target_}).CONFIG)
        assert set(schema) == set(content), name


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["trainer.precision=16-mixed"], "use trainer.precision=bf16-mixed"),
        (["trainer.strategy=fsdp"], "trainer.strategy is 'fsdp': choose from"),
        (["protocol.draw=lucky"], "protocol.draw is 'lucky': choose from official, seeded"),
        (["protocol.trials=0"], "protocol.trials is 0: choose 1 to 10"),
        (["protocol.shots=[0]"], "shots are 1 or more"),
        (["logger.name=tensorboard"], "choose from csv, wandb"),
        (["trainer.log_every=0"], "1 or more"),
        (["seed=many"], "seed"),
        (["trainer.devices=0"], "trainer.devices is '0'"),
        (["trainer=cpu", "trainer.strategy=ddp"], "needs several processes"),
        (["data.evaluation_batch=0"], "1 or more"),
        (["report.tsne_identities=30"], "0 to 10"),
        (["selection=validation", "selection.every=0"], "give 1 or more"),
        (["selection=validation", "selection.every=7"], "does not divide the 16 epochs"),
        (["selection.every=2"], "goes with selection=validation"),
        (["data.people.frames=0"], "frames"),
    ],
)
def test_wrong_values_are_named_in_one_sentence(overrides: list[str], message: str) -> None:
    with pytest.raises(ConfigError, match=message) as caught:
        train_config(*overrides)
    assert "\n" not in str(caught.value)


def test_a_gpu_that_is_not_there_is_said_before_anything_else(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch.cuda.device_count", lambda: 0)
    with pytest.raises(ConfigError, match="needs a CUDA GPU and torch finds none: choose trainer=cpu"):
        train_config("trainer=gpu")
    monkeypatch.setattr("torch.cuda.device_count", lambda: 2)
    assert train_config("trainer=ddp").trainer.devices == 2
    with pytest.raises(ConfigError, match="asks for 4 GPUs and there are 2"):
        train_config("trainer=ddp", "trainer.devices=4")


def test_figures_without_their_packages_are_refused_before_training(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("crossreid.checks.find_spec", lambda name: None)
    with pytest.raises(ConfigError, match=r"pip install 'crossreid\[viz\]', or set report.figures=false"):
        train_config()
    assert not train_config("report.figures=false").report.figures


def test_half_precision_is_fine_for_one_player() -> None:
    assert train_config("model=baseline", "trainer.precision=16-mixed").trainer.precision == "16-mixed"


PROTOCOL_OF = {"synthetic": "sysu_mm01", "synthetic_regdb": "regdb", "folder": "all_pairs"}


@pytest.mark.parametrize("data", [name for name in names("data") if name != "trained"])
def test_every_dataset_brings_its_protocol_to_every_command(data: str) -> None:
    wanted = PROTOCOL_OF.get(data, data)
    for command in ("train", "evaluate", "check"):
        plain = OmegaConf.to_container(composed(f"data={data}", "data.root=/data", command=command), resolve=True)
        assert data_config(plain["data"]).name == data
        assert protocol_config(plain["protocol"]).name == wanted
    other = composed(f"data={data}", "data.root=/data", "protocol=all_pairs")
    assert other.protocol.name == "all_pairs"  # an explicit choice wins


def test_evaluate_takes_dataset_and_protocol_from_the_checkpoint_by_default() -> None:
    cfg = composed(command="evaluate")
    assert (cfg.data.name, cfg.protocol.name) == ("trained", "auto")
    assert composed("protocol=sysu_mm01", command="evaluate").protocol.draw == "official"


def test_every_setting_is_explained_where_it_stands() -> None:
    for path in CONF.rglob("*.yaml"):
        assert path.read_text(encoding="utf-8").lstrip().startswith("#"), f"{path} says nothing about itself"


def test_conf_is_found_in_the_repository() -> None:
    assert packaged_conf() == Path(CONF)
