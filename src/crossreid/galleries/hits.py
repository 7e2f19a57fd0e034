"""What a search found, as data: records, CSV, JSON."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from crossreid.errors import ConfigError
from crossreid.escaping import for_csv
from crossreid.evaluation import Embeddings
from crossreid.evaluation.embeddings import Array
from crossreid.files import write_atomically
from crossreid.galleries.entries import ID
from crossreid.runs.folder import write_json

LIST_SUFFIXES = (".json", ".csv")


@dataclass(frozen=True, eq=False)
class Hits:
    """For each of Q queries the images that were found, most alike first.

    Attributes:
        queries: the Q queries.
        lists: Q sets of images; each may be shorter than asked for.
        scores: Q times (n,) similarities: cosine in [-1, 1], or a method's own.
    """

    queries: Embeddings
    lists: Sequence[Embeddings]
    scores: Sequence[Array]

    def __len__(self) -> int:
        return len(self.queries)

    def records(self) -> list[dict[str, Any]]:
        """One plain record for each image found: query, rank (from 1), score, and all that the gallery knows of it."""
        records = []
        for place, (found, scores) in enumerate(zip(self.lists, self.scores, strict=True)):
            query = self.queries.columns[ID][place]
            for rank, score in enumerate(scores.tolist(), start=1):
                row = rank - 1
                record: dict[str, Any] = {"query": query, "rank": rank, "score": round(score, 6)}
                record |= {ID: found.columns[ID][row], "path": found.paths[row], "modality": found.modalities[row]}
                for name, cells in found.columns.items():
                    record[name] = cells[row]
                records.append(record)
        return records

    def save(self, path: str | Path) -> Path:
        """Write the records as .json or .csv (what a spreadsheet would take for a formula stands behind a ``'``).

        Raises:
            ConfigError: it ends otherwise.
        """
        target = Path(path)
        if target.suffix not in LIST_SUFFIXES:
            raise ConfigError(f"output is '{path}': end it in .json or .csv.")
        records = self.records()
        if target.suffix == ".json":
            write_json(target, {"format": "crossreid.hits", "version": 1, "queries": len(self), "hits": records})
        else:
            write_atomically(target, lambda stream: stream.write(_as_csv(records).encode()))
        return target


def _as_csv(records: Sequence[dict[str, Any]]) -> str:
    names: dict[str, None] = dict.fromkeys(("query", "rank", "score", ID, "path", "modality"))
    for record in records:
        names |= dict.fromkeys(record)
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow([for_csv(name) for name in names])
    for record in records:
        writer.writerow([for_csv(record.get(name)) for name in names])
    return text.getvalue()
