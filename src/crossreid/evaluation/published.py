"""Published numbers, each with its source, from ``published.csv`` beside this module.

They come from the real datasets, and stand in the file with the digits that are printed. What papers disagree about is
kept as printed and marked ``disputed``. A number that was reached transductively, with re-ranking or query by query stands
only beside a row of that kind.
"""

from __future__ import annotations

import csv
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final

LITERATURE: Final = (
    "onestream",
    "twostream",
    "zeropadding",
    "bdtr",
    "cmgan",
    "d2rl",
    "xmodality",
    "ddag",
    "agw",
    "agw/caj",
    "strong",
    "deen",
    "mpanet",
)
"""Rows of other papers; some are methods here, under that name or that name and ``/full``."""


_PRESET = ", preset="
"""Between a row's name and the preset by which it was trained."""
_NUMBER = re.compile(r"(\d+(?:\.\d+)?(?:e[+-]?\d+)?)")

REACHED: Final = {
    "sysu_mm01/all/single": "MFEN 80.93 / 76.56 and BIT 80.53 / 79.76 (both CVPR 2026)",
    "regdb/visible_to_thermal": "BIT 96.12 Rank-1 (CVPR 2026), MPT 95.14 / 89.62 (ICMR 2025)",
    "regdb/thermal_to_visible": "MPT 94.33 / 89.01 (ICMR 2025)",
    "llcm/visible_to_infrared/sampled_query": "BIT 73.1 Rank-1 (CVPR 2026)",
    "llcm/infrared_to_visible/sampled_gallery": "BIT 66.7 Rank-1 (CVPR 2026)",
}
"""Protocol -> the highest supervised numbers that were found for it, without re-ranking and without text as a query.

Those of CVPR 2026 come from notes on the papers, not from the papers.
"""


@dataclass(frozen=True)
class Published:
    """One printed pair of numbers, from the dataset that the protocol's key names.

    Attributes:
        row: an experiment, or a name of :data:`LITERATURE`.
        variant: the row's variant here, such as ``reranked``; empty for the method's own row.
        inference: as in :class:`~crossreid.evaluation.ProtocolLabels`.
        protocol: key.
        rank1: percent, as printed.
        mean_ap: percent, as printed.
        source: where it is printed.
        disputed: what is wrong or contradicted, in one sentence; empty where nothing is known.
    """

    row: str
    variant: str
    inference: str
    protocol: str
    rank1: float
    mean_ap: float
    source: str
    disputed: str = ""

    @property
    def dataset(self) -> str:
        """The real dataset that the number comes from."""
        return self.protocol.split("/", 1)[0]


def read_published(path: Path) -> tuple[Published, ...]:
    """The lines of a CSV with a heading, in its order."""
    entries = []
    with path.open(encoding="utf-8", newline="") as stream:
        for line in csv.DictReader(stream):
            entry = Published(
                row=line["row"],
                variant=line["variant"],
                inference=line["inference"],
                protocol=line["protocol"],
                rank1=float(line["rank1"]),
                mean_ap=float(line["mAP"]),
                source=line["source"],
                disputed=line["disputed"],
            )
            entries.append(entry)
    return tuple(entries)


PUBLISHED: Final = read_published(Path(__file__).with_name("published.csv"))
"""All of them, in the order of the file."""


def in_natural_order(name: str) -> list[tuple[str, float]]:
    """A key that sorts names by the values of the numbers in them: ``w=2.0`` before ``w=10.0``."""
    parts: list[tuple[str, float]] = []
    for part in _NUMBER.split(name):
        if _NUMBER.fullmatch(part):
            parts.append(("", float(part)))
        else:
            parts.append((part, 0.0))
    return parts


def in_printed_order(name: str) -> tuple[int, list[tuple[str, float]]]:
    """A key that sorts names of runs as papers print their rows, and names that none prints after them."""
    row, _, _ = name.partition(", ")  # a value of a weight study follows
    # The file is in the order of the papers' tables, so a row's first line says where it stands.
    for place, entry in enumerate(PUBLISHED):
        if entry.row in _names_of(row):
            return place, in_natural_order(name)
    return len(PUBLISHED), in_natural_order(name)


def with_preset(name: str, preset: str) -> str:
    """What a row is called beside the same row by another preset."""
    return f"{name}{_PRESET}{preset}"


def without_preset(name: str) -> str:
    """The row of a name by :func:`with_preset`; of any other name, itself."""
    row, mark, preset = name.rpartition(_PRESET)
    if mark and preset.isidentifier():
        return row
    return name


def _names_of(name: str) -> set[str]:
    """``NAME`` and ``NAME/full`` are one row."""
    return {name, name.removesuffix("/full"), f"{name}/full"}


def published(name: str, variant: str, inference: str, protocol: str) -> tuple[Published, ...]:
    """What is printed for a row of ours, several numbers where a paper contradicts itself; often none.

    ``NAME`` and ``NAME/full`` are one row, whatever its preset. The way of inference must be the same.
    """
    # A number by other means, re-ranked or with all queries, would not be comparable.
    names = _names_of(without_preset(name))
    entries = []
    for entry in PUBLISHED:
        kind = (entry.variant, entry.inference, entry.protocol)
        if entry.row in names and kind == (variant, inference, protocol):
            entries.append(entry)
    return tuple(entries)
