"""How many unlabelled queries cm-SSFT's transfer needs (Lu et al., CVPR 2020, Fig. 4): scores over the size of a group.

``python -m crossreid.auxiliary checkpoint=outputs/.../last.ckpt``

Each trial cuts all queries into groups of n at random and scores every query inside its group, so a curve's points differ
by n alone; the groups of a trial are as random as its gallery.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from omegaconf import DictConfig

from crossreid.checks import check_figures
from crossreid.command import run_command
from crossreid.config import AuxiliaryConfig, typed
from crossreid.console import console, notice
from crossreid.errors import ConfigError, NotScoredError
from crossreid.evaluation import Embeddings, RetrievalResult, results_table
from crossreid.methods.cmssft import CMSSFT
from crossreid.runs.folder import write_json
from crossreid.training.restoring import Restored, restore
from crossreid.training.scoring import embed_dataset


def main() -> None:
    """The command."""
    run_command("auxiliary", auxiliary)


def auxiliary(cfg: DictConfig) -> float:
    """Score, show, keep and draw the curve; returns Rank-1 with all queries."""
    config = typed(AuxiliaryConfig, cfg)
    if not config.sizes or min(config.sizes) < 1:
        raise ConfigError(f"sizes lists numbers of queries from 1 on, not {config.sizes}.")
    check_figures(config.figure)
    path = Path(config.checkpoint)
    run = restore(path, config.data, config.protocol, config.trainer)
    if not isinstance(run.module, CMSSFT) or not run.module.config.transfer:
        raise ConfigError(f"{path} has no transfer network: give a checkpoint of model=cmssft with model.transfer.")
    points, untransferred = _score(run, run.module, config.sizes, embed_dataset(run.trainer, run.module, run.data))
    if not points:
        raise ConfigError(
            f"Nothing to draw a curve of: {run.protocols.test[0].key} does not query one modality against the other; choose "
            "another protocol or dataset."
        )
    everyone = points[max(points)]
    if run.trainer.is_global_zero:
        rows = [("untransferred", untransferred), *((f"n = {size}", result) for size, result in points.items())]
        console.print(results_table(rows, f"{run.name}: size of the auxiliary set"))
        output = Path(config.output) if config.output else path.with_name(f"{path.stem}.auxiliary.json")
        write_json(output, {"untransferred": untransferred.to_json(), "sizes": _plain(points)})
        notice(f"Results: {output}")
        if config.figure:
            from crossreid.visualization import auxiliary_curve, save  # noqa: PLC0415 - extra `viz`

            notice(f"Figure: {save(auxiliary_curve(points, untransferred), output.with_suffix('.png'))}")
    return float(everyone.rank(1).mean())


def _score(
    run: Restored, module: CMSSFT, sizes: list[int], embeddings: Embeddings
) -> tuple[dict[int, RetrievalResult], RetrievalResult]:
    """Size of a group -> result of the protocol's first setting, ascending, all queries last; and that without transfer."""
    protocol = run.protocols.test[0]
    count = len(protocol.queries(embeddings))
    device = run.trainer.strategy.root_device
    points = {}
    for size in [*sorted({size for size in sizes if size < count}), count]:
        scorer = module.transfer_scorer(size if size < count else None, device)
        try:
            points[size] = protocol(embeddings, scorer)
        except NotScoredError as error:
            notice(f"Left out, n = {size}: {error}")
    return points, protocol(embeddings, module.scorer())


def _plain(points: dict[int, RetrievalResult]) -> dict[str, Any]:
    return {str(size): result.to_json() for size, result in points.items()}


if __name__ == "__main__":
    main()
