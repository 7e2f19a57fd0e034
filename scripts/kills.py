"""Kill trainings at random moments and at chosen ones, go on, and see whether anything was lost.

    python scripts/kills.py --kills 30 --methods aligngan lba --output kills.json

For every method one run is never stopped. Then runs of the same settings get SIGKILL, SIGTERM or SIGINT: at a random moment
of their life, or while a file is being saved, in the last iteration, while scoring, while drawing. Each is started again
with the same command and ``existing=continue`` until it is finished. What must hold, and is counted where it does not:

- weights, optimizers, schedules, scores and history are those of the run never stopped, bit for bit;
- the exit code is that of the signal, SIGTERM and SIGINT say how to go on, and no traceback is shown;
- no process of the run lives on, and no file lies in its folder that the run never stopped does not have.

A process that has imported everything forks a run each time, so that a kill costs seconds.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

SIGNALS = {"SIGKILL": signal.SIGKILL, "SIGTERM": signal.SIGTERM, "SIGINT": signal.SIGINT}
CODES = {signal.SIGKILL: -9, signal.SIGTERM: 143, signal.SIGINT: 130}
MOMENTS = ("random", "saving", "last iteration", "scoring", "drawing")
PATIENCE = 600
"""Seconds after which a run is said to hang."""
_MOST_STARTS = 4


@dataclass
class Ended:
    """A run that has ended: its exit code (negative: a signal), what it printed, how long it took."""

    code: int
    output: str
    seconds: float


@dataclass
class Tally:
    """What was done and what went wrong."""

    kills: Counter[str] = field(default_factory=Counter)
    codes: Counter[str] = field(default_factory=Counter)
    too_late: int = 0
    problems: list[str] = field(default_factory=list)


def settings(method: str, data: Path, cache: Path) -> list[str]:
    """A training of seconds with everything that a run does: phases, checkpoints, scores, figures."""
    words = [f"model={method}", "scale=smoke", "trainer=cpu", f"data.root={data}", f"data.cache={cache}"]
    words += ["protocol.trials=1", "trainer.checkpoint_every=2", "trainer.log_every=1", "trainer.progress=false"]
    words += ["report.untrained=false", "report.modality_pairs=false", "report.tsne_identities=0"]
    return [*words, "existing=continue", "model.iterations_per_epoch=3"]


def start(words: Sequence[str], run: Path, log: Path) -> int:
    """Fork a process, in a session of its own, that runs the command; returns its number."""
    child = os.fork()
    if child:
        return child
    os.setsid()
    log.parent.mkdir(parents=True, exist_ok=True)
    stream = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.dup2(stream, 1)
    os.dup2(stream, 2)
    code = 70  # of a traceback
    try:
        from crossreid.train import main

        sys.argv = ["crossreid.train", *words, f"run_dir={run}"]
        main()
        code = 0
    except SystemExit as stop:
        code = stop.code if isinstance(stop.code, int) else 1
    except BaseException:
        import traceback

        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def wait(pid: int, log: Path, began: float) -> Ended:
    """Until the process has ended; one that hangs is killed, with an exit code that no run has."""
    while time.monotonic() - began < PATIENCE:
        done, status = os.waitpid(pid, os.WNOHANG)
        if done:
            return Ended(os.waitstatus_to_exitcode(status), log.read_text(errors="replace"), time.monotonic() - began)
        time.sleep(0.005)
    os.killpg(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    return Ended(-99, log.read_text(errors="replace"), time.monotonic() - began)


def moment_has_come(moment: str, run: Path, iterations: int, at: float) -> Callable[[], bool]:
    """A question that is asked every few milliseconds."""
    history = run / "history.csv"

    def logged(iteration: int) -> bool:
        return history.is_file() and f"\n{iteration},phase" in history.read_text()

    began = time.monotonic()
    questions: dict[str, Callable[[], bool]] = {
        "random": lambda: time.monotonic() - began >= at,
        "saving": lambda: any(run.glob(".*.ckpt.*.tmp")),
        "last iteration": lambda: logged(iterations - 1),
        "scoring": (run / "joint.ckpt").is_file,
        "drawing": (run / "embeddings.json").is_file,
    }
    return questions[moment]


def alive_in(session: int) -> list[int]:
    """Processes of a session that still run (Linux)."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            state, _, _, owner = stat.read_text().rpartition(")")[2].split()[:4]
        except (OSError, ValueError):
            continue
        if int(owner) == session and state not in "ZX":
            found.append(int(stat.parent.name))
    return found


def what_counts(run: Path) -> dict[str, Any]:
    """What must be equal: everything that a run computes; not when, how fast and how often."""
    import torch

    checkpoint = torch.load(run / "last.ckpt", weights_only=True)
    kept = {key: checkpoint[key] for key in ("state_dict", "optimizer_states", "lr_schedulers")}
    kept["iteration"] = checkpoint["crossreid"]["iteration"]
    kept["scores"] = json.loads((run / "results.json").read_text())["rows"]
    kept["history"] = (run / "history.csv").read_text()
    kept["status"] = json.loads((run / "run.json").read_text())["status"]
    return kept


def difference(one: Any, two: Any, place: str = "") -> str | None:
    """Where two nested values differ first; None where they are equal, bit for bit."""
    import torch

    if type(one) is not type(two):
        return place
    if isinstance(one, torch.Tensor):
        return None if torch.equal(one, two) else place
    if isinstance(one, dict):
        if set(one) != set(two):
            return place
        parts = [(f"{place}/{key}", one[key], two[key]) for key in one]
    elif isinstance(one, list | tuple):
        if len(one) != len(two):
            return place
        parts = [(f"{place}/{i}", a, b) for i, (a, b) in enumerate(zip(one, two, strict=True))]
    else:
        return None if one == two else place
    for name, a, b in parts:
        found = difference(a, b, name)
        if found is not None:
            return found
    return None


def files_of(run: Path) -> set[str]:
    return {str(path.relative_to(run)) for path in run.rglob("*") if path.is_file()}


@dataclass
class Trial:
    """One method: its run that was never stopped, and what its killed ones are compared with."""

    method: str
    words: list[str]
    folder: Path
    whole: Path
    seconds: float
    iterations: int
    tally: Tally

    def kill(self, name: str, moment: str, draw: random.Random) -> None:
        """One run that gets a signal and is gone on with."""
        run = self.folder / f"{self.method}-{name}-{sum(self.tally.kills.values())}"
        label = f"{self.method}, {name} ({moment})"
        at = draw.uniform(0, self.seconds)
        log = run.with_suffix(".log")
        began = time.monotonic()
        pid = start(self.words, run, log)
        come = moment_has_come(moment, run, self.iterations, at)
        while not come():
            done, status = os.waitpid(pid, os.WNOHANG)
            if done:
                self.tally.too_late += 1
                if status:
                    self.tally.problems.append(f"{label}: ended by itself: {log.read_text()[-600:]}")
                shutil.rmtree(run, ignore_errors=True)
                return
            time.sleep(0.002)
        os.kill(pid, SIGNALS[name])
        ended = wait(pid, log, began)
        self.tally.kills[f"{name}, {moment}"] += 1
        self.tally.codes[f"{name}: {ended.code}"] += 1
        self._look_at(label, SIGNALS[name], ended, pid)
        self._go_on(label, run)
        shutil.rmtree(run, ignore_errors=True)
        log.unlink()

    def _look_at(self, label: str, signum: int, ended: Ended, pid: int) -> None:
        """The exit code, what was said, who lives on."""
        before_python = {-15, -2} if "random" in label else set()  # nothing had been set up
        if ended.code not in {CODES[signum], 0, *before_python}:
            self.tally.problems.append(f"{label}: exit code {ended.code}: {ended.output[-600:]}")
        if ended.code == CODES[signum] and signum != signal.SIGKILL and "Stopped" not in ended.output:
            self.tally.problems.append(f"{label}: nothing was said: {ended.output[-600:]}")
        if "Traceback" in ended.output:
            self.tally.problems.append(f"{label}: traceback: {ended.output[-1500:]}")
        deadline = time.monotonic() + 10
        while alive_in(pid) and time.monotonic() < deadline:
            time.sleep(0.05)
        for orphan in alive_in(pid):
            self.tally.problems.append(f"{label}: process {orphan} lives on")
            os.kill(orphan, signal.SIGKILL)

    def _go_on(self, label: str, run: Path) -> None:
        """Start again until it is finished; compare."""
        log = run.with_suffix(".log")
        for _ in range(_MOST_STARTS):
            began = time.monotonic()
            ended = wait(start(self.words, run, log), log, began)
            if ended.code == 0:
                break
        else:
            self.tally.problems.append(f"{label}: does not go on: {ended.output[-1500:]}")
            return
        found = difference(what_counts(self.whole), what_counts(run))
        if found is not None:
            self.tally.problems.append(f"{label}: differs at {found}")
        if files_of(run) != files_of(self.whole):
            self.tally.problems.append(f"{label}: files differ: {sorted(files_of(run) ^ files_of(self.whole))}")


def prepare(method: str, folder: Path, data: Path, cache: Path, tally: Tally) -> Trial:
    """The run that is never stopped."""
    words, whole = settings(method, data, cache), folder / f"{method}-whole"
    log = whole.with_suffix(".log")
    for run in (folder / f"{method}-first", whole):  # the first one draws and decodes images, which takes longer
        began = time.monotonic()
        ended = wait(start(words, run, log), log, began)
        if ended.code:
            raise SystemExit(f"{method} does not train: {ended.output[-2000:]}")
    shutil.rmtree(folder / f"{method}-first")
    iterations = what_counts(whole)["iteration"]
    return Trial(method, words, folder, whole, ended.seconds, iterations, tally)


def run_kills(
    methods: Sequence[str],
    kills: int,
    *,
    signals: Sequence[str] = tuple(SIGNALS),
    moments: Sequence[str] = MOMENTS,
    seconds: float = 1e9,
    seed: int = 0,
    folder: Path | None = None,
    data: Path | None = None,
    cache: Path | None = None,
) -> dict[str, Any]:
    """Kill ``kills`` runs with each signal, taking turns over methods and moments; returns counts as plain values.

    Every second kill is at a random moment, the others at the chosen ones in turn. After ``seconds`` no further one begins.
    """
    import crossreid.experiment
    import crossreid.train
    import crossreid.visualization  # noqa: F401

    place = Path(tempfile.mkdtemp(prefix="kills-")) if folder is None else folder
    draw, tally, began = random.Random(seed), Tally(), time.monotonic()
    try:
        trials = [prepare(name, place, data or place / "people", cache or place / "cache", tally) for name in methods]
        chosen = [moment for moment in moments if moment != "random"]
        plan = []
        for number in range(kills):
            random_one = "random" in moments and (number % 2 == 0 or not chosen)
            moment = "random" if random_one else chosen[(number // 2 if "random" in moments else number) % len(chosen)]
            for name in signals:
                plan.append((trials[(number + number // 2) % len(trials)], name, moment))
        for trial, name, moment in plan:
            if time.monotonic() - began > seconds:
                break
            trial.kill(name, moment, draw)
    finally:
        if folder is None:
            shutil.rmtree(place, ignore_errors=True)
    return {
        "methods": list(methods),
        "kills": dict(sorted(tally.kills.items())),
        "kills in all": sum(tally.kills.values()),
        "by signal": {name: sum(n for key, n in tally.kills.items() if key.startswith(name)) for name in signals},
        "ended before the signal": tally.too_late,
        "exit codes": dict(sorted(tally.codes.items())),
        "problems": tally.problems,
        "seconds": round(time.monotonic() - began),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--kills", type=int, default=30, help="with each signal")
    parser.add_argument("--methods", nargs="+", default=["aligngan", "lba"])
    parser.add_argument("--seconds", type=float, default=1e9, help="after which no further one begins")
    parser.add_argument("--seed", type=int, default=0, help="of the random moments")
    parser.add_argument("--folder", type=Path, help="of the runs, removed one by one; by default a temporary one")
    parser.add_argument("--output", type=Path, help="a JSON file for the counts")
    told = parser.parse_args()
    counts = run_kills(told.methods, told.kills, seconds=told.seconds, seed=told.seed, folder=told.folder)
    text = json.dumps(counts, indent=2)
    print(text)
    if told.output:
        told.output.write_text(text + "\n", encoding="utf-8")
    sys.exit(1 if counts["problems"] else 0)


if __name__ == "__main__":
    main()
