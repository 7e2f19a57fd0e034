"""The same small trainings one after the other and several at once, one of them made to fail, as JSON.

    python benchmarks/side_by_side.py OUTPUT.json [--jobs 2] [--trainings 14] [--iterations 40] [--rounds 1]

Every arm is one multirun of the real command on the embedded people, which are drawn and cached before. Given are seconds of
the clock and of the processor, the load of the machine before and after, and how far the scores of both arms lie apart: beside
others a job has fewer threads, which sum in another order.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from crossreid.machine import usable_cores, visible_gpus
from crossreid.runs.folder import git_revision, package_versions, write_json
from crossreid.runs.results import RunResults
from crossreid.training.environment import choose_device, machine

COMMON = [
    "model=baseline",
    "scale=smoke",
    "protocol.trials=1",
    "report.figures=false",
    "report.untrained=false",
    "report.modality_pairs=false",
    "sweep_report=false",
]
FAILING_SEED = -1
"""No seed at all: its job fails, and the others go on."""


def multirun(folder: Path, words: list[str], jobs: int) -> dict[str, Any]:
    """One arm: how it ended and what it took."""
    command = [sys.executable, "-m", "crossreid.train", "-m", *words, f"jobs={jobs}", f"hydra.sweep.dir={folder}"]
    load = os.getloadavg()[0]
    processor = _processor_seconds()
    began = time.perf_counter()
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    seconds = time.perf_counter() - began
    return {
        "jobs": jobs,
        "seconds": round(seconds, 1),
        "processor_seconds": round(_processor_seconds() - processor, 1),
        "load_before": round(load, 2),
        "load_after": round(os.getloadavg()[0], 2),
        "exit_code": done.returncode,
        "last_line": done.stderr.strip().splitlines()[-1] if done.stderr.strip() else "",
        "rank1": scores(folder),
    }


def scores(folder: Path) -> dict[str, float]:
    """Job -> Rank-1 of the test, in [0, 1]."""
    found = {}
    for path in sorted(folder.glob("*/results.json")):
        found[path.parent.name] = RunResults.read(path).headline
    return found


def _processor_seconds() -> float:
    """Of all processes that this one has started and waited for, and theirs."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def compared(arms: list[dict[str, Any]]) -> dict[str, Any]:
    """What the arms of one round say together: the first is one after the other."""
    serial, beside = arms
    names = serial["rank1"].keys() | beside["rank1"].keys()
    apart = [abs(serial["rank1"].get(name, 9) - beside["rank1"].get(name, 9)) for name in names]
    return {
        "one_after_the_other": serial,
        "side_by_side": beside,
        "share_of_time": round(beside["seconds"] / serial["seconds"], 3),
        "share_of_processor_time": round(beside["processor_seconds"] / serial["processor_seconds"], 3),
        "largest_difference_of_rank1": max(apart),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("output", type=Path)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--trainings", type=int, default=14)
    parser.add_argument("--iterations", type=int, default=40)
    parser.add_argument("--rounds", type=int, default=1)
    told = parser.parse_args()
    seeds = [*range(told.trainings - 1), FAILING_SEED]
    with tempfile.TemporaryDirectory() as name:
        place = Path(name)
        data = [f"data.root={place / 'people'}", f"data.cache={place / 'cache'}"]
        words = [*COMMON, *data, f"model.phases.joint={told.iterations}"]
        first = [sys.executable, "-m", "crossreid.train", *words, f"run_dir={place / 'first'}"]
        subprocess.run(first, check=True, capture_output=True)
        words.append(f"seed={','.join(map(str, seeds))}")
        rounds = []
        for number in range(told.rounds):
            arms = [multirun(place / f"{number}-{jobs}", words, jobs) for jobs in (1, told.jobs)]
            rounds.append(compared(arms))
            print(json.dumps(rounds[-1], indent=2))
    facts = {
        "command": " ".join(["python", *sys.argv]),
        "machine": machine(choose_device("auto")),
        "cores": usable_cores(),
        "gpus": len(visible_gpus()),
        "OMP_NUM_THREADS": os.environ.get("OMP_NUM_THREADS"),
        "git": git_revision(),
        "versions": package_versions(),
        "trainings": f"{' '.join(COMMON)} model.phases.joint={told.iterations}, seeds {seeds}",
    }
    write_json(told.output, {**facts, "rounds": rounds})


if __name__ == "__main__":
    main()
