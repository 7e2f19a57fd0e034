"""Settings of scale=small, tried on persons whom nothing is tested on, each trial logged.

    python benchmarks/tuning.py multirun/tuning [ROW ...] [--jobs 2] [--log benchmarks/results/tuning.md]

The persons are those of ``people=tuning``: 152 to train on and 96 to score, of another seed than all other sets. A full model
and its own baseline have the same number of trials and of updates of the encoder. A trial that is finished, in the folder or
in the log's JSON, is not run again, so that the command goes on where it was stopped; one that fails is named, and the others
go on. Trials are run in rounds, one of each row: whenever it is stopped, full models and baselines have had equally many, but
for the round that was running.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from crossreid.machine import usable_cores
from crossreid.runs.folder import write_json
from crossreid.runs.results import RunResults

PROTOCOL = "sysu_mm01/all/single"
COMMON = [
    "scale=small",
    "people=tuning",
    "seed=0",
    "trainer=cpu",
    "trainer.progress=false",
    "trainer.log_every=20",
    "report.figures=false",
    "report.untrained=false",
    "report.modality_pairs=false",
    "existing=continue",
]

Words = list[str]
_MIXED = ["model.test_norm=mixed"]
_PEOPLE = ["model.backbone.weights=people"]
_SHORTER = [*_PEOPLE, "model.epochs=8", "model.schedule.steps=[6]", "model.optimizer.encoder_lr=3.5e-4"]
_HALF_THE_RATE = ["model.optimizer.encoder_lr=3.5e-4", "model.optimizer.head_lr=1e-3"]
_COLOURS = ["model.grey=false"]
_TWICE_THE_RATE = ["model.optimizer.encoder_lr=1.4e-3", "model.optimizer.head_lr=4e-3"]
_DRAWN = "model.triplet_partners=random"
_IN_COLOUR = ["model.generator.grey=false", "model.generator.upsampling=transposed"]
_TAUGHT_MORE = ["model.teaching.cross_domain=0.006", "model.teaching.same_domain=0.003"]

TRIALS: dict[str, dict[str, Words]] = {
    "aligngan/full": {
        "as it was": [],
        "mixed norms": _MIXED,
        "generation twice as long": ["model.phases.pixel=160"],
        "from people": _PEOPLE,
        "from people, fakes in colour": [*_PEOPLE, *_IN_COLOUR],
    },
    "aligngan/basel": {
        "as it was": [],
        "mixed norms": _MIXED,
        "half the rate": _HALF_THE_RATE,
        "from people": _PEOPLE,
        "from people, half the rate": [*_PEOPLE, *_HALF_THE_RATE],
    },
    "tsgan/jd_all_ts_rerank": {
        "as it was": [],
        "taught ten times as much": _TAUGHT_MORE,
        "wider generators": ["model.generator.channels=16"],
    },
    "tsgan/backbone": {
        "as it was": [],
        "half the rate": ["model.optimizer.lr=3.5e-4"],
        "twice the rate": ["model.optimizer.lr=1.4e-3"],
    },
    "lba/full": {
        "as it was": [],
        "half the rate": _HALF_THE_RATE,
        "half the weights": ["model.w_ic=0.5", "model.w_dt=0.25"],
    },
    "lba/baseline": {
        "as it was": [],
        "half the rate": _HALF_THE_RATE,
        "twice the rate": _TWICE_THE_RATE,
    },
    "jsia/full": {
        "as it was": [],
        "mixed norms": _MIXED,
        "generation twice as long": ["model.phases.generation=200"],
    },
    "jsia/none": {
        "as it was": [],
        "mixed norms": _MIXED,
        "half the rate": ["model.reid_optimizer.lr=3.5e-4"],
    },
    "best/full": {
        "grey": [],
        "colours": _COLOURS,
        "colours, norms of each modality": [*_COLOURS, "model.norms=per_modality"],
        "from people": _PEOPLE,
        "from people, colours": [*_PEOPLE, *_COLOURS],
        "from people, a neck of each modality": [*_PEOPLE, "model.norms=neck"],
        "from people, colours, a neck of each modality": [*_PEOPLE, *_COLOURS, "model.norms=neck"],
        "from people, half as long": _SHORTER,
        "from people, another seed": [*_PEOPLE, "seed=1"],
        "from people, colours, another seed": [*_PEOPLE, *_COLOURS, "seed=1"],
    },
    "strong/full": {
        "as it was": [],
        "half the rate": _HALF_THE_RATE,
        "twice the rate": _TWICE_THE_RATE,
        "as long as best": ["model.epochs=22", "model.schedule.steps=[17]"],
        "from people": _PEOPLE,
        "from people, half as long": _SHORTER,
        "from people, half the rate": [*_PEOPLE, *_HALF_THE_RATE],
        "from people, twice the rate": [*_PEOPLE, *_TWICE_THE_RATE],
        "from people, another seed": [*_PEOPLE, "seed=1"],
        "from people, twice the rate, another seed": [*_PEOPLE, *_TWICE_THE_RATE, "seed=1"],
    },
    "cmssft/full": {
        "as it was": [],
        "erasing": ["model.erasing.probability=0.5"],
        "half the rate": ["model.optimizer.lr=3.5e-4"],
    },
    "cmssft/shl": {
        "as it was": [],
        "erasing": ["model.erasing.probability=0.5"],
        "half the rate": ["model.optimizer.lr=3.5e-4"],
    },
    "deen/full": {
        "from people": _PEOPLE,
        "from people, the paper's weight of the orthogonal loss": [*_PEOPLE, "model.w_orthogonal=0.1"],
    },
    "deen/base": {
        "from people": _PEOPLE,
        "from people, twice the rate": [*_PEOPLE, *_TWICE_THE_RATE],
    },
    "agw/caj": {
        "from people": _PEOPLE,
    },
    "agw/full": {
        "from people": _PEOPLE,
    },
    "cmgan/full": {
        "from people": _PEOPLE,
        "from people, drawn triplets": [*_PEOPLE, _DRAWN],
        "from people, drawn triplets of plain vectors": [*_PEOPLE, _DRAWN, "model.triplet_vectors=plain"],
    },
    "onestream/full": {
        "from people": _PEOPLE,
        "from people, half the rate": [*_PEOPLE, *_HALF_THE_RATE],
        "from people, twice the rate": [*_PEOPLE, *_TWICE_THE_RATE],
    },
}
"""Row -> name of a trial -> what it changes in scale=small; a row stands before its baseline, which has as many."""
PREFACE = """Settings of scale=small on the drawn persons of people=tuning (152 to train on, 96 to score), whom nothing is
tested on: seed 0 where a trial names no other, all-search single-shot, chance 1.0. Bold: the best mAP of a row. Rows of
benchmarks/tuning.py that are missing here have not been run. Seconds are by the clock and hold whatever else the machine did.

"""


@dataclass(frozen=True)
class Trial:
    """A training and its folder."""

    row: str
    number: int
    name: str
    words: Words
    folder: Path

    @property
    def key(self) -> tuple[str, ...]:
        """What was trained: the row and its settings."""
        return (self.row, *self.words)

    def run(self, threads: int) -> int:
        """Train and score; returns the exit code."""
        command = [sys.executable, "-m", "crossreid.train", f"experiment={self.row}", *COMMON, *self.words]
        command += [f"run_dir={self.folder}"]
        self.folder.parent.mkdir(parents=True, exist_ok=True)
        environment = {**os.environ, "OMP_NUM_THREADS": str(threads)}
        with self.folder.with_suffix(".log").open("w", encoding="utf-8") as log:
            done = subprocess.run(command, stdout=log, stderr=subprocess.STDOUT, env=environment, check=False)
        print(
            f"{self.row}, {self.name}: {'done' if done.returncode == 0 else f'exit code {done.returncode}'}", flush=True
        )
        return done.returncode

    def result(self) -> dict[str, Any] | None:
        """Scores in percent of the trained row; None of a trial that is not finished."""
        path = self.folder / "results.json"
        if not path.is_file():
            return None
        results = RunResults.read(path)
        scores = results[PROTOCOL]
        return {
            "row": self.row,
            "trial": self.name,
            "settings": self.words,
            "rank1": round(100 * float(scores.rank(1).mean()), 2),
            "mAP": round(100 * float(scores.mean_ap.mean()), 2),
            "seconds": round(results.facts["training_seconds"]),
        }


def trials(folder: Path, rows: list[str]) -> list[Trial]:
    """All trials of some rows, in the order of the table."""
    listed = []
    for row in rows or TRIALS:
        for number, (name, words) in enumerate(TRIALS[row].items()):
            listed.append(Trial(row, number, name, words, folder / f"{row.replace('/', '_')}_{number}"))
    return listed


def read_log(log: Path | None) -> dict[tuple[str, ...], dict[str, Any]]:
    """Results that an earlier call has logged, perhaps on another machine, by row and settings."""
    path = None if log is None else log.with_suffix(".json")
    if path is None or not path.is_file():
        return {}
    results = json.loads(path.read_text(encoding="utf-8"))["trials"]
    return {(result["row"], *result["settings"]): result for result in results}


def table(results: list[dict[str, Any]]) -> str:
    """Markdown; the best trial of a row by mAP is bold."""
    lines = ["| row | trial | changed in scale=small | Rank-1 | mAP | seconds |", "|---|---|---|---:|---:|---:|"]
    for result in results:
        best = max(other["mAP"] for other in results if other["row"] == result["row"])
        mark = "**" if result["mAP"] == best else ""
        changed = ", ".join(f"`{word}`" for word in result["settings"]) or "nothing"
        lines.append(
            f"| `{result['row']}` | {result['trial']} | {changed} | {result['rank1']:.1f} | {mark}{result['mAP']:.1f}{mark} | "
            f"{result['seconds']} |"
        )
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("rows", nargs="*")
    parser.add_argument("--jobs", type=int, default=usable_cores())
    parser.add_argument("--log", type=Path, default=None, help="Markdown to write, beside it JSON")
    arguments = parser.parse_args()
    unknown = [row for row in arguments.rows if row not in TRIALS]
    if unknown:
        parser.error(f"no trials of {', '.join(unknown)}: choose from {', '.join(TRIALS)}")
    folder = arguments.folder.resolve()
    listed = trials(folder, arguments.rows)
    logged = read_log(arguments.log)
    threads = max(1, usable_cores() // arguments.jobs)
    with ThreadPoolExecutor(arguments.jobs) as pool:
        # The first trial of every row before the second of any: stopped early, all rows have had about as many.
        waiting = [trial for trial in listed if trial.result() is None and trial.key not in logged]
        codes = list(pool.map(lambda trial: trial.run(threads), sorted(waiting, key=lambda trial: trial.number)))
    results = [
        result for trial in trials(folder, []) if (result := trial.result() or logged.get(trial.key)) is not None
    ]
    print(table(results))
    if arguments.log is not None:
        arguments.log.write_text(PREFACE + table(results), encoding="utf-8")
        write_json(arguments.log.with_suffix(".json"), {"people": "tuning", "protocol": PROTOCOL, "trials": results})
    sys.exit(1 if any(codes) else 0)


if __name__ == "__main__":
    main()
