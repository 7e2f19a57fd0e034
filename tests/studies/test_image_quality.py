"""The command behind JSIA-ReID's Table 4, in seconds."""

import json
from pathlib import Path

import pytest
import torch
import torchvision

from crossreid.errors import ConfigError
from crossreid.settings.commands import ImageQualityConfig, JudgeConfig
from crossreid.settings.data import TrainedDataConfig
from crossreid.studies.generation.study import Study
from crossreid.studies.generation.table import check_packages, compare_generators

QUICK = [
    "iterations=2",
    "judge.iterations=2",
    "images=2",
    "device=cpu",
    "generator={channels: 4, layers: 2, latent: 4}",
]


def trained(run_here, smoke_args: list[str], *settings: str, to: str = "run") -> str:
    words = [*smoke_args, *settings, "report.untrained=false", f"run_dir={to}", "overwrite=true"]
    finished = run_here("train", *words)
    assert finished.code == 0, finished.output
    return f"checkpoint={to}/last.ckpt"


@pytest.mark.slow
def test_the_table_is_complete_and_says_what_differs(run_here, smoke_args: list[str], tmp_path: Path) -> None:
    checkpoint = trained(run_here, smoke_args, "model=jsia")
    finished = run_here("image_quality", checkpoint, *QUICK)
    assert finished.code == 0, finished.output
    assert all(name in finished.output for name in ("CycleGAN", "StarGAN", "VAE", "JSIA-ReID", "real visible"))
    assert "2 iterations on real images, from random weights" in finished.output
    assert "in batches of 2 persons with 2 pairs each" in finished.output  # 2 x 2 in training
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


@pytest.mark.slow
def test_a_checkpoint_of_another_run_judges_and_the_judged_one_does_not(run_here, smoke_args: list[str]) -> None:
    checkpoint = trained(run_here, smoke_args, "model=jsia", "trainer.phase_checkpoints=true")
    trained(run_here, smoke_args, "model=baseline", to="other")
    quick = ["image_quality", checkpoint, *QUICK, "baselines=[]", "figure=false"]
    judged = run_here(*quick, "judge.checkpoint=other/last.ckpt", "output=own")
    assert judged.code == 0, judged.output
    words = "network of other/last.ckpt (method baseline; images of both modalities go through its infrared path)"
    assert words in judged.output
    for same in ("last", "joint"):  # the phase's end is a copy of the last one
        refused = run_here(*quick, f"judge.checkpoint=run/{same}.ckpt")
        assert (refused.code, refused.output.count("\n")) == (1, 1), refused.output
        assert "holds the very network whose images are judged: name another run" in refused.output


@pytest.mark.slow
@pytest.mark.true_width
def test_the_judge_starts_from_the_weights_of_the_run(run_here, smoke_args: list[str], tmp_path: Path) -> None:
    torch.manual_seed(3)
    state = torchvision.models.resnet18(weights=None).state_dict()
    torch.save(state, tmp_path / "start.pt")
    checkpoint = trained(run_here, smoke_args, "model=jsia", f"model.backbone.weights={tmp_path / 'start.pt'}")
    config = ImageQualityConfig(
        checkpoint=str(tmp_path / checkpoint.removeprefix("checkpoint=")),
        data=TrainedDataConfig(),
        device="cpu",
        progress=False,
        judge=JudgeConfig(iterations=1, lr=0.0),  # a step that leaves the weights where they are
    )
    study = Study.open(config)
    judge = study.judge()
    network = judge.features.embed.__self__.encoder.body
    assert torch.equal(network[0].weight, state["conv1.weight"])
    assert torch.equal(network[-1][1].conv2.weight, state["layer4.1.conv2.weight"])
    assert judge.origin == f"trained here for 1 iterations on real images, from {tmp_path / 'start.pt'} weights"
    config.judge.weights = "random"
    network = study.judge().features.embed.__self__.encoder.body
    assert not torch.equal(network[0].weight, state["conv1.weight"])
    (tmp_path / "start.pt").unlink()
    gone = run_here("image_quality", checkpoint, *QUICK)
    assert (gone.code, gone.output.count("\n")) == (1, 1)
    assert "There is no weights file" in gone.output
    assert "set judge.weights to" in gone.output


@pytest.mark.slow
def test_the_figure_shows_the_images_that_were_scored(
    run_here, smoke_args: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    checkpoint = trained(run_here, smoke_args, "model=jsia")
    scored, drawn, score = [], [], Study.score
    monkeypatch.setattr(Study, "score", lambda self, made, *rest: (scored.append(made), score(self, made, *rest))[1])
    monkeypatch.setattr("crossreid.visualization.picture_grid", lambda rows, _: drawn.append(rows))
    monkeypatch.setattr("crossreid.visualization.save", lambda *_: None)
    finished = run_here("image_quality", checkpoint, *QUICK, "baselines=[]")
    assert finished.code == 0, finished.output
    (made,), (rows,) = scored, drawn
    assert len(made.fakes.visible) == 10 * 2 > 6
    assert torch.equal(rows["JSIA-ReID visible"], made.fakes.visible[:6])
    assert torch.equal(rows["JSIA-ReID infrared"], made.fakes.infrared[:6])


@pytest.mark.slow
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
        ({"iterations": 0}, "iterations is 0: choose 1 or more"),
        ({"images": 0}, "images is 0: choose 1 or more"),
        ({"judge": JudgeConfig(iterations=0)}, r"judge\.iterations is 0: choose 1 or more"),
        ({"baselines": ["pix2pix"]}, "choose from cyclegan, stargan, vae"),
        ({"fid": "vgg"}, "fid is 'vgg'"),
    ],
)
def test_wrong_values_are_named(settings: dict, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        ImageQualityConfig(checkpoint="x", data=TrainedDataConfig(), **settings).check()


def test_what_is_not_installed_is_said_before_anything_is_trained(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("crossreid.studies.generation.table.find_spec", lambda name: None)
    monkeypatch.setattr(Study, "open", lambda config: pytest.fail("the checkpoint was opened"))
    with pytest.raises(ConfigError, match="needs torch-fidelity"):
        compare_generators(ImageQualityConfig(checkpoint="x", fid="inception", figure=False))
    with pytest.raises(ConfigError, match=r"pip install 'crossreid\[viz\]', or set figure=false"):
        compare_generators(ImageQualityConfig(checkpoint="x"))
    check_packages(ImageQualityConfig(checkpoint="x", figure=False))
