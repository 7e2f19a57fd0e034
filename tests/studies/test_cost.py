"""What an embedding costs: parameters on its path, and a table of every method in one run."""

import json
import re
from pathlib import Path

import pytest
import torch

from crossreid.errors import ConfigError
from crossreid.settings.commands import CostConfig
from crossreid.settings.compose import compose, run_config
from crossreid.settings.registry import method_names
from crossreid.studies.footprint import count_values, measure_methods, parameters_used, timed, without_classifiers
from crossreid.training.environment import machine
from crossreid.training.loading import make_method
from support import choices


@pytest.mark.slow
def test_every_method_is_measured_in_one_run(run_here, tmp_path: Path) -> None:
    finished = run_here("cost", "scale=smoke", "size=null", "batches=[1,2]", "warmup=1", "runs=3", "accelerator=cpu")
    assert finished.code == 0, finished.output
    found = json.loads((tmp_path / "cost.json").read_text())
    assert sorted(found["methods"]) == choices("model")
    for name, method in found["methods"].items():
        assert name in finished.output
        largest = max(method["parameters"][m] for m in ("visible", "infrared"))
        assert method["parameters"]["either"] >= largest
        assert (largest > 0) == (name != "hog")  # which has nothing to train
        assert (method["parameters"]["scoring"] > 0) == (name == "cmssft")
        for modality in ("visible", "infrared"):
            times = method["milliseconds_per_image"][modality]
            assert set(times) == {"1", "2"}
            assert all(time["mean"] > 0 for time in times.values())
            assert all(time["std"] is not None for time in times.values())
    assert found["machine"] in finished.output
    for heading in ("visible ms, 1 at a time", "infrared ms, 2 at a time"):  # on a narrow terminal too
        assert heading in finished.output
    assert found["methods"]["lba"]["size"] == [64, 32]


@pytest.mark.full
def test_the_documented_command_measures_every_method_at_one_size(run_here, tmp_path: Path) -> None:
    finished = run_here("cost", "batches=[1]", "warmup=0", "runs=1", "accelerator=cpu")
    assert finished.code == 0, finished.output
    found = json.loads((tmp_path / "cost.json").read_text())
    assert sorted(found["methods"]) == choices("model")
    assert {tuple(method["size"]) for method in found["methods"].values()} == {(288, 144)}


def test_sizes_of_the_networks_are_those_of_table_2(run_here, tmp_path: Path) -> None:
    models = "models=[aligngan,baseline,lba]"
    finished = run_here("cost", models, "size=[64,32]", "batches=[1]", "warmup=0", "runs=1", "accelerator=cpu")
    assert finished.code == 0, finished.output
    found = json.loads((tmp_path / "cost.json").read_text())["methods"]
    resnet, stem = 23_508_032, 9_536
    assert found["lba"]["parameters"] == {"visible": resnet, "infrared": resnet, "either": resnet + stem, "scoring": 0}
    assert found["baseline"]["parameters"] == {"visible": resnet, "infrared": resnet, "either": resnet, "scoring": 0}
    assert found["aligngan"]["parameters"]["infrared"] == resnet
    generator = found["aligngan"]["parameters"]["visible"] - resnet
    assert round(generator / 1e6, 2) == 6.05  # 30.71 - 24.66
    assert {tuple(method["size"]) for method in found.values()} == {(64, 32)}
    assert found["lba"]["milliseconds_per_image"]["visible"]["1"]["std"] is None  # of one run


def test_a_method_is_measured_with_each_encoder(run_here, tmp_path: Path) -> None:
    timm = pytest.importorskip("timm", reason="pip install 'crossreid[timm]'")
    names = ["resnet18", "test_vit", "test_convnext"]
    words = [
        "scale=smoke",
        "models=[strong,onestream]",
        f"backbones=[{','.join(names)}]",
        "last_stride=1",
        "size=[64,32]",
    ]
    finished = run_here("cost", *words, "batches=[1]", "warmup=0", "runs=1", "accelerator=cpu")
    assert finished.code == 0, finished.output
    measured = json.loads((tmp_path / "cost.json").read_text())["methods"]
    assert list(measured) == [f"{method}, {name}" for method in ("strong", "onestream") for name in names]
    network = timm.create_model("test_vit", num_classes=0, img_size=(64, 32))
    vit = count_values(list(network.parameters()))
    assert measured["onestream, test_vit"]["parameters"]["visible"] == vit
    assert measured["strong, test_vit"]["parameters"]["either"] == vit + network.num_features  # the neck


def test_an_encoder_that_a_method_does_not_take_is_said_in_the_words_of_the_command(run_here) -> None:
    pytest.importorskip("timm", reason="pip install 'crossreid[timm]'")
    for words, message in (
        (["models=[agw]", "backbones=[test_vit]"], "takes a ResNet alone: set backbones to one of torchvision"),
        (["models=[onestream]", "backbones=[test_vit]"], "last_stride=2: the last blocks of test_vit"),
        (["models=[hog]", "backbones=[test_vit]"], "hog has no backbone: leave it out of models"),
        (["models=[strong]", "backbones=[vit_small_patch14_dinov2]"], "size=[288,144] is no multiple of the patches"),
    ):
        finished = run_here("cost", *words)
        assert finished.code == 1
        assert message in finished.output
        assert "model.backbone" not in finished.output


def test_only_parameters_that_take_part_are_counted() -> None:
    used, unused = torch.nn.Linear(3, 4), torch.nn.Linear(5, 6)
    norm = torch.nn.BatchNorm1d(4).eval()

    def work() -> None:
        with torch.no_grad():
            norm(used(used(torch.ones(1, 3))[:, :3]))

    found = parameters_used(work)
    assert count_values(found) == 3 * 4 + 4 + 8
    assert not {id(p) for p in unused.parameters()} & {id(p) for p in found}


@pytest.mark.parametrize("name", ["strong", "agw", "ddag", "deen", "mpanet"])
def test_classifiers_of_the_baselines_are_not_counted(name: str) -> None:
    """They run on the way to an embedding, which does not need them."""
    settings = run_config(compose("train", ["scale=smoke", f"model={name}"])).model
    module = make_method(settings, 11, seed=0).eval()
    images = torch.rand(1, 3, *settings.streams["identity"].size)
    with torch.no_grad():
        used = without_classifiers(parameters_used(lambda: module.embed(images, "visible")), module)
    expected = 0
    for key, parameter in module.named_parameters():
        if not key.startswith("graph") and "classifier" not in key and "streams.infrared" not in key:
            expected += parameter.numel()
    assert count_values(used) == expected


def test_warm_up_runs_are_not_counted() -> None:
    calls: list[int] = []
    seconds = timed(lambda: calls.append(1), warmup=2, runs=3, device=torch.device("cpu"))
    assert (len(calls), len(seconds)) == (5, 3)
    assert "thread" in machine(torch.device("cpu"))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"accelerator": "tpu"}, "accelerator is 'tpu': choose from auto, cpu, gpu"),
        ({"size": [288]}, r"size is \[288\]: give 2 entries \(height and width of the images"),
        ({"size": [288, 0]}, "size is 0: choose 1 or more"),
        ({"batches": []}, "batches needs at least one entry"),
        ({"models": []}, "models needs at least one entry"),
        ({"batches": [0]}, "batches is 0: choose 1 or more"),
        ({"runs": 0}, "runs is 0: choose 1 or more"),
        ({"warmup": -1}, "warmup is -1: choose 0 or more"),
        ({"last_stride": 2}, "last_stride=2 is of backbones, and none are named"),
        ({"last_stride": 3, "backbones": ["resnet18"]}, "last_stride is '3': choose from 1, 2"),
    ],
)
def test_impossible_settings_are_refused_in_one_sentence(settings: dict, message: str) -> None:
    with pytest.raises(ConfigError, match=message) as caught:
        CostConfig(**settings).check()
    assert "\n" not in str(caught.value)


def test_what_cannot_be_measured_is_said_before_anything_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    monkeypatch.setattr("crossreid.studies.footprint.make_method", lambda *_, **__: pytest.fail("a method was made"))
    for settings, message in (
        (CostConfig(models=["hog", "vit"]), f"There is no method 'vit': choose from {', '.join(method_names())}"),
        (CostConfig(models=["hog", "lbaa"]), "There is no method 'lbaa': did you mean lba?"),
        (CostConfig(accelerator="gpu"), "needs a CUDA GPU and torch finds none"),
    ):
        settings.check()
        with pytest.raises(ConfigError, match=re.escape(message)):
            measure_methods(settings, scale="smoke", preset="paper")
