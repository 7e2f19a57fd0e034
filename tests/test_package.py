"""The wheel works outside the repository; the structure keeps its directions."""

import ast
import importlib
import os
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest
import yaml

from support import ROOT

SRC = ROOT / "src" / "crossreid"
FLOORS = (
    (
        "errors",
        "escaping",
        "interruption",
        "spawning",
        "invocation",
        "machine",
        "memory",
        "randomness",
        "stages",
        "version",
    ),
    ("files", "console", "untrusted"),
    ("pickled",),
    ("settings",),
    ("help",),
    ("nn", "losses"),
    ("data",),
    ("evaluation",),
    ("visualization",),
    ("methods",),
    ("runs",),
    ("training",),
    ("extraction",),
    ("studies",),
    ("galleries", "exporting", "importing"),
    ("web",),
    ("experiment",),
    ("multirun",),
    ("launch",),
    ("optimiser",),
    (
        "train",
        "evaluate",
        "check",
        "cost",
        "auxiliary",
        "visualize",
        "dashboard",
        "image_quality",
        "report",
        "extract",
        "index",
        "search",
        "compare_embeddings",
        "calibrate",
        "export",
        "import_weights",
        "export_weights",
        "serve",
        "demo",
        "completion",
        "__main__",
    ),
)
"""Rooms from the ground up: what stands on a floor may import what stands below it, or itself."""
OUTSIDE = {
    "settings": ("torch", "torchvision", "pytorch_lightning", "lightning_fabric"),
    "nn": ("pytorch_lightning", "lightning_fabric", "hydra", "omegaconf"),
    "losses": ("pytorch_lightning", "lightning_fabric", "hydra", "omegaconf"),
    "evaluation": ("pytorch_lightning", "lightning_fabric", "hydra", "omegaconf"),
    "data": ("hydra", "omegaconf"),
    "visualization": ("pytorch_lightning", "lightning_fabric", "hydra", "omegaconf"),
}
"""Room -> packages that it does without."""


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


def imports_of(path: Path) -> set[str]:
    """Modules that a file imports, inside functions too; `from crossreid import x` counts as crossreid.x."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names.add(node.module)
            if node.module == "crossreid":
                names |= {f"crossreid.{alias.name}" for alias in node.names}
    return names


def room_of(path: Path) -> str:
    """The room that a file stands in: a folder, or a module at the top."""
    return path.relative_to(SRC).parts[0].removesuffix(".py")


def files() -> list[Path]:
    return [path for path in sorted(SRC.rglob("*.py")) if path != SRC / "__init__.py"]


@pytest.mark.parametrize("path", files(), ids=lambda path: str(path.relative_to(SRC)))
def test_imports_go_down_only(path: Path) -> None:
    floor_of = {room: floor for floor, rooms in enumerate(FLOORS) for room in rooms}
    room = room_of(path)
    for name in imports_of(path):
        if not name.startswith("crossreid."):
            assert not name.startswith(OUTSIDE.get(room, ("\0",))), f"{path} imports {name}"
            continue
        other = name.split(".")[1]
        if other == room:
            continue
        assert floor_of[other] < floor_of[room], f"{path} imports {name}: upward or sideways"


def test_no_room_is_forgotten() -> None:
    known = {room for rooms in FLOORS for room in rooms}
    assert {room_of(path) for path in files()} == known


def test_no_class_name_is_defined_twice() -> None:
    owners: dict[str, Path] = {}
    for path in files():
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ClassDef):
                assert node.name not in owners, f"{node.name} stands in {owners[node.name]} and {path}"
                owners[node.name] = path


def test_a_command_shares_its_name_with_nothing_else() -> None:
    commands = {path.stem for path in SRC.glob("*.py")} - {"__init__", "__main__"}
    inner = [path for path in files() if path.parent != SRC]
    for path in inner:
        assert not {path.stem, path.stem.removesuffix("s")} & commands, path
    rooms = {path.name for path in SRC.iterdir() if path.is_dir()}
    assert not commands & rooms


def test_importing_the_package_is_cheap() -> None:
    code = "import sys, crossreid; sys.exit(any(name in sys.modules for name in ('torch', 'hydra', 'numpy')))"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_the_front_door_is_there() -> None:
    import crossreid
    from crossreid.data import ReIDDataModule
    from crossreid.methods import AGW, AGWConfig, LbA, LbAConfig

    assert {"Experiment", "load", "score", "__version__"} <= set(dir(crossreid))
    for name in crossreid.__all__:
        assert getattr(crossreid, name).__doc__ or name == "__version__"
    assert LbA.CONFIG is LbAConfig
    assert AGW.CONFIG is AGWConfig
    assert ReIDDataModule.__doc__
    with pytest.raises(AttributeError, match="no attribute 'Nothing'"):
        crossreid.Nothing  # noqa: B018


def packages() -> list[str]:
    names = []
    for path in sorted(SRC.rglob("__init__.py")):
        if "__all__" in path.read_text(encoding="utf-8"):
            names.append(".".join(["crossreid", *path.parent.relative_to(SRC).parts]))
    return names


@pytest.mark.parametrize("name", packages())
def test_a_package_has_the_names_that_it_lists(name: str) -> None:
    package = importlib.import_module(name)
    for listed in package.__all__:
        assert hasattr(package, listed), f"{name} lists {listed}"


def test_a_source_tree_knows_its_version() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    code = "import crossreid; print(crossreid.__version__)"
    environment = {"PYTHONPATH": str(ROOT / "src"), "PATH": os.environ["PATH"]}
    done = subprocess.run(
        [sys.executable, "-S", "-c", code], env=environment, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == project["version"]


def test_scripts_and_versions_agree() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    commands = (
        "train",
        "evaluate",
        "check",
        "cost",
        "image-quality",
        "auxiliary",
        "visualize",
        "dashboard",
        "report",
        "extract",
        "index",
        "search",
        "compare-embeddings",
        "calibrate",
        "export",
        "import-weights",
        "export-weights",
        "serve",
        "demo",
        "completion",
    )
    assert set(project["scripts"]) == {f"crossreid-{command}" for command in commands}
    changelog = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    assert project["version"] in changelog
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert citation["version"] == project["version"]


def test_no_silent_excuses_in_the_source() -> None:
    for path in SRC.rglob("*.py"):
        text = path.read_text(encoding="utf-8")
        for word in ("TODO", "FIXME", "weights_only=False", "allow_pickle=True", "NotImplementedError"):
            assert word not in text, f"{path}: {word}"


def test_python_starts_the_help_of_make() -> None:
    done = subprocess.run(["make", "help"], cwd=ROOT, capture_output=True, text=True, check=True)
    for target in ("setup", "demo", "test", "test-fast", "lint", "type", "bench", "clean"):
        assert f"make {target}" in done.stdout
