"""Embed a dataset with a method, score it, show and keep the results."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
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
    compare_once,
    pairs_table,
    possible_pairs,
    results_table,
    write_results_json,
)
from crossreid.evaluation.building import ProtocolSet, Scored, build_protocols, fixed_pairings, modalities
from crossreid.methods.base import CrossModalityModule
from crossreid.runs.results import Scores, in_order
from crossreid.settings.protocol import ProtocolConfig

NOTHING = "Nothing can be scored: no person is seen by two cameras, or by both modalities."


def embed_dataset(trainer: pl.Trainer, module: CrossModalityModule[Any], data: ReIDDataModule) -> Embeddings:
    """Embed the test images on all ranks; every rank gets all of them."""
    trainer.test(module, data, verbose=False, weights_only=True)
    rows, features = module.gathered()
    return as_embeddings(data.dataset, rows, features)


def as_embeddings(dataset: ReIDDataset, rows: Any, features: Mapping[str, Any]) -> Embeddings:
    """Features of some rows of a dataset, with who, where and what they show."""
    per_image = []
    paths = []
    for row in rows:
        record = dataset.records[row]
        infrared = record.modality == "infrared"
        role = ROLES.index(record.role)
        per_image.append((record.pid, record.camid, infrared, record.frame, role))
        paths.append(str(record.path))
    columns = np.array(per_image, dtype=np.int64).reshape(-1, 5)  # of no image at all too
    return Embeddings(
        features=features,
        pids=columns[:, 0],
        camids=columns[:, 1],
        infrared=columns[:, 2],
        frames=columns[:, 3],
        rows=rows,
        paths=tuple(paths),
        roles=columns[:, 4],
    )


def check_scorable(dataset: ReIDDataset, protocols: ProtocolSet) -> None:
    """Refuse, before anything is trained, a test split that the protocol could not score afterwards.

    Raises:
        DataError: a modality or a camera that it needs is not there, or no probe has a true match in the gallery.
    """
    possible = 0
    for protocol in protocols.test:
        try:
            check_matches(dataset, "test", protocol)
            possible += 1
        except NothingToScoreError:
            if not protocols.optional:
                raise
    if not possible:
        raise NothingToScoreError(NOTHING)


def check_matches(dataset: ReIDDataset, split: str, protocol: RetrievalProtocol) -> None:
    """Refuse a split of a dataset that a protocol cannot score, whatever its features are.

    Raises:
        DataError: as :meth:`RetrievalProtocol.check_matches`.
    """
    rows = dataset.rows(split)
    featureless = {"main": np.zeros((len(rows), 1), dtype=np.float32)}
    protocol.check_matches(as_embeddings(dataset, rows, featureless))


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
    compared = compare_once(embeddings, scorer, protocols.test)
    results = {}
    for protocol in protocols.test:
        try:
            results[protocol.key] = protocol(embeddings, scorer, bar, compared)
        except NotScoredError as error:
            notice(f"Left out, {variant} {protocol.key}: {error}")
        except NothingToScoreError as error:
            if not protocols.optional:
                raise
            notice(f"Left out: {error}")
    if not results and not variant:
        raise NothingToScoreError(NOTHING)
    removal = protocols.pair_removal
    if not pairs or removal is None:
        return Scores(name, results, {}, variant)
    table, left_out = possible_pairs(
        embeddings, scorer, reported or {}, dataset=protocols.dataset, removal=removal, progress=bar
    )
    return Scores(name, results, table, variant, left_out)


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
    rows = [score(name, embeddings, protocols, scorers[""], pairs=pairs, reported=reported, progress=progress)]
    for variant, scorer in scorers.items():
        if not variant:
            continue
        row = score(name, embeddings, protocols, scorer, variant=variant, progress=progress)
        if row.results:
            rows.append(row)
    return rows


def protocols_for(embeddings: Embeddings, config: ProtocolConfig) -> ProtocolSet:
    """What a protocol's settings ask for of embeddings from anywhere.

    Raises:
        ConfigError: the settings do not suit them.
    """
    roles = [ROLES[role] for role in embeddings.roles]
    divided = fixed_pairings(embeddings.infrared, roles)
    return build_protocols(config, Scored(modalities=modalities(embeddings.infrared), fixed_pairings=divided))


def show(scores: Sequence[Scores], *, title: str) -> None:
    """Print the results table with its chance rows, and the modality pairings of the row that has them."""
    console.print(results_table(in_order(scores), title))
    for row in scores:
        if row.pairs or row.left_out:
            console.print(pairs_table(row.pairs, f"{row.row}: query and gallery modality", row.left_out))


def write_scores(path: Path, scores: Sequence[Scores]) -> None:
    """Write the metrics of all rows by protocol key, whole or not at all."""
    results: dict[str, RetrievalResult] = {}
    for row in scores:
        results |= row.keyed()
    write_results_json(path, results)
