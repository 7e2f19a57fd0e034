"""What a search found, as data: records, CSV, JSON."""

from __future__ import annotations

import csv
import io
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from crossreid.errors import ConfigError
from crossreid.escaping import for_csv
from crossreid.evaluation import Embeddings
from crossreid.evaluation.array_files import Array
from crossreid.evaluation.calibration import Calibration, camera_pair, modality_pair
from crossreid.files import write_atomically
from crossreid.galleries.entries import ID
from crossreid.runs.folder import write_json

LIST_SUFFIXES = (".json", ".csv")
_RESULT = ("query", "rank", "score", "match", "probability")
"""What a record says of a search; a column of the gallery that is called so is written as ``gallery_NAME``."""


@dataclass(frozen=True)
class MatchRule:
    """By what an image that was found matches its query.

    Attributes:
        calibration: thresholds and probabilities.
        rate: of false matches.
        per_camera: thresholds of two cameras count where there are some.
    """

    calibration: Calibration
    rate: float
    per_camera: bool = False


@dataclass(frozen=True)
class Match:
    """Whether an image shows the query's person.

    Attributes:
        matches: its similarity reaches the threshold; None where two such modalities are not calibrated.
        probability: that it does, at the calibration's prior; None likewise.
        threshold: of similarity; None likewise.
    """

    matches: bool | None
    probability: float | None
    threshold: float | None


_NOT_JUDGED = Match(None, None, None)


@dataclass(frozen=True, eq=False)
class Hits:
    """For each of Q queries the images that were found, most alike first.

    Attributes:
        queries: the Q queries.
        lists: Q sets of images; each may be shorter than asked for.
        scores: Q times (n,) similarities: cosine in [-1, 1], or a method's own.
        rule: by what images match; None without a calibration.
    """

    queries: Embeddings
    lists: Sequence[Embeddings]
    scores: Sequence[Array]
    rule: MatchRule | None = None

    def __len__(self) -> int:
        return len(self.queries)

    def matches(self, query: int) -> list[Match]:
        """Whether each image that was found for a query matches; all None without a calibration."""
        found = self.lists[query]
        scores = self.scores[query]
        if self.rule is None:
            return [_NOT_JUDGED] * len(found)
        infrared = bool(self.queries.infrared[query])
        cameras = found.columns.get("camera", (None,) * len(found))
        own_camera = self.queries.columns.get("camera", (None,) * len(self))[query]
        matches = []
        for other, camera, score in zip(found.infrared.tolist(), cameras, scores, strict=True):
            pair = modality_pair(infrared, other)
            both = None
            if self.rule.per_camera and own_camera is not None and camera is not None:
                both = camera_pair(own_camera, camera)
            matches.append(_judged(self.rule, score, pair, both))
        return matches

    def nobody(self, query: int) -> bool | None:
        """No image that was found matches a query; None where no two modalities of it are calibrated."""
        known = [match.matches for match in self.matches(query) if match.matches is not None]
        if self.rule is None:
            return None
        if len(self.lists[query]) and not known:
            return None
        return not any(known)  # where nothing was found, nobody matches

    def records(self) -> list[dict[str, Any]]:
        """One plain record for each image found: query, rank (from 1), score, with a calibration whether it matches and how
        probable that is, and all that the gallery knows of it. Its column ``score`` is called ``gallery_score`` here, and
        likewise ``query``, ``rank``, ``match`` and ``probability``."""
        records = []
        for place, (found, scores) in enumerate(zip(self.lists, self.scores, strict=True)):
            query = self.queries.columns[ID][place]
            matches = self.matches(place)
            for row, score in enumerate(scores.tolist()):
                record: dict[str, Any] = {"query": query, "rank": row + 1, "score": round(score, 6)}
                if self.rule is not None:
                    record |= _judgement(matches[row])
                record[ID] = found.columns[ID][row]
                record["path"] = found.paths[row]
                record["modality"] = found.modalities[row]
                for name, cells in found.columns.items():
                    record[_written_name(name, found.columns)] = cells[row]
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
            content: dict[str, Any] = {"format": "crossreid.hits", "version": 1, "queries": len(self), "hits": records}
            if self.rule is not None:
                content["false_match_rate"] = self.rule.rate
                ids = self.queries.columns[ID]
                content["nobody"] = [ids[place] for place in range(len(self)) if self.nobody(place)]
            write_json(target, content)
        else:
            write_atomically(target, lambda stream: stream.write(_as_csv(records).encode()))
        return target


def _judged(rule: MatchRule, score: Any, pair: str, cameras: str | None) -> Match:
    """Whether an image of some similarity matches, for the names of two modalities, and of two cameras where they count."""
    threshold = rule.calibration.threshold(pair, rule.rate, cameras)
    if threshold is None:
        return _NOT_JUDGED
    probability = float(rule.calibration.probability(pair, np.array([score]))[0])
    # Compared as float32, which similarities are.
    reached = bool(np.float32(score) >= np.float32(threshold))
    return Match(reached, probability, threshold)


def _judgement(match: Match) -> dict[str, Any]:
    """What a record says of a match."""
    probability = match.probability
    if probability is not None:
        probability = round(probability, 4)
    return {"match": match.matches, "probability": probability}


def _written_name(name: str, columns: Collection[str]) -> str:
    """What a column of the gallery is called in a record, where it must not hide what the search says, or another column."""
    written = name
    while written in _RESULT or (written != name and written in columns):
        written = f"gallery_{written}"
    return written


def _as_csv(records: Sequence[dict[str, Any]]) -> str:
    names: dict[str, None] = dict.fromkeys(("query", "rank", "score", ID, "path", "modality"))
    for record in records:
        names |= dict.fromkeys(record)
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow([for_csv(name) for name in names])
    for record in records:
        cells = []
        for name in names:
            cell = record.get(name)
            cells.append("" if cell is None else for_csv(cell))
        writer.writerow(cells)
    return text.getvalue()
