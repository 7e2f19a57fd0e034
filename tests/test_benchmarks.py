"""What the benchmarks say of two files, and that a step is measured beside its reference."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

from support import ROOT


def benchmark(name: str) -> ModuleType:
    """A script of benchmarks/ as a module."""
    spec = importlib.util.spec_from_file_location(f"benchmark_{name}", ROOT / "benchmarks" / f"{name}.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def measured(**ratios: tuple[float, float]) -> dict[str, object]:
    """Measurements with these (multiple, noise)."""
    return {"measurements": {name: {"ratio": ratio, "noise": noise} for name, (ratio, noise) in ratios.items()}}


def test_a_change_counts_where_it_is_larger_than_the_noise_of_both() -> None:
    before = measured(faster=(2.0, 0.1), noisy=(2.0, 0.3), slower=(1.0, 0.0), small=(1.0, 0.0), gone=(1.0, 0.0))
    after = measured(faster=(1.5, 0.1), noisy=(1.5, 0.3), slower=(1.1, 0.0), small=(1.02, 0.0), new=(1.0, 0.0))
    rows = {name: (share, verdict) for name, share, verdict in benchmark("compare").changes(before, after)}
    assert rows == {
        "faster": (0.75, "faster"),
        "noisy": (0.75, "same"),
        "slower": (pytest.approx(1.1), "slower"),
        "small": (pytest.approx(1.02), "same"),
    }


def test_something_slower_is_exit_code_1(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name, ratio in (("one", 1.0), ("two", 1.5)):
        (tmp_path / f"{name}.json").write_text(json.dumps(measured(step=(ratio, 0.0))))
    one, two = (str(tmp_path / f"{name}.json") for name in ("one", "two"))
    compare = benchmark("compare")
    assert compare.main([one, two]) == 1
    assert "| step | 1.50 | slower |" in capsys.readouterr().out
    assert compare.main([two, one]) == 0


@pytest.mark.slow
def test_steps_are_measured_beside_a_bare_network(tmp_path: Path) -> None:
    output = tmp_path / "steps.json"
    command = [sys.executable, str(ROOT / "benchmarks" / "steps.py"), str(output), "onestream", "hog"]
    subprocess.run([*command, "--scale", "smoke", "--rounds", "2"], check=True, capture_output=True)
    content = json.loads(output.read_text())
    assert set(content["measurements"]) == {"onestream, joint"}
    found = content["measurements"]["onestream, joint"]
    assert found["ratio"] > 0.5
    assert found["milliseconds"] > 0
    assert "| onestream, joint |" in output.with_suffix(".md").read_text()
