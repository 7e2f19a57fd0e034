"""Every composition that a person can ask for, and the errors of settings that cannot be."""

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from itertools import product
from pathlib import Path

import pytest
import yaml
from hydra.core.override_parser.overrides_parser import OverridesParser
from omegaconf import OmegaConf

from crossreid.errors import ConfigError
from crossreid.experiment import Experiment
from crossreid.settings.commands import COMMANDS, CheckConfig, EvaluateConfig
from crossreid.settings.compose import _load, compose, known_keys, run_config, typed
from crossreid.settings.registry import built_in_methods, method_settings
from crossreid.settings.run import RunConfig, TrainConfig
from crossreid.settings.store import packaged_conf
from support import ROOT, choices

CONF = ROOT / "conf"
SCALES, PRESETS = choices("scale"), choices("preset")


def train_config(*overrides: str) -> RunConfig:
    """Settings that passed every check, those of this machine too."""
    config = run_config(compose("train", overrides))
    Experiment.from_config(config).check()
    return config


@pytest.mark.parametrize("model", built_in_methods())
@pytest.mark.parametrize(("scale", "preset"), list(product(SCALES, PRESETS)))
def test_every_model_scale_and_preset_composes_to_valid_settings(model: str, scale: str, preset: str) -> None:
    config = train_config(f"model={model}", f"scale={scale}", f"preset={preset}")
    chosen = config.choices
    assert (chosen.method, chosen.preset, chosen.scale, config.label) == (model, preset, scale, model)


@pytest.mark.parametrize("experiment", choices("experiment"))
@pytest.mark.parametrize("scale", ["smoke", "paper"])
def test_every_row_combines_with_every_scale(experiment: str, scale: str) -> None:
    config = train_config(f"experiment={experiment}", f"scale={scale}")
    assert config.label == config.row == experiment
    if config.model.iterations_per_epoch is None:
        assert scale == "paper"
        return
    assert (config.model.iterations < 10) == (scale == "smoke" or not config.model.trains)


@pytest.mark.parametrize("model", built_in_methods())
def test_the_class_alone_is_the_full_setting_on_sysu(model: str) -> None:
    composed = train_config(f"model={model}", "scale=paper", "data=sysu_mm01", "data.root=/data").model
    assert type(composed) is method_settings(model)
    assert composed.plain() == method_settings(model)().plain()


def leaves(values: object, place: tuple[str, ...] = ()) -> dict[tuple[str, ...], object]:
    """Key -> value of nested mappings."""
    if not isinstance(values, dict):
        return {place: values}
    found = {}
    for name, value in values.items():
        found |= leaves(value, (*place, name))
    return found


@pytest.mark.parametrize("model", built_in_methods())
def test_no_file_says_a_default_again(model: str) -> None:
    """A model's own file says nothing; a preset's or row's says nothing that the class says already."""
    own = leaves(method_settings(model)().plain())
    for path in [CONF / "model" / f"{model}.yaml", *(CONF / "model_preset" / model).glob("*.yaml")]:
        content = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
        content.pop("defaults", None)
        again = {key for key, value in leaves(content).items() if key in own and own[key] == value}
        assert not again, f"{path}: {again}"


@pytest.mark.parametrize("command", ["train", *COMMANDS])
def test_no_command_file_says_a_default_again(command: str) -> None:
    """The files of the commands hold choices, and nothing of the settings."""
    content = yaml.safe_load((CONF / f"{command}.yaml").read_text(encoding="utf-8"))
    assert set(content) == {"defaults", "hydra"}


def test_trainer_and_logger_files_say_only_what_differs() -> None:
    plain = TrainConfig().plain()
    for group in ("trainer", "logger", "selection"):
        for path in (CONF / group).glob("*.yaml"):
            content = yaml.safe_load(path.read_text(encoding="utf-8"))
            assert content, f"{path} says nothing"
            again = {key for key, value in content.items() if plain[group][key] == value}
            assert not again, f"{path}: {again}"


def test_a_row_sets_method_switches_only() -> None:
    for path in (CONF / "experiment").rglob("*.yaml"):
        content = OmegaConf.to_container(OmegaConf.load(path))
        assert set(content) <= {"defaults", "model", "protocol"}
        assert set(content) > {"defaults"} or path.stem in ("jd_all_ts", "basel"), f"{path} only forwards"
        assert set(content.get("protocol", {})) <= {"rerank", "modes", "shots"}  # what is scored besides, not how
        assert not {"streams", "phases", "epochs", "iterations_per_epoch"} & set(content.get("model", {}))


def test_the_dataset_implies_a_scale_and_an_explicit_one_wins() -> None:
    real = ["data=sysu_mm01", "data.root=/data"]
    assert train_config().scale == "small"
    assert train_config(*real).scale == "paper"
    assert train_config("data=folder", "data.root=/mine").scale == "paper"  # real images
    assert train_config("scale=smoke", *real).scale == "smoke"
    assert train_config(*real, "scale=small").scale == "small"


def test_real_data_start_from_imagenet_and_the_embedded_set_from_scratch() -> None:
    assert train_config("data=sysu_mm01", "data.root=/data").model.backbone.weights == "imagenet"
    assert train_config().model.backbone.weights == "random"


def test_the_full_setting_is_the_published_one() -> None:
    official = train_config("data=sysu_mm01", "data.root=/data", "preset=official").model
    assert official.phases == {"feature": 5000, "pixel": 10000, "joint": 10100}
    assert (official.streams["identity"].identities, official.streams["gan"].identities) == (18, 4)
    assert official.feature_optimizer.encoder_lr == 0.02
    paper = train_config("data=sysu_mm01", "data.root=/data", "preset=paper").model
    assert paper.streams["gan"].plain() == {
        "identities": 18,
        "images": 4,
        "height": 128,
        "width": 128,
        "sampling": "passes",
    }


SYSU_IMAGES, LLCM_IMAGES, REGDB_IMAGES = 22258, 16946, 2060  # of the modality that has more


@pytest.mark.parametrize(("images", "iterations"), [(SYSU_IMAGES, 696), (LLCM_IMAGES, 530), (REGDB_IMAGES, 65)])
def test_an_epoch_is_one_pass_over_the_images(images: int, iterations: int) -> None:
    stream = train_config("model=cmssft", "scale=paper").model.streams["identity"]
    assert -(-images // (stream.identities * stream.images)) == iterations


def test_the_full_setting_of_cmssft_is_the_published_one() -> None:
    model = train_config("model=cmssft", "data=sysu_mm01", "data.root=/data").model.with_epoch(696)
    assert model.phase_lengths() == {"joint": 120 * 696}
    assert (model.decay.after, model.decay.factor) == ([40, 70], 0.1)
    assert model.streams["identity"].plain() == {
        "identities": 8,
        "images": 4,
        "height": 288,
        "width": 144,
        "sampling": "passes",
    }
    assert (model.optimizer.lr, model.k) == (3.5e-4, 4)
    assert (model.reconstruction, model.modality, model.projection) == (1.0, 0.2, 0.2)


def values_of(key: str, values: str) -> list[str]:
    """What a sweep gives a setting, one after the other; a value may be a group of settings with commas of its own."""
    override = OverridesParser.create().parse_override(f"{key}={values}")
    return list(override.sweep_string_iterator()) if override.is_sweep_override() else [values]


@pytest.mark.parametrize("sweep", choices("sweep"))
def test_sweeps_turn_multirun_on_and_every_job_composes(sweep: str) -> None:
    content = OmegaConf.load(CONF / "sweep" / f"{sweep}.yaml")
    assert content.hydra.mode == "MULTIRUN"
    options = {key: values_of(key, str(values)) for key, values in content.hydra.sweeper.params.items()}
    first = {key: values[0] for key, values in options.items()}
    data = ["data=synthetic_regdb"] if "data.split" in options else []
    rows = choices("experiment")  # each row is composed by a test of its own
    assert set(options.get("experiment", [])) <= set(rows)
    for key, values in options.items():
        for value in values[:1] if key in ("experiment", "seed") else values:
            words = [f"{name}={chosen}" for name, chosen in (first | {key: value}).items()]
            OverridesParser.create().parse_overrides(words)
            train_config(*data, "scale=paper", *words)


@pytest.mark.parametrize(("trainer", "logger"), list(product(choices("trainer"), choices("logger"))))
def test_every_trainer_and_logger_composes(trainer: str, logger: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch.cuda.device_count", lambda: 2)
    assert train_config(f"trainer={trainer}", f"logger={logger}").logger.name in ("csv", "wandb")


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["trainer.precision=16-mixed"], "use trainer.precision=bf16-mixed"),
        (["trainer.strategy=fsdp"], "trainer.strategy is 'fsdp': choose from"),
        (["protocol.draw=lucky"], "protocol.draw is 'lucky': choose from official, descending, seeded"),
        (["protocol.trials=0"], "protocol.trials is 0: choose 1 to 10"),
        (["protocol.shots=[0]"], "protocol.shots is 0: choose 1 or more"),
        (["logger.name=tensorboard"], "choose from csv, wandb"),
        (["trainer.log_every=0"], "1 or more"),
        (["seed=many"], "seed is 'many': give a whole number"),
        (["seed=-1"], "seed is -1: choose 0 or more"),
        (["trainer.devices=0"], "trainer.devices is '0'"),
        (["trainer=cpu", "trainer.strategy=ddp"], "needs several processes"),
        (["data.evaluation_batch=0"], "1 or more"),
        (["report.tsne_identities=30"], "0 to 10"),
        (["selection=validation", "selection.every=0"], "give 1 or more"),
        (["selection=validation", "selection.every=7"], "does not divide the 19 epochs"),
        (["selection.every=2"], "goes with selection=validation"),
        (["data.people.frames=0"], "data.people.frames is 0: choose 1 to 255"),
        (["trainer.time_budget=nan"], "trainer.time_budget is nan"),
        (["trainer.time_budget=0"], "choose above 0"),
        (["model.flp=0.5"], "There is no setting 'model.flp': did you mean model.flip"),
        (["model.backbone.nmae=resnet18"], "did you mean model.backbone.name"),
        (["modle=lba"], "There is no setting 'modle': did you mean model"),
        (["model=lbaa"], "There is no model=lbaa: did you mean model=lba"),
        (["experiment=lba/ful"], "There is no experiment=lba/ful: did you mean experiment=lba/full"),
        (["data=sysu_mm01"], r"data.root has no default: give it \(the folder that holds cam1..cam6 and exp\)"),
        (["model.flip=often"], "model.flip is 'often': give a number"),
        (["experiment=aligngan/basel", "model=aligngan"], "is a row of model=baseline, and model=aligngan is chosen"),
        (["experiment=lba/full", "model=agw"], "experiment=lba/full is a row of model=lba"),
        (["plugins=[not_a_package]"], "plugins names 'not_a_package', which cannot be imported"),
        (["plugins=[json]"], "has neither METHODS nor DATASETS"),
    ],
)
def test_wrong_values_are_named_in_one_sentence(overrides: list[str], message: str) -> None:
    with pytest.raises(ConfigError, match=message) as caught:
        train_config(*overrides)
    told = str(caught.value)
    assert "\n" not in told
    assert not any(word in told for word in ("OmegaConf", "struct", "hydra", "Hydra", "object_type"))


def test_a_row_beside_its_own_method_is_fine() -> None:
    assert train_config("experiment=lba/full", "model=lba").row == "lba/full"


def test_a_method_without_settings_for_a_scale_is_refused_unless_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("crossreid.settings.compose.is_choice", lambda group, name: False)
    with pytest.raises(ConfigError, match=r"lba has no settings for scale=small: add conf/model_scale/lba/small.yaml"):
        train_config("model=lba")
    assert train_config("model=lba", "defaults_for_missing=true").model.name == "lba"
    assert train_config("model=hog").model.name == "hog"  # says itself that its own settings are meant


def test_a_gpu_that_is_not_there_is_said_before_anything_else(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch.cuda.device_count", lambda: 0)
    with pytest.raises(ConfigError, match="needs a CUDA GPU and torch finds none: choose trainer=cpu"):
        train_config("trainer=gpu")
    monkeypatch.setattr("torch.cuda.device_count", lambda: 2)
    assert train_config("trainer=ddp").trainer.devices == 2
    with pytest.raises(ConfigError, match="asks for 4 GPUs and there are 2"):
        train_config("trainer=ddp", "trainer.devices=4")


def test_figures_without_their_packages_are_refused_before_training(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("crossreid.training.environment.find_spec", lambda name: None)
    with pytest.raises(ConfigError, match=r"pip install 'crossreid\[viz\]', or set report.figures=false"):
        train_config()
    assert not train_config("report.figures=false").report.figures


def test_half_precision_is_fine_for_one_player() -> None:
    assert train_config("model=baseline", "trainer.precision=16-mixed").trainer.precision == "16-mixed"


PROTOCOL_OF = {"synthetic": "sysu_mm01", "synthetic_regdb": "regdb", "folder": "all_pairs"}


@pytest.mark.parametrize("data", [name for name in choices("data") if name != "trained"])
def test_every_dataset_brings_its_protocol_to_every_command(data: str) -> None:
    wanted = PROTOCOL_OF.get(data, data)
    words = [f"data={data}", "data.root=/data"]
    assert train_config(*words).choices.protocol == wanted
    assert typed(CheckConfig, compose("check", words)).protocol.name == wanted
    scored = typed(EvaluateConfig, compose("evaluate", [*words, "checkpoint=last.ckpt"]))
    assert (scored.data.name, scored.protocol.name) == (data, wanted)
    assert train_config(*words, "protocol=all_pairs").choices.protocol == "all_pairs"  # an explicit choice wins


def test_evaluate_takes_dataset_and_protocol_from_the_checkpoint_by_default() -> None:
    config = typed(EvaluateConfig, compose("evaluate", ["checkpoint=last.ckpt"]))
    assert (config.data.name, config.protocol.name) == ("trained", "auto")
    named = typed(EvaluateConfig, compose("evaluate", ["checkpoint=last.ckpt", "protocol=sysu_mm01"]))
    assert named.protocol.draw == "official"


def test_every_file_says_what_it_is_for() -> None:
    for path in CONF.rglob("*.yaml"):
        assert path.read_text(encoding="utf-8").lstrip().startswith("#"), f"{path} says nothing about itself"
        assert yaml.safe_load(path.read_text(encoding="utf-8")), f"{path} sets nothing"


def test_conf_is_found_in_the_repository() -> None:
    assert packaged_conf() == Path(CONF)


# ---------------------------------------------------------------- Hydra's loader, without a Hydra application


def test_composing_twice_and_in_threads_gives_the_same() -> None:
    words = ["model=lba", "scale=smoke", "model.w_dt=0"]
    alone = run_config(compose("train", words)).to_plain()
    assert run_config(compose("train", words)).to_plain() == alone
    with ThreadPoolExecutor(4) as pool:
        composed = list(pool.map(lambda _: run_config(compose("train", words)).to_plain(), range(8)))
    assert all(plain == alone for plain in composed)


APP = """
import hydra
from omegaconf import DictConfig
import crossreid

@hydra.main(version_base="1.3", config_path=None)
def app(cfg: DictConfig) -> None:
    from hydra.core.global_hydra import GlobalHydra
    before = GlobalHydra.instance().hydra
    experiment = crossreid.Experiment(model="lba", scale="smoke", overrides={"model.w_dt": 0.0})
    assert GlobalHydra.instance().hydra is before
    print("composed", experiment.config.model.w_dt, experiment.config.label)

app()
"""


@pytest.mark.slow
def test_it_works_inside_another_programs_application(tmp_path: Path) -> None:
    (tmp_path / "app.py").write_text(APP)
    done = subprocess.run(
        [sys.executable, "app.py", "hydra.run.dir=."], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert "composed 0.0 lba" in done.stdout, done.stderr


def test_known_keys_are_those_of_the_choices() -> None:
    keys = known_keys("train", ["model=lba", "model.w_dt=0"])
    assert {"model.w_dt", "model.backbone.name", "trainer.devices"} <= set(keys)
    assert not any(key.startswith("hydra") for key in keys)


def test_settings_import_neither_torch_nor_lightning() -> None:
    code = (
        "import sys, pkgutil, importlib, crossreid.settings as package\n"
        "for info in pkgutil.iter_modules(package.__path__):\n"
        "    importlib.import_module(f'crossreid.settings.{info.name}')\n"
        "from crossreid.settings.registry import built_in_methods, method_settings\n"
        "[method_settings(name)() for name in built_in_methods()]\n"
        "heavy = {'torch', 'pytorch_lightning', 'lightning_fabric', 'torchvision'} & set(sys.modules)\n"
        "sys.exit(f'imported: {heavy}' if heavy else 0)\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_jobs_of_the_comparison_have_folders_of_their_own() -> None:
    """Folders are named after row and seed, so that a sweep that is started again finds what is finished."""
    folders = set()
    for row, seed in product(("lba/full", "agw/full"), (0, 1)):
        composed = _load("train", ["sweep=comparison", f"experiment={row}", f"seed={seed}"])
        folders.add(str(composed.hydra.sweep.subdir))
    assert folders == {"lba/full_seed0", "lba/full_seed1", "agw/full_seed0", "agw/full_seed1"}


@pytest.mark.parametrize("model", built_in_methods())
def test_at_the_medium_scale_every_scored_encoder_gets_the_same_number_of_updates(model: str) -> None:
    settings = train_config(f"model={model}", "scale=medium").model
    if not settings.trains:
        return
    phases = settings.active_phases()
    updates = phases["joint"]
    if model == "aligngan":  # the pixel phase trains generators alone
        updates += phases["feature"]
    assert updates == 4000
    stream = settings.streams["identity"]
    assert (stream.identities, stream.images, stream.height, stream.width) == (8, 4, 128, 64)
    assert (settings.backbone.name, settings.backbone.weights) == ("resnet18", "random")


@pytest.mark.parametrize("experiment", choices("experiment"))
def test_rows_of_a_method_are_as_long_at_the_medium_scale(experiment: str) -> None:
    """A gain over one's own baseline is none of longer training."""
    settings = train_config(f"experiment={experiment}", "scale=medium").model
    if not settings.trains:
        return
    phases = settings.active_phases()
    if "teacher" in phases and not settings.has_student:  # Table III's networks of one modality
        return
    assert phases["joint"] + phases.get("feature", 0) == 4000
