"""A method inside the tree, a method and a dataset of another package, as the pages show them: trained and reported."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from support import ROOT

QUICK = ["scale=smoke", "trainer=cpu", "trainer.progress=false", "report.figures=false", "run_dir=run"]


EVALUATE = ["evaluate", "checkpoint=run/last.ckpt", "trainer=cpu", "report.figures=false"]
REPORT = ["report", "runs=run", "output=report", "figure=false", "bootstrap=100"]


def assert_reported(tmp_path: Path) -> None:
    """The method stands in the comparison's table."""
    assert "| centres |" in (tmp_path / "report" / "comparison.md").read_text(encoding="utf-8")


@pytest.mark.slow
def test_a_method_inside_the_tree_needs_four_files(tmp_path: Path, tree: Path, run_from, smoke_args: list[str]) -> None:
    def names(root: Path) -> set[Path]:
        return {
            path.relative_to(root)
            for folder in ("src", "conf")
            for path in (root / folder).rglob("*")
            if path.is_file() and path.suffix in (".py", ".yaml", ".md")
        }

    assert len(names(tree) - names(ROOT)) == 4
    train = ["train", "model=centres", *smoke_args, *QUICK, "report.untrained=false"]
    finished = run_from(tree / "src", train, EVALUATE, REPORT)
    assert finished.code == 0, finished.output
    assert "method centres" in finished.output
    assert_reported(tmp_path)


@pytest.mark.slow
def test_a_package_that_is_named(tmp_path: Path, toy: Path, dots: Path, run_with) -> None:
    data = ["data=dots", f"data.root={dots}"]
    for module, *words in (["train", "model=centres", *data, *QUICK], EVALUATE):
        finished = run_with(toy, module, "plugins=[toy]", *words)
        assert finished.code == 0, finished.output
        assert module != "train" or "method centres" in finished.output
    finished = run_with(toy, *REPORT)
    assert finished.code == 0, finished.output
    assert_reported(tmp_path)

    finished = run_with(toy, "evaluate", "checkpoint=run/last.ckpt")
    assert finished.code == 1
    assert "There is no method 'centres'" in finished.output
    assert "plugins=[PACKAGE]" in finished.output
    assert "Traceback" not in finished.output

    finished = run_with(toy, "check", "plugins=[toy]", *data, "progress=false")
    assert finished.code == 0
    assert "72 images opened" in finished.output


@pytest.mark.slow
def test_a_package_that_is_installed(installed: Path, dots: Path, run_with) -> None:
    finished = run_with(installed, "train", "model=centres", "data=dots", f"data.root={dots}", *QUICK)
    assert finished.code == 0, finished.output
    finished = run_with(installed, *EVALUATE)
    assert finished.code == 0, finished.output


@pytest.mark.slow
def test_a_package_from_python(tmp_path: Path, toy: Path, dots: Path) -> None:
    code = f"""
import sys
import crossreid
experiment = crossreid.Experiment(
    "centres", "dots", plugins=["toy"], scale="smoke", trainer="cpu", run_dir="run",
    overrides={{"data.root": {str(dots)!r}, "report.figures": False, "trainer.progress": False}},
)
run = experiment.run()
method = crossreid.load(run.path, device="cpu")
assert type(method).__module__ == "toy.module" and method.config.w_centre == 0.5
"""
    environment = {"PYTHONPATH": str(toy), "PATH": "", "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


def test_settings_of_a_package_are_composed_without_torch(tmp_path: Path, toy: Path) -> None:
    code = """
import sys
from crossreid.settings.compose import compose, run_config
words = ["plugins=[toy]", "model=centres", "data=dots", "data.root=x"]
config = run_config(compose("train", words))
assert (config.model.name, config.data.name, config.scale) == ("centres", "dots", "paper")
assert run_config(compose("train", [*words, "scale=small"])).model.backbone.name == "resnet18"  # the family's scale
assert run_config(compose("train", ["plugins=[toy]", "experiment=centres/full", "preset=official"])).row == "centres/full"
assert "torch" not in sys.modules
"""
    environment = {"PYTHONPATH": str(toy), "PATH": ""}
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
