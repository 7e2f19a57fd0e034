"""Embed a dataset with a method, score it, show and keep the results."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import pytorch_lightning as pl

from crossreid.console import console, err_console, notice, track
from crossreid.data.datamodule import ReIDDataModule
from crossreid.data.datasets import ReIDDataset
from crossreid.data.records import ROLES
from crossreid.errors import NothingToScoreError, NotScoredError
from crossreid.evaluation import (
    Embeddings,
    ReportedPair,
    RetrievalProtocol,
    RetrievalResult,
    Scorer,
    modality_pairs,
    pairs_table,
    ranked_list,
    reported_pairs,
    results_table,
    write_results_json,
)
from crossreid.evaluation.building import ProtocolSet
from crossreid.methods.base import CrossModalityModule
from crossreid.runs.results import Scores, in_order
from crossreid.settings.run import ReportConfig
from crossreid.training.loggers import figure_data, pictures


def embed_dataset(trainer: pl.Trainer, module: CrossModalityModule[Any], data: ReIDDataModule) -> Embeddings:
    """Embed the test images on all ranks; every rank gets all of them."""
    trainer.test(module, data, verbose=False, weights_only=True)
    rows, features = module.gathered()
    return as_embeddings(data.dataset, rows, features)


def as_embeddings(dataset: ReIDDataset, rows: Any, features: Mapping[str, Any]) -> Embeddings:
    """Features of some rows of a dataset, with who, where and what they show."""
    records = [dataset.records[row] for row in rows]
    return Embeddings(
        features=features,
        pids=[r.pid for r in records],  # type: ignore[arg-type]
        camids=[r.camid for r in records],  # type: ignore[arg-type]
        infrared=[r.modality == "infrared" for r in records],  # type: ignore[arg-type]
        frames=[r.frame for r in records],  # type: ignore[arg-type]
        rows=rows,
        paths=tuple(str(r.path) for r in records),
        roles=[ROLES.index(r.role) for r in records],  # type: ignore[arg-type]
    )


def score(
    name: str,
    embeddings: Embeddings,
    protocols: ProtocolSet,
    scorer: Scorer,
    *,
    variant: str = "",
    pairs: bool = False,
    reported: Mapping[str, ReportedPair] | None = None,
    progress: bool = False,
) -> Scores:
    """Score embeddings by every setting of the protocol, and if asked for in the four modality pairings and those of the
    method's own report.

    Raises:
        DataError: there is nothing to score.
    """
    bar = partial(track, enabled=progress and err_console.is_terminal)
    results = {}
    for protocol in protocols.test:
        try:
            results[protocol.key] = protocol(embeddings, scorer, bar)
        except NotScoredError as error:
            notice(f"Left out, {variant} {protocol.key}: {error}")
        except NothingToScoreError as error:
            if not protocols.optional:
                raise
            notice(f"Left out: {error}")
    if not results and not variant:
        raise NothingToScoreError("Nothing can be scored: no person is seen by two cameras, or by both modalities.")
    removal = protocols.pair_removal
    if not pairs or removal is None:
        return Scores(name, results, {}, variant)
    where: dict[str, Any] = {"dataset": protocols.dataset, "removal": removal, "progress": bar}
    table = modality_pairs(embeddings, scorer, **where) | reported_pairs(embeddings, reported or {}, **where)
    return Scores(name, results, table, variant)


def score_all(
    name: str,
    embeddings: Embeddings,
    protocols: ProtocolSet,
    scorers: Mapping[str, Scorer],
    *,
    pairs: bool,
    reported: Mapping[str, ReportedPair] | None = None,
    progress: bool = False,
) -> list[Scores]:
    """Score by each of a method's scorers: first its own row (``""``), with pairings if asked for, then the others."""
    own = score(name, embeddings, protocols, scorers[""], pairs=pairs, reported=reported, progress=progress)
    others = [
        score(name, embeddings, protocols, scorer, variant=variant, progress=progress)
        for variant, scorer in scorers.items()
        if variant
    ]
    return [own, *(row for row in others if row.results)]


def show(scores: Sequence[Scores], *, title: str) -> None:
    """Print the results table with its chance rows, and the modality pairings of the row that has them."""
    console.print(results_table(in_order(scores), title))
    for row in scores:
        if row.pairs:
            console.print(pairs_table(row.pairs, f"{row.row}: query and gallery modality"))


def write_scores(path: Path, scores: Sequence[Scores]) -> None:
    """Write the metrics of all rows by protocol key, whole or not at all."""
    results: dict[str, RetrievalResult] = {}
    for row in scores:
        results |= row.keyed()
    write_results_json(path, results)


def draw_figures(
    folder: Path,
    module: CrossModalityModule[Any],
    data: ReIDDataModule,
    embeddings: Embeddings,
    protocol: RetrievalProtocol,
    scorer: Scorer,
    report: ReportConfig,
) -> list[Path]:
    """Write the PNGs: pictures of the method, the protocol's ranked lists, t-SNE; returns their paths.

    Of images of one modality there are ranked lists only.
    """
    from crossreid.visualization import (  # noqa: PLC0415 - extra `viz`
        embedding_map,
        method_figures,
        picture_grid,
        ranked_gallery,
        save,
    )

    written = []
    size = data.streams["identity"].size
    both = bool(embeddings.infrared.any() and not embeddings.infrared.all())
    if both:
        batch = data.sample_pairs("test", identities=5, images=3, size=size)
        grid = picture_grid(pictures(module, batch.visible, batch.infrared), per_person=3)
        written.append(save(grid, folder / f"{module.pictures_name}.png"))
        for name, figure in method_figures(module.config.name, figure_data(module, batch)).items():
            written.append(save(figure, folder / f"{name}.png"))
    probes = protocol.queries(embeddings)
    lists = ranked_list(embeddings, protocol, scorer, queries=probes[:: max(1, len(probes) // 6)][:6], k=10)
    images = data.images(size)
    written.append(save(ranked_gallery(lists, embeddings, images), folder / "ranked_lists.png"))
    if both and report.tsne_identities:
        written.append(save(embedding_map(embeddings, identities=report.tsne_identities), folder / "tsne.png"))
    return written
