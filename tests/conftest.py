"""What tests share: small sets of people, the real commands, and one thread a process (two workers share two cores)."""

from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before torch is imported
os.environ.setdefault("WANDB_MODE", "offline")
os.environ.setdefault("WANDB_SILENT", "true")
os.environ.setdefault("MPLBACKEND", "Agg")

import ctypes
import gc
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from filelock import FileLock

from crossreid import keep_memory
from layouts import WRITERS
from support import PROTOCOLS, Finished, smoke_settings

keep_memory()  # before torch is imported: a test that trains takes a fraction of its system time


@pytest.fixture(autouse=True)
def free_networks() -> Iterator[None]:
    """Collect networks and trainers that hold each other, where a test has left much: Python itself waits too long."""
    before = resident_gib()
    yield
    if resident_gib() > before + 0.2:
        gc.collect()
        if hasattr(ctypes.CDLL(None), "malloc_trim"):  # glibc keeps what was freed
            ctypes.CDLL(None).malloc_trim(0)


@pytest.fixture(scope="session", autouse=True)
def narrow_networks() -> None:
    """`resnet18` is an eighth as wide; see :mod:`thin`."""
    import thin

    thin.narrow()


@pytest.fixture(autouse=True)
def true_width(request: pytest.FixtureRequest) -> Iterator[None]:
    """The true network, for tests that ask for it by their marker."""
    if request.node.get_closest_marker("true_width") is None:
        yield
        return
    import thin

    with thin.true_width():
        yield


@pytest.fixture
def few_pairs(monkeypatch: pytest.MonkeyPatch) -> None:
    """Calibrations content themselves with the few pairs that small sets have."""
    from crossreid.evaluation import verification
    from crossreid.studies.calibration import building

    for module in (verification, building):
        monkeypatch.setattr(module, "LEAST_PAIRS", 3)
    monkeypatch.setattr(verification, "LEAST_MATCHES", 3)


def resident_gib() -> float:
    """Memory of this process, where the system tells it."""
    path = Path("/proc/self/statm")
    return int(path.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**30 if path.is_file() else 0.0


@pytest.fixture(scope="session")
def shared_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One folder for all workers of a test run."""
    base = tmp_path_factory.getbasetemp()
    folder = (base.parent if os.environ.get("PYTEST_XDIST_WORKER") else base) / "shared"
    folder.mkdir(exist_ok=True)
    return folder


@pytest.fixture(scope="session")
def people_root(shared_folder: Path) -> Path:
    """The embedded set in its smoke size, as `scale=smoke` asks for it."""
    from crossreid.data.synthetic import SyntheticPeople, write_sysu_layout

    root = shared_folder / "people"
    with FileLock(shared_folder / "people.lock"):
        return write_sysu_layout(root, SyntheticPeople(train_ids=8, val_ids=4, test_ids=10, frames=3))


@pytest.fixture(scope="session")
def people(people_root: Path):
    """The same, read."""
    from crossreid.data.datasets import read_sysu_mm01

    return read_sysu_mm01(people_root, None, name="synthetic")


@pytest.fixture(scope="session")
def real_layout(shared_folder: Path) -> Callable[[str], Path]:
    """A complete copy of `sysu_mm01`, `regdb` or `llcm` by names and counts; do not write into it."""

    def write(name: str) -> Path:
        if not PROTOCOLS.is_dir():
            pytest.skip(f"the real datasets' split lists are not beside the project ({PROTOCOLS})")
        root = shared_folder / name
        with FileLock(shared_folder / f"{name}.lock"):
            if not root.is_dir():
                WRITERS[name](shared_folder / f"{name}.partial")
                (shared_folder / f"{name}.partial").rename(root)
        return root

    return write


@pytest.fixture
def smoke_args(people_root: Path, shared_folder: Path) -> list[str]:
    """Settings under which the real command takes seconds."""
    return smoke_settings(people_root, shared_folder)


@pytest.fixture
def write_checkpoint(tmp_path: Path, people_root: Path, shared_folder: Path) -> Callable[..., Path]:
    """A checkpoint of a method in its smoke size, as a run on the people writes it; further words are settings."""
    import torch

    from crossreid.settings.compose import compose, run_config
    from crossreid.training.loading import make_method

    def write(model: str, *settings: str) -> Path:
        places = [f"data.root={people_root}", f"data.cache={shared_folder / 'cache'}"]
        config = run_config(compose("train", [f"model={model}", "scale=smoke", *places, *settings]))
        if getattr(config.model, "iterations_per_epoch", 1) is None:
            config.model.iterations_per_epoch = 2
        module = make_method(config.model, 12, 0)
        saved: dict = {"state_dict": module.state_dict(), "optimizer_states": [], "loops": {}}
        module.on_save_checkpoint(saved)
        saved["crossreid"]["phase"] = next(iter(config.model.active_phases()), "")
        saved["crossreid"]["config"] = config.to_plain()
        path = tmp_path / f"{model}.ckpt"
        torch.save(saved, path)
        return path

    return write


@pytest.fixture
def manifest(tmp_path: Path, people) -> Path:
    """The people's test images as a manifest, in the order of the dataset."""
    rows = people.rows("test")
    lines = ["path,modality,camera,person"]
    for row in rows:
        record = people.records[row]
        lines.append(f"{record.path},{record.modality},{record.camid},{record.pid}")
    path = tmp_path / "people.csv"
    path.write_text("\n".join(lines))
    return path


@pytest.fixture
def run_here(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., Finished]:
    """Run a command's real `main` in this process, in an empty folder."""
    from crossreid import console as shared_console

    def run(module: str, *args: str) -> Finished:
        import importlib

        monkeypatch.chdir(tmp_path)
        monkeypatch.setattr(sys, "argv", [f"crossreid.{module}", *args])
        for name, stderr in (("console", False), ("err_console", True)):
            fresh = shared_console.make_console(stderr=stderr, width=200)
            getattr(shared_console, name).__dict__.update(fresh.__dict__)
        try:
            importlib.import_module(f"crossreid.{module}").main()
            code = 0
        except SystemExit as stop:
            code = int(stop.code or 0)
        captured = capsys.readouterr()
        return Finished(code, captured.out + captured.err)

    return run
