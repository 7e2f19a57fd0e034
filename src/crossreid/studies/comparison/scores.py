"""The results of runs one by one, each with the table and the row that it belongs in."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass

from crossreid.evaluation import ProtocolLabels, RetrievalResult
from crossreid.runs.reading import Run
from crossreid.runs.results import UNTRAINED
from crossreid.studies.comparison.rows import RowKind


@dataclass(frozen=True, order=True)
class TableKind:
    """Results with all of these in common stand in one table.

    Attributes:
        dataset: its digest.
        protocol: key.
        condition: by :func:`condition`.
    """

    dataset: str
    protocol: str
    condition: str


@dataclass(frozen=True, eq=False)
class Score:
    """One result of one run.

    Attributes:
        run: of which it is.
        variant: of the method, or :data:`~crossreid.runs.results.UNTRAINED`; empty for the method's own row.
        result: the scores.
    """

    run: Run
    variant: str
    result: RetrievalResult

    @property
    def table(self) -> TableKind:
        """The table that it belongs in."""
        return TableKind(self.run.dataset, self.result.protocol, condition(self.result))

    @property
    def row(self) -> RowKind:
        """The row that it belongs in."""
        labels = self.result.labels
        return RowKind(self.run.name, self.variant, labels.inference, labels.feature)


def scores_of(runs: Iterable[Run], *, untrained: bool) -> list[Score]:
    """Everything that the runs scored, with or without the networks before training."""
    scores = []
    for run in runs:
        for name, results in run.results.items():
            variant = _variant(name, run)
            if variant == UNTRAINED and not untrained:
                continue
            for result in results.values():
                scores.append(Score(run, variant, result))
    return scores


def condition(result: RetrievalResult) -> str:
    """What must be equal for numbers of one protocol key to stand in one table."""
    labels = result.labels
    if labels.repeats == "split":  # how many splits a mean is over is said of each row
        return json.dumps([labels.mode, labels.shots, "splits", labels.exclusion, labels.ranks])
    return json.dumps([*rules_of(labels), result.trials, result.n_probes, result.n_gallery.tolist()])


def rules_of(labels: ProtocolLabels) -> list[str]:
    """What labels say of how probes were scored, but for the scorer."""
    return [labels.mode, labels.shots, labels.draw, labels.exclusion, labels.ranks]


def _variant(name: str, run: Run) -> str:
    """What the name of a row in results.json says besides the run's name."""
    if name == UNTRAINED:
        return name
    return name.removeprefix(run.name).removeprefix("/")
