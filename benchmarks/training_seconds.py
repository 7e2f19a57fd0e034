"""Seconds of training of experiments at `scale=small`, extrapolated from a few iterations of each phase, as JSON.

    python benchmarks/training_seconds.py EXPERIMENT ...

Iterations are timed on random images of the experiment's streams, without loading, logging and checkpoints, which take a
few seconds a run.
"""

from __future__ import annotations

import json
import sys

import torch
from measuring import attached, phase_steps, random_batch, timed

from crossreid.settings.compose import compose, run_config
from crossreid.training.loading import make_method

IDENTITIES, WARMUP, TIMED = 56, 2, 6


def measure(experiment: str) -> dict[str, object]:
    config = run_config(compose("train", ["scale=small", f"experiment={experiment}"])).model
    module = make_method(config, IDENTITIES, seed=0)
    total, rates = 0.0, {}
    lengths = config.active_phases()
    for phase, step in phase_steps(module, attached(module), random_batch(config, "cpu")):
        for _ in range(WARMUP):
            step()
        rate = sum(timed(step) for _ in range(TIMED)) / TIMED
        rates[phase] = round(rate, 3)
        total += rate * lengths[phase]
    return {"seconds": round(total, 1), "seconds_an_iteration": rates}


if __name__ == "__main__":
    rows = {name: measure(name) for name in sys.argv[1:]}
    print(json.dumps({"threads": torch.get_num_threads(), "rows": rows}, indent=1))
