"""Seconds of training of experiments at `scale=small`, extrapolated from a few iterations of each phase, as JSON.

    python benchmarks/training_seconds.py EXPERIMENT ...

Iterations are timed on random images of the experiment's streams, without loading, logging and checkpoints, which take a
few seconds a run.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

import torch

from crossreid.settings.compose import compose, run_config
from crossreid.training.loading import make_method

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))
from methods_support import attach, make_batch

IDENTITIES, WARMUP, TIMED = 56, 2, 6


def measure(experiment: str) -> dict[str, object]:
    config = run_config(compose("train", ["scale=small", f"experiment={experiment}"]))
    harness = attach(make_method(config.model, IDENTITIES, seed=0))
    batch, total, rates = make_batch(harness.module), 0.0, {}
    for phase, length in harness.module.config.active_phases().items():
        for _ in range(WARMUP):
            harness.step(phase, batch)
        began = time.perf_counter()
        for _ in range(TIMED):
            harness.step(phase, batch)
        rate = (time.perf_counter() - began) / TIMED
        rates[phase] = round(rate, 3)
        total += rate * length
    return {"seconds": round(total, 1), "seconds_an_iteration": rates}


if __name__ == "__main__":
    rows = {name: measure(name) for name in sys.argv[1:]}
    print(json.dumps({"threads": torch.get_num_threads(), "rows": rows}, indent=1))
