"""Run folders as values: what was run, how it ended, what it scored. Folders that cannot be used are named, not skipped."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from crossreid.errors import ConfigError, DataError
from crossreid.evaluation import RetrievalResult
from crossreid.runs.folder import current_config, fingerprint, raw_config
from crossreid.settings.conversion import fingerprint_of_format_1
from crossreid.settings.run import identity_of
from crossreid.untrusted import read_json

FINISHED = "finished"
"""Status of a run that was trained and scored."""
_TRAINING_FACTS = ("training_identities", "training_seconds", "iterations")


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
    def finished(self) -> bool:
        """It was trained and scored."""
        return self.status == FINISHED

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
    places = _run_folders(folders)
    if not places:
        raise ConfigError("No run (run.json) lies below the folders of runs: name those that crossreid.train wrote.")
    runs = []
    problems = []
    for place in places:
        try:
            runs.append(read_run(place))
        except DataError as error:
            problems.append(Problem("unreadable", place.name, str(error), (str(place),)))
    return runs, problems


def _run_folders(folders: Iterable[Path]) -> list[Path]:
    """Every folder with a run.json, each once, although ``folders`` may overlap."""
    places: dict[Path, None] = {}  # a dict keeps the order, which a set does not
    for folder in folders:
        if not folder.is_dir():
            raise ConfigError(f"There is no folder '{folder}': runs names folders that hold run folders.")
        here = sorted(path.parent.resolve() for path in folder.rglob("run.json"))
        places |= dict.fromkeys(here)
    return list(places)


def read_run(folder: Path) -> Run:
    """One run folder.

    Raises:
        DataError: a file of it is missing, damaged, or not what a run of this version leaves.
    """
    run = _without_results(folder)
    if not run.finished:
        return run
    content = read_json(folder / "results.json")
    results = {}
    for row, entry in _mapping(content.get("rows"), "rows").items():
        results[row] = _results(row, entry)
    if not any(results.values()):
        raise DataError("results.json holds no results.")
    trained = {key: content.get(key) for key in _TRAINING_FACTS}
    return replace(run, results=results, trained=trained)


def fingerprint_of_data(config: Mapping[str, Any]) -> str:
    """A digest of what decides which images are trained on and tested."""
    identity = {"name": config["choices"]["data"], **identity_of(config)["data"]}
    return hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()[:16]


def _without_results(folder: Path) -> Run:
    """A run by its config.yaml and run.json alone."""
    facts = read_json(folder / "run.json")
    raw = raw_config(folder)
    config = current_config(raw, folder)
    try:
        digest = _fingerprint_when_written(raw, config)
        run = Run(
            folder=folder,
            name=str(config["name"]),
            seed=int(config["seed"]),
            dataset=fingerprint_of_data(config),
            settings=fingerprint({**config, "seed": 0}),
            config=config,
            facts=facts,
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise DataError(f"config.yaml cannot be read ({type(error).__name__}).") from error
    if facts.get("fingerprint") != digest:
        raise DataError("run.json and config.yaml are not of one run: their fingerprints differ.")
    return run


def _fingerprint_when_written(raw: Mapping[str, Any], config: Mapping[str, Any]) -> str:
    """The digest that run.json should hold, by the rule of the format that the run was kept in."""
    if "format" in raw:
        return fingerprint(config)
    return fingerprint_of_format_1(raw)


def _results(row: str, entry: object) -> dict[str, RetrievalResult]:
    """Protocol key -> result of one row."""
    protocols = _mapping(_mapping(entry, row).get("protocols"), f"{row}, protocols")
    results = {}
    for key, content in protocols.items():
        place = f"results.json, {row}, {key}"
        try:
            result = RetrievalResult.from_json(_mapping(content, key))
            usable = _usable(result, key)
        except (DataError, ValueError, TypeError, AttributeError, IndexError) as error:
            raise DataError(f"{place}: not all details are there; score with this version.") from error
        if not usable:
            raise DataError(f"{place}: these are no results of that protocol.")
        results[key] = result
    return results


def _usable(result: RetrievalResult, protocol: str) -> bool:
    """It is of that protocol, labelled, and its scores are fractions."""
    if result.protocol != protocol or not isinstance(result.labels.inference, str):
        return False
    scores = np.concatenate([result.rank(1), result.mean_ap, result.mean_inp])
    return scores.size > 0 and bool(np.all((scores >= 0) & (scores <= 1)))  # false for nan


def _mapping(value: object, what: str) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise DataError(f"results.json has no {what}.")
    return value
