"""What a run scored: typed, as a table, as JSON, as a data frame."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from crossreid.console import as_text
from crossreid.errors import ConfigError, DataError
from crossreid.evaluation import PairingScore, RetrievalResult, results_table
from crossreid.runs.folder import write_json
from crossreid.untrusted import read_json

UNTRAINED = "untrained network"
"""The row of a network before training, in every run's results."""
LEFT_OUT = "modality_pairs_left_out"
"""Key of results.json."""


@dataclass(frozen=True)
class Scores:
    """What one network scored with one scorer.

    Attributes:
        name: the network's name in tables.
        results: protocol key -> result.
        pairs: query/gallery modality pairing -> score (AlignGAN, Table 1); empty where not asked for.
        variant: which of the method's scorers; empty for the method's own row.
        left_out: pairing that was asked for and cannot be scored -> why, in one sentence.
    """

    name: str
    results: Mapping[str, RetrievalResult]
    pairs: Mapping[str, PairingScore] = field(default_factory=dict)
    variant: str = ""
    left_out: Mapping[str, str] = field(default_factory=dict)

    @property
    def row(self) -> str:
        """The row's name in tables."""
        if not self.variant:
            return self.name
        return f"{self.name}/{self.variant}"

    @property
    def headline(self) -> float:
        """Mean Rank-1 of the protocol's first setting, in [0, 1]."""
        first = next(iter(self.results.values()))
        return float(first.rank(1).mean())

    def keyed(self) -> dict[str, RetrievalResult]:
        """Results by key, such as ``sysu_mm01/all/single``, after the variant where there is one."""
        if not self.variant:
            return dict(self.results)
        return {f"{self.variant}/{key}": result for key, result in self.results.items()}

    def flat(self) -> dict[str, float]:
        """Means by keys that name the protocol, such as ``test/sysu_mm01/all/single/rank1``."""
        prefix = "test"
        if self.variant:
            prefix = f"test/{self.variant}"
        values: dict[str, float] = {}
        for result in self.results.values():
            values |= result.flat(prefix)
        for score in self.pairs.values():
            values |= score.result.flat(prefix)
        for score in self.pairs.values():
            values[f"{prefix}/{score.result.protocol}/iccs"] = score.similarity
        return values

    def to_json(self) -> dict[str, Any]:
        """Everything as plain values."""
        protocols = {}
        for key, result in self.results.items():
            protocols[key] = result.to_json()
        pairs = {}
        for name, score in self.pairs.items():
            pairs[name] = {**score.result.to_json(), "intra_class_cosine_similarity": score.similarity}
        content: dict[str, Any] = {"protocols": protocols, "modality_pairs": pairs}
        if self.left_out:
            content[LEFT_OUT] = dict(self.left_out)
        return content


@dataclass(frozen=True)
class RunResults:
    """All rows that a run, or a scoring of embeddings, left.

    It prints as a table; ``results["sysu_mm01/all/single"]`` is one result of the method's own row.

    Attributes:
        rows: the method's own row first, the network before training last.
        facts: what else is known of the run, such as ``seed`` and ``training_seconds``.
    """

    rows: Sequence[Scores]
    facts: Mapping[str, Any] = field(default_factory=dict)

    @property
    def headline(self) -> float:
        """Mean Rank-1 of the first row in the protocol's first setting, in [0, 1]."""
        return self.rows[0].headline

    def __getitem__(self, key: str) -> RetrievalResult:
        return self.rows[0].results[key]

    def __repr__(self) -> str:
        return as_text(results_table(in_order(self.rows), "results"))

    def to_records(self) -> list[dict[str, Any]]:
        """One plain record a row and protocol: row, protocol, means in [0, 1], trials."""
        records = []
        for row in self.rows:
            for key, result in row.results.items():
                means = {name: summary["mean"] for name, summary in result.metrics().items()}
                records.append({"row": row.row, "protocol": key, "trials": result.trials, **means})
        return records

    def to_frame(self) -> Any:
        """:meth:`to_records` as a pandas DataFrame.

        Raises:
            ConfigError: pandas is not installed.
        """
        try:
            from pandas import DataFrame  # noqa: PLC0415 - not needed otherwise
        except ImportError as error:
            raise ConfigError("A data frame needs pandas: pip install pandas, or take to_records().") from error
        return DataFrame(self.to_records())

    def save(self, path: Path) -> None:
        """Write everything as JSON, whole or not at all."""
        rows = {row.row: row.to_json() for row in self.rows}
        write_json(path, {**self.facts, "rows": rows})

    @classmethod
    def read(cls, path: Path) -> RunResults:
        """The results that :meth:`save` wrote.

        Raises:
            DataError: the file is missing, damaged, or holds no results.
        """
        content = read_json(path)
        rows = content.pop("rows", None)
        if not isinstance(rows, Mapping) or not rows:
            raise DataError(f"'{path}' holds no results.")
        scores = [_read_row(name, entry, path) for name, entry in rows.items()]
        own_first = sorted(scores, key=lambda row: row.name == UNTRAINED)  # stable: the others keep their order
        return cls(own_first, content)


def in_order(rows: Sequence[Scores]) -> list[tuple[str, RetrievalResult]]:
    """Rows as a table shows them: protocol by protocol."""
    keys: dict[str, None] = {}  # a dict keeps the order, which a set does not
    for row in rows:
        keys |= dict.fromkeys(row.results)
    table_rows = []
    for key in keys:
        for row in rows:
            if key in row.results:
                table_rows.append((row.row, row.results[key]))
    return table_rows


def _read_row(name: str, entry: object, path: Path) -> Scores:
    if not isinstance(entry, Mapping) or not isinstance(entry.get("protocols"), Mapping):
        raise DataError(f"'{path}' holds no results of {name}.")
    try:
        results = {}
        for key, content in entry["protocols"].items():
            results[key] = RetrievalResult.from_json(content)
        pairs = {}
        for pairing, content in (entry.get("modality_pairs") or {}).items():
            similarity = float(content["intra_class_cosine_similarity"])
            pairs[pairing] = PairingScore(RetrievalResult.from_json(content), similarity)
        left_out = {}
        for key, reason in (entry.get(LEFT_OUT) or {}).items():
            left_out[str(key)] = str(reason)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise DataError(f"'{path}' holds damaged results of {name}: score again.") from error
    if not results:
        raise DataError(f"'{path}' holds no results of {name}.")
    return Scores(name, results, pairs, left_out=left_out)
