"""Embed a dataset with a method, score it, show and keep the results."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pytorch_lightning as pl

from crossreid.config import ReportConfig
from crossreid.console import console, err_console, track
from crossreid.data.datamodule import ReIDDataModule
from crossreid.data.datasets import ReIDDataset
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
from crossreid.run_folder import write_json
from crossreid.training.loggers import pictures


@dataclass(frozen=True)
class Scores:
    """What one network scored.

    Attributes:
        name: the row's name in tables.
        results: protocol key -> result.
        pairs: query/gallery modality pairing -> score (AlignGAN, Table 1); empty where not asked for.
    """

    name: str
    results: Mapping[str, RetrievalResult]
    pairs: Mapping[str, PairingScore]

    @property
    def headline(self) -> float:
        """Mean Rank-1 of the protocol's first setting, in [0, 1]."""
        return float(next(iter(self.results.values())).rank(1).mean())

    def flat(self) -> dict[str, float]:
        """Means by keys that name the protocol, such as ``test/sysu_mm01/all/single/rank1``."""
        values: dict[str, float] = {}
        for result in (*self.results.values(), *(score.result for score in self.pairs.values())):
            values |= result.flat("test")
        return values | {f"test/{score.result.protocol}/iccs": score.similarity for score in self.pairs.values()}

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
    pairs: bool,
    reported: Mapping[str, ReportedPair] | None = None,
    progress: bool = False,
) -> Scores:
    """Score embeddings by every setting of the protocol, and if asked for in the four modality pairings and those of the
    method's own report."""
    bar = partial(track, enabled=progress and err_console.is_terminal)
    results = {protocol.key: protocol(embeddings, scorer, bar) for protocol in protocols.test}
    if not pairs:
        return Scores(name, results, {})
    where: dict[str, Any] = {"dataset": protocols.dataset, "removal": protocols.pair_removal, "progress": bar}
    table = modality_pairs(embeddings, scorer, **where) | reported_pairs(embeddings, reported or {}, **where)
    return Scores(name, results, table)


def show(scores: Sequence[Scores], *, title: str) -> None:
    """Print the results table with its chance rows, and the modality pairings of the last row."""
    rows = [(row.name, result) for key in scores[-1].results for row in scores for result in [row.results[key]]]
    console.print(results_table(rows, title))
    if scores[-1].pairs:
        console.print(pairs_table(scores[-1].pairs, f"{scores[-1].name}: query and gallery modality"))


def save_scores(path: Path, scores: Sequence[Scores], **facts: Any) -> None:
    """Write all rows as JSON."""
    write_json(path, {**facts, "rows": {row.name: row.to_json() for row in scores}})


def draw_figures(
    folder: Path,
    module: CrossModalityModule[Any] | None,
    data: ReIDDataModule,
    embeddings: Embeddings,
    protocol: RetrievalProtocol,
    scorer: Scorer,
    report: ReportConfig,
) -> list[Path]:
    """Write the PNGs: pictures of the method, the protocol's ranked lists, t-SNE; returns their paths."""
    from crossreid.visualization import embedding_map, picture_grid, ranked_gallery, save  # noqa: PLC0415 - extra `viz`

    written = []
    size = data.streams["identity"].size
    if module is not None:
        batch = data.sample_pairs("test", identities=5, images=3, size=size)
        grid = picture_grid(pictures(module, batch.visible, batch.infrared), per_person=3)
        written.append(save(grid, folder / "translation.png"))
    probes = protocol.queries(embeddings)
    lists = ranked_list(embeddings, protocol, scorer, queries=probes[:: max(1, len(probes) // 6)][:6], k=10)
    images = data.images(size)
    written.append(save(ranked_gallery(lists, embeddings, images), folder / "ranked_lists.png"))
    if report.tsne_identities:
        written.append(save(embedding_map(embeddings, identities=report.tsne_identities), folder / "tsne.png"))
    return written
