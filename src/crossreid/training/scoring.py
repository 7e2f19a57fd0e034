"""Embed a dataset with a method, score it, show and keep the results."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pytorch_lightning as pl

from crossreid.config import ReportConfig
from crossreid.console import console, err_console, notice, track
from crossreid.data.datamodule import ReIDDataModule
from crossreid.data.datasets import ReIDDataset
from crossreid.errors import NothingToScoreError, NotScoredError
from crossreid.evaluation import (
    Embeddings,
    PairingScore,
    ReportedPair,
    RetrievalProtocol,
    RetrievalResult,
    Scorer,
    modality_pairs,
    pairs_table,
    ranked_list,
    reported_pairs,
    results_table,
)
from crossreid.methods.base import CrossModalityModule
from crossreid.protocols import ProtocolSet
from crossreid.runs.folder import write_json
from crossreid.training.loggers import figure_data, pictures


@dataclass(frozen=True)
class Scores:
    """What one network scored with one scorer.

    Attributes:
        name: the network's name in tables.
        results: protocol key -> result.
        pairs: query/gallery modality pairing -> score (AlignGAN, Table 1); empty where not asked for.
        variant: which of the method's scorers; empty for the method's own row.
    """

    name: str
    results: Mapping[str, RetrievalResult]
    pairs: Mapping[str, PairingScore]
    variant: str = ""

    @property
    def row(self) -> str:
        """The row's name in tables."""
        return f"{self.name}/{self.variant}" if self.variant else self.name

    @property
    def headline(self) -> float:
        """Mean Rank-1 of the protocol's first setting, in [0, 1]."""
        return float(next(iter(self.results.values())).rank(1).mean())

    def keyed(self) -> dict[str, RetrievalResult]:
        """Results by key, such as ``sysu_mm01/all/single``, after the variant where there is one."""
        return {f"{self.variant}/{key}" if self.variant else key: result for key, result in self.results.items()}

    def flat(self) -> dict[str, float]:
        """Means by keys that name the protocol, such as ``test/sysu_mm01/all/single/rank1``."""
        prefix = f"test/{self.variant}" if self.variant else "test"
        values: dict[str, float] = {}
        for result in (*self.results.values(), *(score.result for score in self.pairs.values())):
            values |= result.flat(prefix)
        return values | {f"{prefix}/{score.result.protocol}/iccs": score.similarity for score in self.pairs.values()}

    def to_json(self) -> dict[str, Any]:
        """Everything as plain values."""
        pairs = {
            name: {**score.result.to_json(), "intra_class_cosine_similarity": score.similarity}
            for name, score in self.pairs.items()
        }
        return {"protocols": {key: result.to_json() for key, result in self.results.items()}, "modality_pairs": pairs}


def embed_dataset(trainer: pl.Trainer, module: CrossModalityModule[Any], data: ReIDDataModule) -> Embeddings:
    """Embed the test images on all ranks; every rank gets all of them."""
    trainer.test(module, data, verbose=False)
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
    keys = dict.fromkeys(key for row in scores for key in row.results)
    rows = [(row.row, row.results[key]) for key in keys for row in scores if key in row.results]
    console.print(results_table(rows, title))
    for row in scores:
        if row.pairs:
            console.print(pairs_table(row.pairs, f"{row.row}: query and gallery modality"))


def save_scores(path: Path, scores: Sequence[Scores], **facts: Any) -> None:
    """Write all rows as JSON."""
    write_json(path, {**facts, "rows": {row.row: row.to_json() for row in scores}})


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
