"""Tables of what a method's parts bring on embedded people, from the scores that a comparison has merged.

    python benchmarks/evidence.py benchmarks/results/pilot docs/evidence docs/comparison.md
    python benchmarks/evidence.py benchmarks/results/pilot_people docs/evidence docs/comparison.md README.md
    python benchmarks/evidence.py benchmarks/results/pilot_people_long docs/evidence
    python benchmarks/evidence.py benchmarks/results/pilot_people_colour docs/evidence

FOLDER holds ``comparison.json`` (``benchmarks/gpu/compare.sh``) and, where it was made, ``seen.json``
(``benchmarks/seen.py``). A method's table goes between the lines ``<!-- table NAME -->``, NAME being the folder's, and
``<!-- end of table -->`` of ``PAGES/METHOD.md``: its rows in the order of its ablation sweep, which is the paper's, each less
the first one, with a paired 95 % interval over persons and over the seeds that both have. Each page SUMMARY, if any, gets each
paper's full row beside its own baseline, between the same lines.
"""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from gpu.slices import spread

from crossreid.evaluation.bootstrap import paired_difference
from crossreid.evaluation.results import IdentityScores

FULL = {
    "AlignGAN": "aligngan/full",
    "TS-GAN": "tsgan/jd_all_ts_rerank",
    "LbA": "lba/full",
    "JSIA-ReID": "jsia/full",
    "cm-SSFT": "cmssft/full",
    "DEEN": "deen/full",
    "MPANet": "mpanet/full",
}
"""The papers' methods and their full row; their own baseline is the first row of the ablation."""
PAGES = Path(__file__).parents[1] / "docs" / "evidence"
"""One page for each method that was looked at."""
SWEEPS = Path(__file__).parents[1] / "conf" / "sweep"
BEGIN, END = "<!-- table {name} -->\n", "<!-- end of table -->"
HEAD = (
    "| row | seeds | Rank-1 | mAP | mAP less the first row's, 95 % "
    "| mAP of persons trained on | of as many strangers | these centred |"
)

SUMMARY_HEAD = (
    "| method | seeds | its own baseline row | the full method | mAP, difference and paired 95 % interval | looked at |"
)

Runs = Mapping[str, Mapping[str, Any]]


def rows_of_sweep(path: Path) -> list[str]:
    """What a sweep trains, in its order."""
    sweep = yaml.safe_load(path.read_text(encoding="utf-8"))
    rows: str = sweep["hydra"]["sweeper"]["params"]["experiment"]
    return rows.split(",")


def rows_of(method: str, runs: Runs) -> list[str]:
    """The ablation's rows in the paper's order, then others of the method that were scored, such as one with re-ranking."""
    rows = rows_of_sweep(SWEEPS / method / "ablation.yaml")
    scored = [name.rpartition("_seed")[0] for name in runs if name.startswith(f"{method}/")]
    return list(dict.fromkeys([*rows, *scored]))


def identity_scores(run: Mapping[str, Any]) -> IdentityScores:
    """What each test person contributes to the run's first score."""
    persons = {name: np.asarray(values) for name, values in run["persons"].items()}
    return IdentityScores(**persons, mean_inp=np.zeros(len(persons["pids"])))


def of_row(runs: Runs, row: str) -> dict[str, Mapping[str, Any]]:
    """Runs of a row, by their names."""
    return {name: run for name, run in runs.items() if name.rpartition("_seed")[0] == row}


def scores(runs: Runs, row: str, metric: str) -> list[float]:
    """A row's first score in each of its runs, in [0, 1]."""
    return [next(iter(run["rows"][row].values()))[metric] for run in runs.values()]


def percent(values: Sequence[float]) -> str:
    """Mean and sample standard deviation of shares, in percent."""
    return spread([100 * value for value in values])


def seed_of(name: str) -> str:
    """Of a run ROW_seedN: N."""
    return name.rpartition("_seed")[2]


def gain(first: Runs, runs: Runs) -> str:
    """mAP of some runs less that of others, in points, with its interval; of the seeds that both have, empty if none."""
    shared = {seed_of(name) for name in first} & {seed_of(name) for name in runs}
    if not shared:
        return ""
    before = [identity_scores(run) for name, run in first.items() if seed_of(name) in shared]
    after = [identity_scores(run) for name, run in runs.items() if seed_of(name) in shared]
    difference = paired_difference(before, after, "mAP")
    low, high = difference.interval
    return f"{100 * difference.value:+.1f} ({100 * low:+.1f} to {100 * high:+.1f})"


def table(method: str, runs: Runs, seen: Mapping[str, Any]) -> str:
    """A method's table; empty where none of its rows was scored."""
    lines = []
    first: Runs = {}
    for row in rows_of(method, runs):
        own = of_row(runs, row)
        if not own:
            continue
        cells = [f"`{row}`", str(len(own)), percent(scores(own, row, "rank1")), percent(scores(own, row, "mAP"))]
        cells.append(gain(first, own) if first else "")
        looked_at = [seen[name] for name in own if name in seen]
        for persons in ("training", "test", "centred"):
            values = [run[persons]["mAP"] for run in looked_at if persons in run]
            cells.append(percent(values) if values else "")
        lines.append("| " + " | ".join(cells) + " |")
        first = first or own
    if not lines:
        return ""
    return "\n".join([HEAD, "|---|---|---|---|---|---|---|---|", *lines]) + "\n"


def summary(runs: Runs, pages: str) -> str:
    """Each paper's full row beside its own baseline: Rank-1 / mAP, and what of mAP is gained; evidence is in ``pages``."""
    lines = []
    for title, row in FULL.items():
        method = row.partition("/")[0]
        baseline = rows_of(method, {})[0]
        first, own = of_row(runs, baseline), of_row(runs, row)
        if not first or not own:
            continue
        seeds = str(len(own)) if len(own) == len(first) else f"{len(first)} and {len(own)}"
        cells = [title, seeds, pair_of(first, baseline), pair_of(own, row), gain(first, own)]
        cells.append(f"[evidence]({pages}/{method}.md)" if has_page(method) else "")
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join([SUMMARY_HEAD, "|---|---|---|---|---|---|", *lines]) + "\n"


def has_page(method: str) -> bool:
    """The method was looked at, and a page says what was seen."""
    return (PAGES / f"{method}.md").is_file()


def pair_of(runs: Runs, row: str) -> str:
    """Rank-1 / mAP of a row."""
    return f"{percent(scores(runs, row, 'rank1'))} / {percent(scores(runs, row, 'mAP'))}"


def read(path: Path) -> dict[str, Any]:
    """JSON, or nothing where there is no such file."""
    if not path.is_file():
        return {}
    content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return content


def tables(folder: Path) -> dict[str, str]:
    """Method -> its table, of those that were scored."""
    runs = read(folder / "comparison.json").get("runs", {})
    seen = read(folder / "seen.json")
    methods = [row.partition("/")[0] for row in FULL.values()]
    made = {method: table(method, runs, seen) for method in methods if has_page(method)}
    return {method: text for method, text in made.items() if text}


def with_table(page: str, name: str, text: str) -> str:
    """The page with a folder's table anew; raises :class:`ValueError` where it has no place for one."""
    begin = BEGIN.format(name=name)
    before, found, rest = page.partition(begin)
    _, ended, after = rest.partition(END)
    if not found or not ended:
        raise ValueError(f"there are no lines {begin.strip()} and {END}")
    return before + begin + text + END + after


def put(page: Path, name: str, text: str) -> None:
    """Write a page with a folder's table anew."""
    page.write_text(with_table(page.read_text(encoding="utf-8"), name, text), encoding="utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("pages", type=Path)
    parser.add_argument("summary", type=Path, nargs="*")
    arguments = parser.parse_args()
    name = arguments.folder.name
    for method, text in tables(arguments.folder).items():
        put(arguments.pages / f"{method}.md", name, text)
        print(f"{method}\n\n{text}")
    runs = read(arguments.folder / "comparison.json")["runs"]
    for page in arguments.summary:
        text = summary(runs, os.path.relpath(arguments.pages, page.parent))
        put(page, name, text)
        print(text)


if __name__ == "__main__":
    main()
