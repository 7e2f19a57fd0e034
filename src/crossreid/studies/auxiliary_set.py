"""How many unlabelled queries cm-SSFT's transfer needs (Lu et al., CVPR 2020, Fig. 4).

Each trial cuts all queries into groups of n at random and scores every query inside its group, so a curve's points differ
by n alone; the groups of a trial are as random as its gallery.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from crossreid.console import notice
from crossreid.errors import ConfigError, NotScoredError
from crossreid.evaluation import Embeddings, RetrievalResult
from crossreid.methods.cmssft.module import CMSSFT
from crossreid.settings.commands import AuxiliaryConfig
from crossreid.training.loading import Restored, checkpoint_at, restore
from crossreid.training.scoring import embed_dataset


@dataclass(frozen=True)
class AuxiliaryCurve:
    """Scores over the size of the auxiliary set.

    Attributes:
        name: of the run, for tables.
        points: queries in a group -> result of the protocol's first setting, ascending, all queries last.
        untransferred: the result without transfer.
        shown_here: this process is the one that shows and writes.
    """

    name: str
    points: Mapping[int, RetrievalResult]
    untransferred: RetrievalResult
    shown_here: bool

    @property
    def with_all_queries(self) -> RetrievalResult:
        """The last point."""
        return self.points[max(self.points)]

    def rows(self) -> list[tuple[str, RetrievalResult]]:
        """Rows of a table."""
        rows = [("untransferred", self.untransferred)]
        for size, point in self.points.items():
            rows.append((f"n = {size}", point))
        return rows

    def to_json(self) -> dict[str, Any]:
        """Everything as plain values."""
        sizes = {str(size): point.to_json() for size, point in self.points.items()}
        return {"untransferred": self.untransferred.to_json(), "sizes": sizes}


def auxiliary_curve_of(config: AuxiliaryConfig) -> AuxiliaryCurve:
    """Score a checkpoint of cm-SSFT with groups of several sizes.

    Raises:
        CheckpointError: the checkpoint is missing or damaged.
        ConfigError: it has no transfer network, or the protocol compares no modality with the other.
    """
    run = restore(checkpoint_at(config.checkpoint), config.data, config.protocol, config.trainer)
    module = run.module
    if not isinstance(module, CMSSFT) or not module.config.transfer:
        raise ConfigError(
            f"{config.checkpoint} has no transfer network: give a checkpoint of model=cmssft with model.transfer."
        )
    # Embedded once: the transfer works on embeddings, so that all sizes share them.
    embeddings = embed_dataset(run.trainer, module, run.data)
    points = _score(run, module, config.sizes, embeddings)
    if not points:
        raise ConfigError(
            f"Nothing to draw a curve of: {run.protocols.test[0].key} does not query one modality against the other; choose "
            "another protocol or dataset."
        )
    untransferred = run.protocols.test[0](embeddings, module.scorer())
    return AuxiliaryCurve(run.name, points, untransferred, run.trainer.is_global_zero)


def _score(run: Restored, module: CMSSFT, sizes: list[int], embeddings: Embeddings) -> dict[int, RetrievalResult]:
    """The points that can be scored."""
    protocol = run.protocols.test[0]
    count = len(protocol.queries(embeddings))
    device = run.trainer.strategy.root_device
    groups: dict[int, int | None] = {}  # queries in a group -> what the scorer is told
    for size in sorted(set(sizes)):
        if size < count:
            groups[size] = size
    groups[count] = None  # all queries at once
    points = {}
    for size, group in groups.items():
        scorer = module.transfer_scorer(group, device)
        try:
            points[size] = protocol(embeddings, scorer)
        except NotScoredError as error:
            notice(f"Left out, n = {size}: {error}")
    return points
