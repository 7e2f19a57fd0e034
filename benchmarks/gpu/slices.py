"""One slice of a comparison: go on with its runs for some seconds, keep what the next slice needs, merge what was scored.

usage: benchmarks/gpu/compare.sh SECONDS JOBS ROWS [SETTING ...], which says more; its variables are read here.
"""

from __future__ import annotations

import io
import json
import os
import signal
import statistics
import subprocess
import sys
import tarfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from crossreid.runs.results import RunResults

MIB = 2**20
KEPT = ("config.yaml", "run.json", "results.json", "history.csv")
"""Of a finished run: what it scored, and by what existing=continue knows it."""
CHECKPOINT = "last.ckpt"
METRICS = ("rank1", "rank5", "rank10", "rank20", "mAP", "mINP")
KILL_AFTER = 60.0
"""Seconds that a stopped multirun may take to save, beyond what was reserved."""


@dataclass(frozen=True)
class Slice:
    """What one call is told.

    Attributes:
        seconds: of the whole call.
        jobs: that run at once.
        rows: of the comparison.
        settings: of all runs.
        work: folder of the runs.
        state: what the calls hand to each other.
        results: where scores are merged.
        variables: of the environment, with their defaults.
    """

    seconds: float
    jobs: int
    rows: str
    settings: Sequence[str]
    work: Path
    state: Path
    results: Path
    variables: Mapping[str, str]


DEFAULTS = {
    "SEEDS": "0,1,2",
    "SCALE": "medium",
    "DEVICE": "gpu",
    "STATE": ".state",
    "STATE_MIB": "1000",
    "PART_MIB": "100",
    "RESULTS": "benchmarks/results/medium",
    "RESERVE": "40",
    "WORK": "multirun/compare",
}


def told(arguments: Sequence[str], environment: Mapping[str, str]) -> Slice:
    """The call's arguments and variables."""
    seconds, jobs, rows, *settings = arguments
    variables = {name: environment.get(name) or default for name, default in DEFAULTS.items()}
    return Slice(
        seconds=float(seconds),
        jobs=int(jobs),
        rows=rows,
        settings=settings,
        work=Path(variables["WORK"]),
        state=Path(variables["STATE"]),
        results=Path(variables["RESULTS"]),
        variables=variables,
    )


def command(chosen: Slice) -> list[str]:
    """The multirun: seeds first, so that a table of one seed is there early."""
    return [
        sys.executable,
        "-m",
        "crossreid.train",
        "-m",
        f"seed={chosen.variables['SEEDS']}",
        f"experiment={chosen.rows}",
        f"scale={chosen.variables['SCALE']}",
        f"trainer={chosen.variables['DEVICE']}",
        f"jobs={chosen.jobs}",
        "existing=continue",
        f"hydra.sweep.dir={chosen.work}",
        "hydra.sweep.subdir=${hydra.runtime.choices.experiment}_seed${seed}",
        "trainer.checkpoint_every=1000000",  # at the end of a phase and when it is stopped: a hundred megabytes each
        "trainer.keep_optimizers=false",
        "trainer.progress=false",
        "report.figures=false",
        "report.untrained=false",
        "sweep_report=false",
        *chosen.settings,
    ]


# ---------------------------------------------------------------- what calls hand to each other


def unpack(chosen: Slice) -> None:
    """Put the runs of earlier calls where this one goes on with them; what is there already stays."""
    parts = sorted(chosen.state.glob("state.*"))
    if not parts or chosen.work.exists():
        return
    content = b"".join(part.read_bytes() for part in parts)
    chosen.work.mkdir(parents=True)
    with tarfile.open(fileobj=io.BytesIO(content)) as archive:
        archive.extractall(chosen.work, filter="data")


def pack(chosen: Slice) -> None:
    """Write the parts of the state anew, and say of every unfinished run what its checkpoint takes."""
    most = float(chosen.variables["STATE_MIB"]) * MIB
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as archive:
        runs = sorted(chosen.work.rglob("run.json"))
        for run in runs:
            if finished(run.parent):
                add(archive, chosen.work, run.parent, KEPT)
        used = float(packed.tell())
        unfinished = [run.parent for run in runs if not finished(run.parent)]
        for folder in sorted(unfinished, key=advanced, reverse=True):
            checkpoint = folder / CHECKPOINT
            if not checkpoint.is_file():
                print(f"unfinished, without a checkpoint: {folder}")
                continue
            size = checkpoint.stat().st_size
            fits = used + size < most
            print(
                f"unfinished, {size / MIB:.1f} MiB{'' if fits else ', too large for the state: starts over'}: {folder}"
            )
            if fits:
                add(archive, chosen.work, folder, (*KEPT, CHECKPOINT))
                used = float(packed.tell())
    chosen.state.mkdir(parents=True, exist_ok=True)
    for part in chosen.state.glob("state.*"):
        part.unlink()
    content = packed.getvalue()
    step = int(float(chosen.variables["PART_MIB"]) * MIB)
    for number, start in enumerate(range(0, len(content), step)):
        (chosen.state / f"state.{number:03d}").write_bytes(content[start : start + step])
    print(f"state: {len(content) / MIB:.1f} MiB in {chosen.state}")


def add(archive: tarfile.TarFile, work: Path, folder: Path, names: Sequence[str]) -> None:
    """Some files of a run, as far as they are there."""
    for name in names:
        path = folder / name
        if path.is_file():
            archive.add(path, arcname=str(path.relative_to(work)))


def finished(folder: Path) -> bool:
    """The run was trained and scored."""
    facts = json.loads((folder / "run.json").read_text(encoding="utf-8"))
    return facts.get("status") == "finished" and (folder / "results.json").is_file()


def advanced(folder: Path) -> float:
    """Iterations that were logged: the run that has most of them is nearest to its end."""
    history = folder / "history.csv"
    if not history.is_file():
        return 0.0
    return float(sum(1 for _ in history.open(encoding="utf-8")))


# ---------------------------------------------------------------- what was scored


def merge(chosen: Slice) -> int:
    """Put what finished runs scored beside what earlier calls did; returns the number of runs."""
    path = chosen.results / "comparison.json"
    content: dict[str, Any] = {"runs": {}}
    if path.is_file():
        content = json.loads(path.read_text(encoding="utf-8"))
    for run in sorted(chosen.work.rglob("run.json")):
        if not finished(run.parent):
            continue
        name = str(run.parent.relative_to(chosen.work))
        entry = scored(run.parent)
        before = content["runs"].get(name, entry)
        if before["fingerprint"] != entry["fingerprint"]:
            print(f"not merged: {path} has {name} by other settings, give RESULTS another folder")
            continue
        content["runs"][name] = entry
    content["runs"] = dict(sorted(content["runs"].items()))
    chosen.results.mkdir(parents=True, exist_ok=True)
    lines = [f"{json.dumps(name)}: {json.dumps(run)}" for name, run in content["runs"].items()]  # one a run, for diffs
    text = '{"command": "benchmarks/gpu/compare.sh SECONDS JOBS ROWS", "runs": {\n' + ",\n".join(lines) + "\n}}\n"
    path.write_text(text, encoding="utf-8")
    path.with_suffix(".md").write_text(table(content["runs"]), encoding="utf-8")
    return len(content["runs"])


def scored(folder: Path) -> dict[str, Any]:
    """One run: how it came about, its scores by row and protocol, and what each test person contributes to the first one."""
    facts = json.loads((folder / "run.json").read_text(encoding="utf-8"))
    results = RunResults.read(folder / "results.json")
    rows = {}
    for row in results.rows:
        rows[row.row] = {key: means(result) for key, result in row.results.items()}
    first = next(iter(results.rows[0].results.values()))
    persons = {name: getattr(first.identities, name).tolist() for name in ("pids", "valid", "rank1", "mean_ap")}
    kept = {key: facts.get(key) for key in ("seed", "git", "machine", "versions", "fingerprint", "training_seconds")}
    return {**kept, "iterations": results.facts.get("iterations"), "rows": rows, "persons": persons}


def means(result: Any) -> dict[str, Any]:
    """Means over trials, in [0, 1], and the way of inference."""
    metrics = result.metrics()
    return {"inference": result.labels.inference, **{name: round(metrics[name]["mean"], 6) for name in METRICS}}


def table(runs: Mapping[str, Mapping[str, Any]]) -> str:
    """Rank-1 and mAP of every row over its seeds, in percent, by protocol."""
    values: dict[tuple[str, str], list[tuple[float, float]]] = {}
    for run in runs.values():
        for row, by_key in run["rows"].items():
            for key, scores in by_key.items():
                values.setdefault((key, row), []).append((100 * scores["rank1"], 100 * scores["mAP"]))
    lines = ["| protocol | row | seeds | Rank-1 | mAP |", "|---|---|---|---|---|"]
    for (key, row), pairs in sorted(values.items()):
        rank1, mean_ap = zip(*pairs, strict=True)
        lines.append(f"| {key} | {row} | {len(pairs)} | {spread(rank1)} | {spread(mean_ap)} |")
    return "\n".join(lines) + "\n"


def spread(values: Sequence[float]) -> str:
    """Mean and sample standard deviation."""
    if len(values) < 2:
        return f"{values[0]:.1f}"
    return f"{statistics.mean(values):.1f} ± {statistics.stdev(values):.1f}"


def main(arguments: Sequence[str]) -> int:
    began = time.monotonic()
    chosen = told(arguments, os.environ)
    unpack(chosen)
    process = subprocess.Popen(command(chosen))
    until = began + chosen.seconds - float(chosen.variables["RESERVE"])
    stopped = False
    try:
        process.wait(timeout=max(1.0, until - time.monotonic()))
    except subprocess.TimeoutExpired:
        stopped = True
        print("== the time of this slice is up: every run saves", flush=True)
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(timeout=float(chosen.variables["RESERVE"]) + KILL_AFTER)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
    pack(chosen)
    print(
        f"== {merge(chosen)} runs are scored, in {time.monotonic() - began:.0f} s: {chosen.results / 'comparison.md'}"
    )
    if stopped:
        print("== the same call goes on")
        return 0
    return process.returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
