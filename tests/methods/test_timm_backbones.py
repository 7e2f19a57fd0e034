"""Methods with encoders of timm, by the real commands: trained, killed and resumed, evaluated, exported; who takes them."""

import json
import time
from collections.abc import Callable
from copy import deepcopy
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch

from crossreid import Extractor, export
from crossreid.errors import ConfigError
from crossreid.settings.compose import compose, run_config
from crossreid.settings.method import MethodConfig
from crossreid.training.environment import check_files
from crossreid.training.loading import make_method
from processes import Command
from support import choices, smoke_settings

pytest.importorskip("timm", reason="pip install 'crossreid[timm]'")

FIVE = {
    "baseline": ("seresnext26t_32x4d", [64, 32]),
    "onestream": ("convnext_atto", [64, 32]),  # whose last stride is 2
    "cmgan": ("vit_tiny_patch16_224", [64, 32]),
    "strong": ("vit_small_patch14_dinov2", [56, 28]),
    "xmodality": ("vit_xsmall_patch16_clip_224", [64, 32]),
}
"""Method -> an encoder of each kind, and its size of images."""
SMALLEST = {"strong": "test_vit", "baseline": "test_convnext", "agw": "test_resnet"}
"""timm's own networks for tests."""
COMMON = ["model.iterations_per_epoch=4", "model.epochs=2", "model.schedule={warmup: 1, steps: [1]}"]
OF_BASELINE = ["model.iterations_per_epoch=4", "model.phases={joint: 8}", "model.decay.after=1"]
WATCHED = ["trainer.checkpoint_every=1", "trainer.log_every=1", "trainer.progress=false", "report.untrained=false"]


def with_backbone(method: str, name: str, size: list[int]) -> list[str]:
    length = OF_BASELINE if method == "baseline" else COMMON
    backbone = f"model.backbone={{name: {name}, weights: random, size: {size}}}"
    extra = ["model.non_local=[1,1]"] if method == "agw" else []
    return [f"model={method}", backbone, *length, *WATCHED, *extra]


def largest_difference(folder: Path) -> float:
    files = json.loads((folder / "model.json").read_text())["files"]
    return max(entry["largest_difference"] for entry in files.values())


def assert_same_training(one: Path, other: Path) -> None:
    first, second = (torch.load(run / "last.ckpt", weights_only=True) for run in (one, other))
    assert list(first["state_dict"]) == list(second["state_dict"])
    for name, weight in first["state_dict"].items():
        assert torch.equal(weight, second["state_dict"][name]), name
    rows = [json.loads((run / "results.json").read_text())["rows"] for run in (one, other)]
    assert rows[0] == rows[1]


@pytest.mark.full
@pytest.mark.parametrize("method", FIVE)
def test_an_encoder_of_timm_goes_the_whole_way(
    method: str, tmp_path: Path, people_root: Path, shared_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    name, size = FIVE[method]
    words = [*smoke_settings(people_root, shared_folder), *with_backbone(method, name, size), "seed=5"]
    began = time.perf_counter()
    Command(tmp_path, "train", *words, f"run_dir={tmp_path / 'whole'}").finish()
    trained = time.perf_counter() - began

    run = tmp_path / "stopped"
    command = Command(tmp_path, "train", *words, f"run_dir={run}")
    history = run / "history.csv"
    while not (history.is_file() and (run / "last.ckpt").is_file() and "\n3,phase" in history.read_text()):
        assert not command.ended, command.output
        time.sleep(0.02)
    command.kill()
    assert torch.load(run / "last.ckpt", weights_only=True)["crossreid"]["iteration"] < 8, "killed too late"
    Command(tmp_path, "train", *words, f"run_dir={run}", f"resume={run}").finish()
    assert_same_training(run, tmp_path / "whole")

    Command(
        tmp_path, "evaluate", f"checkpoint={run}", "protocol=auto", f"data.cache={shared_folder / 'cache'}"
    ).finish()
    differences = []
    for kind in ("onnx", "torch"):
        export(run, tmp_path / kind, kind)
        differences.append(largest_difference(tmp_path / kind))
    assert max(differences) < 1e-4
    rows = json.loads((run / "results.json").read_text())["rows"]
    rank1 = next(iter(rows[method]["protocols"].values()))["metrics"]["rank1"]["mean"]
    assert 0 <= rank1 <= 1
    with capsys.disabled():
        print(f"\n{method}, {name}: trained in {trained:.0f} s, exports differ by {differences}, rank-1 {rank1:.3f}")


@pytest.mark.slow
@pytest.mark.parametrize("method", ["strong", "agw", pytest.param("baseline", marks=pytest.mark.full)])
def test_a_small_encoder_of_timm_is_trained_and_exported(
    method: str, tmp_path: Path, people_root: Path, shared_folder: Path
) -> None:
    words = [*smoke_settings(people_root, shared_folder), *with_backbone(method, SMALLEST[method], [64, 32])]
    Command(tmp_path, "train", *words, f"run_dir={tmp_path / 'run'}").finish()
    export(tmp_path / "run", tmp_path / "program", "torch")
    assert largest_difference(tmp_path / "program") < 1e-4
    images = list((people_root / "cam1").rglob("*.jpg"))[:3]
    ours = Extractor(tmp_path / "run", "cpu", workers=0)(images, modality="visible").features["main"]
    exported = Extractor(tmp_path / "program", "cpu", workers=0, trust=True)(images, modality="visible").features[
        "main"
    ]
    np.testing.assert_allclose(ours, exported, atol=1e-4)


def test_a_checkpoint_builds_its_encoder_again(write_checkpoint: Callable[..., Path], people) -> None:
    path = write_checkpoint("cmgan", "model.backbone={name: test_vit, weights: random, size: [64, 32]}")
    images = [people.records[row].path for row in people.rows("test")[:2]]
    features = Extractor(path, "cpu", workers=0)(images, modality="visible").features["main"]
    assert features.shape == (2, 64)
    np.testing.assert_allclose(np.linalg.norm(features, axis=1), 1, atol=1e-5)


@cache
def composed(method: str) -> MethodConfig:
    return run_config(compose("train", [f"model={method}", "scale=smoke"])).model


def settings_of(method: str, backbone: str) -> MethodConfig:
    config = deepcopy(composed(method))
    if hasattr(config, "backbone"):
        config.backbone.name = backbone
        config.backbone.weights = "random"
        config.backbone.size = [64, 32]
        config.backbone.last_stride = 1
    if method == "best":
        config.pooling = "average"  # GeM wants a map without negative values
    return config


@pytest.mark.parametrize("method", choices("model"))
def test_a_method_takes_any_encoder_or_says_why_it_wants_a_resnet(method: str) -> None:
    config = settings_of(method, "test_vit")
    if not config.why_resnet():
        check_files(config)
        make_method(config, 5, 0)
        return
    with pytest.raises(ConfigError, match=f"^{method} {config.why_resnet()} and takes a ResNet alone: set model"):
        check_files(config)
    with pytest.raises(ConfigError, match="takes a ResNet alone"):
        make_method(config, 5, 0)


def test_who_is_for_any_encoder_is_known() -> None:
    any_encoder = [name for name in choices("model") if not settings_of(name, "resnet18").why_resnet()]
    assert any_encoder == [
        "aligngan",
        "baseline",
        "best",
        "cmgan",
        "hog",
        "onestream",
        "strong",
        "xmodality",
        "zeropadding",
    ]


def test_the_command_says_it_before_anything_is_drawn(run_here, tmp_path: Path) -> None:
    finished = run_here(
        "train", "model=ddag", "scale=smoke", f"data.root={tmp_path / 'people'}", "model.backbone.name=test_vit"
    )
    assert finished.code == 1
    assert "ddag has a stem for each modality and takes a ResNet alone: set model.backbone.name" in finished.output
    assert "Traceback" not in finished.output
    assert not (tmp_path / "people").exists()


def test_gem_wants_a_resnet_and_says_what_takes_any_encoder(run_here, tmp_path: Path) -> None:
    words = ["train", "model=best", "scale=smoke", f"data.root={tmp_path / 'people'}", "model.backbone.weights=random"]
    finished = run_here(*words, "model.backbone.name=test_vit")
    assert finished.code == 1
    assert "model.pooling=average takes any encoder" in finished.output
    assert "Traceback" not in finished.output
    assert not (tmp_path / "people").exists()
