"""The wheel works outside the repository; the structure keeps its directions."""

import os
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

from support import ROOT

SRC = ROOT / "src" / "crossreid"
FORBIDDEN = {
    "nn": ("pytorch_lightning", "hydra", "crossreid.data", "crossreid.methods", "crossreid.evaluation"),
    "losses": ("pytorch_lightning", "hydra", "crossreid.data", "crossreid.methods", "crossreid.nn"),
    "evaluation": ("pytorch_lightning", "hydra", "crossreid.methods", "crossreid.nn", "crossreid.training"),
    "data": ("hydra", "crossreid.methods", "crossreid.nn", "crossreid.evaluation", "crossreid.training"),
    "visualization": ("pytorch_lightning", "hydra", "crossreid.methods", "crossreid.training"),
}


@pytest.mark.slow
def test_the_wheel_ships_conf_and_runs_elsewhere(tmp_path: Path, people_root: Path) -> None:
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "-q"]
    subprocess.run([*pip, "wheel", "--no-deps", "-w", str(tmp_path / "dist"), str(ROOT)], check=True)
    (wheel,) = (tmp_path / "dist").glob("*.whl")
    names = zipfile.ZipFile(wheel).namelist()
    shipped = {name.removeprefix("crossreid/conf/") for name in names if name.startswith("crossreid/conf/")}
    assert shipped == {str(p.relative_to(ROOT / "conf")) for p in (ROOT / "conf").rglob("*.yaml")}
    assert "crossreid/py.typed" in names
    subprocess.run([*pip, "install", "--no-deps", "--target", str(tmp_path / "site"), str(wheel)], check=True)
    (tmp_path / "work").mkdir()
    environment = os.environ | {"PYTHONPATH": str(tmp_path / "site"), "OMP_NUM_THREADS": "1"}
    data = ["scale=smoke", f"data.root={people_root}", "report.figures=false", "protocol.trials=1", "trainer=cpu"]
    script = [str(tmp_path / "site" / "bin" / "crossreid-train"), "model=baseline", *data, "run_dir=run"]
    if not Path(script[0]).is_file():  # some pips leave scripts out of --target
        script[:1] = [sys.executable, "-c", "from crossreid.train import main; main()"]
    done = subprocess.run(
        [sys.executable, script[0], *script[1:]] if script[0].endswith("crossreid-train") else script,
        cwd=tmp_path / "work",
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert (tmp_path / "work" / "run" / "results.json").is_file()
    where = "import crossreid, sys; sys.exit('site' not in crossreid.__file__)"
    subprocess.run([sys.executable, "-c", where], env=environment, cwd=tmp_path / "work", check=True)
    module = [
        sys.executable,
        "-m",
        "crossreid.evaluate",
        "checkpoint=run/last.ckpt",
        "report.figures=false",
        "trainer=cpu",
    ]
    subprocess.run(module, env=environment, cwd=tmp_path / "work", check=True, capture_output=True)


@pytest.mark.parametrize("package", FORBIDDEN)
def test_imports_go_down_only(package: str) -> None:
    for path in (SRC / package).rglob("*.py"):
        for line in path.read_text(encoding="utf-8").splitlines():
            words = line.split()
            if words[:1] in (["import"], ["from"]):
                assert not words[1].startswith(FORBIDDEN[package]) or _allowed(package, words[1]), f"{path}: {line}"


def _allowed(package: str, module: str) -> bool:
    if package == "evaluation":
        return module == "crossreid.data.records"
    return package == "data" and module.startswith("pytorch_lightning")


def test_scripts_and_versions_agree() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    commands = ("train", "evaluate", "check", "cost", "image-quality", "auxiliary", "report")
    assert set(project["scripts"]) == {f"crossreid-{command}" for command in commands}
    changelog = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    assert project["version"] in changelog


def test_no_silent_excuses_in_the_source() -> None:
    for path in SRC.rglob("*.py"):
        text = path.read_text(encoding="utf-8")
        for word in ("TODO", "FIXME", "weights_only=False", "allow_pickle=True", "NotImplementedError"):
            assert word not in text, f"{path}: {word}"


def test_python_starts_the_help_of_make() -> None:
    done = subprocess.run(["make", "help"], cwd=ROOT, capture_output=True, text=True, check=True)
    for target in ("setup", "demo", "test", "test-fast", "lint", "type", "bench", "clean"):
        assert f"make {target}" in done.stdout
