"""Run folders as values: what was run, how it ended, what it scored. Folders that cannot be used are named, not skipped."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from crossreid.errors import ConfigError, DataError
from crossreid.evaluation import RetrievalResult
from crossreid.runs.folder import current_config, fingerprint, raw_config, read_json
from crossreid.settings.conversion import fingerprint_of_format_1
from crossreid.settings.run import identity_of


@dataclass(frozen=True)
class Problem:
    """Why something is not in the tables, or not as it should be.

    Attributes:
        kind: ``missing``, ``failed``, ``over budget``, ``running``, ``interrupted``, ``doubled``, ``settings``,
            ``unreadable``.
        what: the run or row, in words.
        note: one sentence.
        folders: where.
    """

    kind: str
    what: str
    note: str
    folders: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """As plain values."""
        return asdict(self) | {"folders": list(self.folders)}


@dataclass(frozen=True, eq=False)
class Run:
    """One run folder.

    Attributes:
        folder: where it lies.
        name: of the run, such as ``lba/full``.
        seed: of the run.
        dataset: a digest of the dataset's settings; runs with equal ones were scored on one test set.
        settings: a digest of everything that decides what the run computes, but the seed.
        config: the whole config.
        facts: run.json.
        results: row -> protocol key -> result; empty for a run that is not finished.
        trained: what results.json says of training: ``training_identities``, ``training_seconds``, ``iterations``.
    """

    folder: Path
    name: str
    seed: int
    dataset: str
    settings: str
    config: Mapping[str, Any]
    facts: Mapping[str, Any]
    results: Mapping[str, Mapping[str, RetrievalResult]] = field(default_factory=dict)
    trained: Mapping[str, Any] = field(default_factory=dict)

    @property
    def status(self) -> str:
        """``finished``, or how far it came."""
        return str(self.facts.get("status"))

    @property
    def label(self) -> str:
        """Name and seed."""
        return f"{self.name}, seed {self.seed}, {self.data}"

    @property
    def data(self) -> str:
        """Name of the dataset."""
        return str(self.config["choices"]["data"])

    @property
    def date(self) -> str:
        """When it ended, else when it began."""
        return str(self.facts.get("finished") or self.facts.get("resumed") or self.facts.get("started") or "")


def find_runs(folders: Iterable[Path]) -> tuple[list[Run], list[Problem]]:
    """All runs below some folders, each once, by path; and the run folders that cannot be read.

    Raises:
        ConfigError: a folder is not there, or no run lies below any of them.
    """
    places: dict[Path, None] = {}
    for folder in folders:
        if not folder.is_dir():
            raise ConfigError(f"There is no folder '{folder}': runs names folders that hold run folders.")
        places |= dict.fromkeys(sorted(path.parent.resolve() for path in folder.rglob("run.json")))
    if not places:
        raise ConfigError("No run (run.json) lies below the folders of runs: name those that crossreid.train wrote.")
    runs, problems = [], []
    for place in places:
        try:
            runs.append(read_run(place))
        except DataError as error:
            problems.append(Problem("unreadable", place.name, str(error), (str(place),)))
    return runs, problems


def read_run(folder: Path) -> Run:
    """One run folder.

    Raises:
        DataError: a file of it is missing, damaged, or not what a run of this version leaves.
    """
    facts = read_json(folder / "run.json")
    raw = raw_config(folder)
    config = current_config(raw, folder)
    try:
        name, seed = str(config["name"]), int(config["seed"])
        told = fingerprint(config) if "format" in raw else fingerprint_of_format_1(raw)
        dataset, settings = fingerprint_of_data(config), fingerprint({**config, "seed": 0})
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise DataError(f"config.yaml cannot be read ({type(error).__name__}).") from error
    if facts.get("fingerprint") != told:
        raise DataError("run.json and config.yaml are not of one run: their fingerprints differ.")
    run = Run(folder, name, seed, dataset, settings, config, facts)
    if run.status != "finished":
        return run
    content = read_json(folder / "results.json")
    results = {row: _results(row, entry) for row, entry in _mapping(content.get("rows"), "rows").items()}
    if not any(results.values()):
        raise DataError("results.json holds no results.")
    trained = {key: content.get(key) for key in ("training_identities", "training_seconds", "iterations")}
    return Run(folder, name, seed, dataset, settings, config, facts, results, trained)


def fingerprint_of_data(config: Mapping[str, Any]) -> str:
    """A digest of what decides which images are trained on and tested."""
    told = {"name": config["choices"]["data"], **identity_of(config)["data"]}
    return hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()[:16]


def _results(row: str, entry: object) -> dict[str, RetrievalResult]:
    results = {}
    for key, content in _mapping(_mapping(entry, row).get("protocols"), f"{row}, protocols").items():
        try:
            result = RetrievalResult.from_json(_mapping(content, key))
            values = [*result.rank(1), *result.mean_ap, *result.mean_inp]
            known = bool(values) and bool(np.isfinite(values).all()) and 0 <= min(values) <= max(values) <= 1
        except (DataError, ValueError, TypeError, AttributeError, IndexError) as error:
            raise DataError(
                f"results.json, {row}, {key}: not all details are there; score with this version."
            ) from error
        if not known or result.protocol != key or not isinstance(result.labels.inference, str):
            raise DataError(f"results.json, {row}, {key}: these are no results of that protocol.")
        results[key] = result
    return results


def _mapping(value: object, what: str) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise DataError(f"results.json has no {what}.")
    return value
