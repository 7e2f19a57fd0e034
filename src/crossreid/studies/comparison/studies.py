"""Weight studies: how the scores of one row go with a number that its runs were trained with (AlignGAN Fig. 4, JSIA Fig. 5)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from crossreid.studies.comparison.rows import Row
from crossreid.studies.comparison.tables import ComparisonTable
from crossreid.studies.comparison.variation import Variation

STUDIED = ("rank1", "mAP")
"""Metrics of a study."""


@dataclass(frozen=True)
class WeightStudy:
    """One row on one protocol.

    Attributes:
        name: of the row.
        dataset, protocol: of its table.
        setting: what is varied, in words.
        values: of the setting, ascending.
        scores: metric -> for each value the means over trials, in [0, 1], one a seed.
        chance: metric -> of a random ranking.
    """

    name: str
    dataset: str
    protocol: str
    setting: str
    values: Sequence[float]
    scores: Mapping[str, Sequence[Sequence[float]]]
    chance: Mapping[str, float]


def studies_of(tables: Iterable[ComparisonTable], variations: Iterable[Variation]) -> list[WeightStudy]:
    """One for each varied number and table that holds at least two of its values."""
    studies = []
    for variation in variations:
        numbers = variation.numbers()
        for table in tables:
            rows = _rows_by_value(table, variation, numbers)
            if len(rows) < 2:
                continue
            scores = {}
            chance = {}
            for metric in STUDIED:
                scores[metric] = [row.values(metric) for row in rows.values()]
                chance[metric] = table.result.chance[metric]
            studies.append(
                WeightStudy(
                    name=variation.name,
                    dataset=table.dataset,
                    protocol=table.protocol,
                    setting=variation.label,
                    values=list(rows),
                    scores=scores,
                    chance=chance,
                )
            )
    return studies


def study_json(study: WeightStudy) -> dict[str, Any]:
    """As plain values."""
    scores = {}
    for metric, by_value in study.scores.items():
        scores[metric] = [list(seeds) for seeds in by_value]
    return {
        "row": study.name,
        "dataset": study.dataset,
        "protocol": study.protocol,
        "setting": study.setting,
        "values": list(study.values),
        "scores": scores,
        "chance": dict(study.chance),
    }


def _rows_by_value(table: ComparisonTable, variation: Variation, numbers: Mapping[str, float]) -> dict[float, Row]:
    """Value -> the method's own row of the runs on the variation's dataset that were trained with it, values ascending."""
    rows = {}
    for row in table.rows:
        name = row.kind.name
        on_dataset = any(run.dataset == variation.dataset for run in row.runs.values())
        if on_dataset and not row.kind.variant and name in numbers:
            rows[numbers[name]] = row
    return dict(sorted(rows.items()))
