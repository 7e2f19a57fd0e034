"""The command behind JSIA-ReID's Table 4, in seconds."""

import json
from pathlib import Path

import pytest

from crossreid.errors import ConfigError
from crossreid.generation.settings import ImageQualityConfig

QUICK = [
    "iterations=2",
    "judge.iterations=2",
    "images=2",
    "device=cpu",
    "generator={channels: 4, layers: 2, latent: 4}",
]


def trained(run_here, smoke_args: list[str], *settings: str) -> str:
    finished = run_here("train", *settings, *smoke_args, "report.untrained=false", "run_dir=run", "overwrite=true")
    assert finished.code == 0, finished.output
    return "checkpoint=run/last.ckpt"


def test_the_table_is_complete_and_says_what_differs(run_here, smoke_args: list[str], tmp_path: Path) -> None:
    checkpoint = trained(run_here, smoke_args, "model=jsia")
    finished = run_here("image_quality", checkpoint, *QUICK)
    assert finished.code == 0, finished.output
    assert all(name in finished.output for name in ("CycleGAN", "StarGAN", "VAE", "JSIA-ReID", "real visible"))
    assert "2 iterations on real images" in finished.output
    assert "the paper names none" in finished.output
    folder = tmp_path / "run" / "image_quality"
    assert (folder / "image_quality.png").stat().st_size > 1000
    content = json.loads((folder / "image_quality.json").read_text())
    for name, row in content["rows"].items():
        expected = {"CycleGAN": 2, "StarGAN": 2, "VAE": 4, "JSIA-ReID": 4, "real": 1}[name]
        assert sum(value is not None for value in row.values()) == expected
        assert all(value is None or value >= 0 for value in row.values())
        assert row["identity_real"] <= 2
    again = run_here("image_quality", checkpoint, *QUICK, "output=again", "figure=false")
    assert again.code == 0, again.output
    assert json.loads((tmp_path / "again" / "image_quality.json").read_text())["rows"] == content["rows"]
    judged = run_here(
        "image_quality", checkpoint, *QUICK, "baselines=[]", "judge.checkpoint=run/last.ckpt", "output=own"
    )
    assert judged.code == 0, judged.output
    assert "network of run/last.ckpt" in judged.output


def test_without_a_variation_module_there_is_no_latent_column(run_here, smoke_args: list[str], tmp_path: Path) -> None:
    checkpoint = trained(run_here, smoke_args, "experiment=jsia/sl_il")
    finished = run_here("image_quality", checkpoint, *QUICK, "baselines=[]", "figure=false")
    assert finished.code == 0, finished.output
    row = json.loads((tmp_path / "run/image_quality/image_quality.json").read_text())["rows"]["JSIA-ReID"]
    assert row["identity_latent"] is row["distribution_latent"] is None


def test_mistakes_are_one_sentence(run_here, smoke_args: list[str]) -> None:
    missing = run_here("image_quality", "checkpoint=nothing.ckpt")
    assert (missing.code, missing.output.count("\n")) == (1, 1)
    checkpoint = trained(run_here, smoke_args, "model=baseline")
    other = run_here("image_quality", checkpoint, *QUICK)
    assert other.code == 1
    assert "not a JSIA run: name one of model=jsia" in other.output
    unknown = run_here("image_quality", checkpoint, "baselines=[pix2pix]")
    assert "choose from cyclegan, stargan, vae" in unknown.output


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"device": "tpu"}, "device is 'tpu': choose from"),
        ({"iterations": 0}, "1 or more"),
        ({"fid": "vgg"}, "fid is 'vgg'"),
    ],
)
def test_wrong_values_are_named(settings: dict, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        ImageQualityConfig(checkpoint="x", **settings).check()


def test_what_is_not_installed_is_said_before_anything_is_trained(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("crossreid.generation.settings.find_spec", lambda name: None)
    with pytest.raises(ConfigError, match="needs torch-fidelity"):
        ImageQualityConfig(checkpoint="x", fid="inception").check()
    with pytest.raises(ConfigError, match=r"pip install 'crossreid\[viz\]', or set figure=false"):
        ImageQualityConfig(checkpoint="x").check()
    ImageQualityConfig(checkpoint="x", figure=False).check()
