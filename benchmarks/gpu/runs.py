"""Every method through the real command at scale=smoke on the device, several at once: does it train, is it scored?

usage: python benchmarks/gpu/runs.py OUTPUT.json [DEVICE] [METHOD ...]
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import torch

from crossreid.settings.registry import built_in_methods


def run(name: str, accelerator: str, folder: Path) -> dict[str, Any]:
    """Train and score one method."""
    began = time.perf_counter()
    place = folder / name
    command = [sys.executable, "-m", "crossreid.train", f"model={name}", "scale=smoke", f"trainer={accelerator}"]
    command += [f"run_dir={place}", f"data.root={folder / 'people'}", f"data.cache={folder / 'cache'}"]
    command += ["report.figures=false", "protocol.trials=1", "trainer.progress=false"]
    # an import of wandb would fail: a bare machine does not have it
    without_wandb = {**os.environ, "PYTHONPATH": os.pathsep.join([_poisoned(folder), os.environ.get("PYTHONPATH", "")])}
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=without_wandb)
    outcome: dict[str, Any] = {"code": done.returncode, "seconds": round(time.perf_counter() - began, 1)}
    if done.returncode:
        return {**outcome, "problem": (done.stdout + done.stderr)[-600:]}
    facts = json.loads((place / "run.json").read_text())
    rows = json.loads((place / "results.json").read_text())["rows"]
    first = next(iter(rows[name]["protocols"].values()))["metrics"]
    return {**outcome, "machine": facts["machine"], "rank1": first["rank1"]["mean"], "mAP": first["mAP"]["mean"]}


def _poisoned(folder: Path) -> str:
    """A folder that has a wandb which cannot be imported."""
    place = folder / "without_wandb"
    place.mkdir(exist_ok=True)
    (place / "wandb.py").write_text("raise ModuleNotFoundError('wandb is not to be imported here', name='wandb')\n")
    return str(place)


def main() -> None:
    output = Path(sys.argv[1])
    accelerator = "cpu" if sys.argv[2:3] == ["cpu"] else "gpu"
    at_once = min(8, os.cpu_count() or 1)
    names = sys.argv[3:] or built_in_methods()
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        outcomes = {names[0]: run(names[0], accelerator, folder)}  # draws the people and fills the cache for all
        with ThreadPoolExecutor(at_once) as pool:
            later = pool.map(lambda name: run(name, accelerator, folder), names[1:])
            outcomes |= dict(zip(names[1:], later, strict=True))
    for name, outcome in outcomes.items():
        print(f"{name:12} exit {outcome['code']}  {outcome['seconds']:6.1f} s  {outcome.get('problem', '')}")
    output.write_text(json.dumps({"torch": torch.__version__, "methods": outcomes}, indent=2) + "\n")
    sys.exit(any(outcome["code"] for outcome in outcomes.values()))


if __name__ == "__main__":
    main()
