"""Tables of the page of the one comparison, from the scores that its slices have merged.

    python benchmarks/comparison.py benchmarks/results/pilot_people docs/comparison.md

FOLDER holds ``comparison.json`` (``benchmarks/gpu/compare.sh``). Three tables go between lines of PAGE as in
``benchmarks/evidence.py``: ``plain``, every method's full row and its own baseline by mAP, each probe scored by itself against
the gallery; ``other``, what is not comparable with these; and ``known``, what each method gains on persons who are in
``people=small`` too, on which earlier revisions were tried out, and on all others. The first of them is drawn too, beside PAGE.
Rows between are on the pages of evidence.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from evidence import (
    FULL,
    SWEEPS,
    Runs,
    gain,
    identity_scores,
    of_row,
    percent,
    put,
    read,
    rows_of,
    rows_of_sweep,
    scores,
)
from matplotlib.figure import Figure

from crossreid.data.synthetic.roster import make_roster
from crossreid.evaluation.bootstrap import identity_interval
from crossreid.settings.data import SyntheticPeople
from crossreid.visualization import Panel, Point, comparison_chart, save

BEST = "best/full"
CHANCE = 0.016
"""mAP of ``people=comparison``, all-search single-shot."""
PEOPLE = Path(__file__).parents[1] / "conf" / "people"
PLAIN_HEAD = (
    "| row | seeds | Rank-1 | mAP | mAP, 95 % over persons "
    "| less that of `best`, paired 95 % | iterations | training, seconds |"
)
KNOWN_HEAD = (
    "| mAP, difference and paired 95 % interval | all {all} | {others} who are not in `small` | {known} who are |"
)
OTHER_HEAD = "| row | inference | seeds | Rank-1 | mAP |"


def compared_rows() -> list[str]:
    """The rows of ``sweep=comparison``, and the first row of the ablation of each method that has a baseline of its own."""
    rows = rows_of_sweep(SWEEPS / "comparison.yaml")
    baselines = [rows_of(row.partition("/")[0], {})[0] for row in FULL.values()]
    return list(dict.fromkeys([*rows, "agw/caj", *baselines]))


def whole(values: list[float]) -> str:
    """A count or seconds of each run as one number, or as the least and the most."""
    least, most = round(min(values)), round(max(values))
    return f"{least:,}" if least == most else f"{least:,} to {most:,}"


@dataclass(frozen=True)
class Standing:
    """A row of the comparison.

    Attributes:
        row: its name.
        runs: by their names, one for each seed.
        rank1: of each run, in [0, 1].
        mean_ap: of each run, in [0, 1].
        interval: of the mean of ``mean_ap``, 95 % over persons.
    """

    row: str
    runs: Runs
    rank1: list[float]
    mean_ap: list[float]
    interval: tuple[float, float]

    @property
    def mean(self) -> float:
        """mAP over the seeds."""
        return sum(self.mean_ap) / len(self.mean_ap)


def standings(runs: Runs) -> list[Standing]:
    """Rows that were scored, each probe by itself, the highest mAP first."""
    found = []
    for row in compared_rows():
        own = of_row(runs, row)
        if own:
            interval = identity_interval([identity_scores(run) for run in own.values()], "mAP")
            found.append(Standing(row, own, scores(own, row, "rank1"), scores(own, row, "mAP"), interval))
    return sorted(found, key=lambda standing: -standing.mean)


def plain(runs: Runs) -> str:
    """The standings as a table, each beside :data:`BEST` on the seeds that both have."""
    lines = []
    best = of_row(runs, BEST)
    for standing in standings(runs):
        low, high = standing.interval
        cells = [
            f"`{standing.row}`",
            str(len(standing.runs)),
            percent(standing.rank1),
            percent(standing.mean_ap),
            f"{100 * low:.1f} to {100 * high:.1f}",
            gain(best, standing.runs) if best and standing.row != BEST else "",
            whole([run["iterations"] for run in standing.runs.values()]),
            whole([run["training_seconds"] for run in standing.runs.values()]),
        ]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join([PLAIN_HEAD, "|---|---|---|---|---|---|---|---|", *lines]) + "\n"


def chart(runs: Runs) -> Figure:
    """The standings as a picture; chance is that of ``people=comparison``, all-search single-shot."""
    points = []
    for standing in standings(runs):
        point = Point(
            label=standing.row,
            plain=True,
            inference="plain",
            mean=standing.mean,
            interval=standing.interval,
            by_seed=standing.mean_ap,
        )
        points.append(point)
    return comparison_chart([Panel("embedded people, all-search single-shot", points, CHANCE)], metric="mAP")


def not_plain(runs: Runs) -> Iterator[tuple[str, str, Mapping[str, Any]]]:
    """Name of a row, its way of inference and a run's first score of it, of rows that were scored in another way."""
    for run in runs.values():
        for row, by_protocol in run["rows"].items():
            score = next(iter(by_protocol.values()))
            if score["inference"] != "plain":
                yield row, score["inference"], score


def other(runs: Runs) -> str:
    """Rows whose probes were not scored by themselves, by name."""
    found: dict[tuple[str, str], list[Mapping[str, Any]]] = {}
    for row, inference, score in not_plain(runs):
        found.setdefault((row, inference), []).append(score)
    lines = []
    for (row, inference), values in sorted(found.items()):
        rank1, mean_ap = (percent([score[metric] for score in values]) for metric in ("rank1", "mAP"))
        lines.append(f"| `{row}` | {inference} | {len(values)} | {rank1} | {mean_ap} |")
    return "\n".join([OTHER_HEAD, "|---|---|---|---|---|", *lines]) + "\n"


def persons_of_small() -> set[int]:
    """Numbers of all persons of ``people=small``, to train on and to test on; persons of one seed are known by their number."""
    content = yaml.safe_load((PEOPLE / "small.yaml").read_text(encoding="utf-8"))
    sizes = {name: content[name] for name in ("train_ids", "val_ids", "test_ids", "seed")}
    people = SyntheticPeople(**sizes)
    return {entry.pid for entry in make_roster(people)}


def of_persons(runs: Runs, chosen: Callable[[int], bool]) -> Runs:
    """The runs with what some test persons contribute alone."""
    cut = {}
    for name, run in runs.items():
        places = [place for place, pid in enumerate(run["persons"]["pids"]) if chosen(pid)]
        persons = {column: [values[place] for place in places] for column, values in run["persons"].items()}
        cut[name] = {**run, "persons": persons}
    return cut


def known(runs: Runs) -> str:
    """What is gained by methods on their baselines and by ``best`` on ``strong``: of all persons, and of two parts of them."""
    small = persons_of_small()
    pids = next(iter(runs.values()))["persons"]["pids"]
    shared = len(small.intersection(pids))
    parts = [runs, of_persons(runs, lambda pid: pid not in small), of_persons(runs, lambda pid: pid in small)]
    pairs = [(rows_of(row.partition("/")[0], {})[0], row) for row in FULL.values()]
    lines = []
    for baseline, row in [*pairs, ("strong/full", BEST)]:
        gains = [gain(of_row(part, baseline), of_row(part, row)) for part in parts]
        if all(gains):
            lines.append("| " + " | ".join([f"`{row}` less `{baseline}`", *gains]) + " |")
    head = KNOWN_HEAD.format(all=len(pids), others=len(pids) - shared, known=shared)
    return "\n".join([head, "|---|---|---|---|", *lines]) + "\n"


TABLES = {"plain": plain, "other": other, "known": known}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("page", type=Path)
    arguments = parser.parse_args()
    runs = read(arguments.folder / "comparison.json")["runs"]
    for name, table in TABLES.items():
        text = table(runs)
        put(arguments.page, name, text)
        print(text)
    print(save(chart(runs), arguments.page.with_suffix(".png")))


if __name__ == "__main__":
    main()
