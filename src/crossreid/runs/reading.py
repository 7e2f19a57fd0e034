"""Run folders as values: what was run, how it ended, what it scored. Folders that cannot be used are named, not skipped."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from crossreid.errors import ConfigError, DataError, reason_of
from crossreid.evaluation import RetrievalResult
from crossreid.runs.folder import current_config, fingerprint, fingerprint_without_protocol, raw_config, runs_below
from crossreid.settings.conversion import fingerprint_of_format_1
from crossreid.settings.fields import key_below
from crossreid.settings.reference import as_typed
from crossreid.settings.run import identity_of
from crossreid.untrusted import read_json

FINISHED = "finished"
"""Status of a run that was trained and scored."""
_TRAINING_FACTS = ("training_identities", "training_seconds", "iterations")
_MOST_WHOLE = 2**63


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

    @cached_property
    def typed_settings(self) -> dict[str, str]:
        """Every setting that decides what the run computes, but the seed: key -> value as typed on a command line."""
        return dict(_typed(identity_of(self.config)))

    @property
    def date(self) -> str:
        """When it ended, else when it began."""
        for event in ("finished", "resumed", "started"):
            if self.facts.get(event):
                return str(self.facts[event])
        return ""


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
        except Exception as error:  # whatever a damaged folder holds, the other runs are reported
            note = f"it cannot be read ({type(error).__name__}: {reason_of(error)})."
            problems.append(Problem("unreadable", place.name, note, (str(place),)))
    return runs, problems


def _run_folders(folders: Iterable[Path]) -> list[Path]:
    """Every folder with a run.json, each once, although ``folders`` may overlap."""
    places: dict[Path, None] = {}  # a dict keeps the order, which a set does not
    for folder in folders:
        if not folder.is_dir():
            raise ConfigError(f"There is no folder '{folder}': runs names folders that hold run folders.")
        here = sorted(path.resolve() for path in runs_below(folder))
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
    return replace(run, results=results, trained=_training_facts(content))


def fingerprint_of_data(config: Mapping[str, Any]) -> str:
    """A digest of what decides which images are trained on and tested."""
    identity = {"name": config["choices"]["data"], **identity_of(config)["data"]}
    return hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()[:16]


def _without_results(folder: Path) -> Run:
    """A run by its config.yaml and run.json alone."""
    facts = read_json(folder / "run.json")
    check_facts(facts)
    raw = raw_config(folder)
    try:
        config = current_config(raw, folder)
        check_shape(config)
        digests = _fingerprints_when_written(raw)
        run = Run(
            folder=folder,
            name=config["name"],
            seed=config["seed"],
            dataset=fingerprint_of_data(config),
            settings=fingerprint({**config, "seed": 0}),
            config=config,
            facts=facts,
        )
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError, ZeroDivisionError) as error:
        raise DataError(f"config.yaml cannot be read ({type(error).__name__}).") from error
    if facts.get("fingerprint") not in digests:
        raise DataError("run.json and config.yaml are not of one run: their fingerprints differ.")
    return run


def _fingerprints_when_written(raw: Mapping[str, Any]) -> tuple[str, ...]:
    """The digests that run.json may hold, by the rules that its format has had."""
    if "format" in raw:  # of the file as it stands: without the defaults of settings that came since
        return fingerprint(raw), fingerprint_without_protocol(raw)
    return (fingerprint_of_format_1(raw),)


def _results(row: str, entry: object) -> dict[str, RetrievalResult]:
    """Protocol key -> result of one row."""
    protocols = _mapping(_mapping(entry, row).get("protocols"), f"{row}, protocols")
    results = {}
    for key, content in protocols.items():
        place = f"results.json, {row}, {key}"
        try:
            result = RetrievalResult.from_json(_mapping(content, key))
        except DataError as error:
            raise DataError(f"{place}: not all details are there; score with this version.") from error
        if result.protocol != key:
            raise DataError(f"{place}: these are no results of that protocol.")
        results[key] = result
    return results


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def check_facts(facts: Mapping[str, Any]) -> None:
    """Refuse a run.json that is not what a run writes; what is not there is no mistake.

    Raises:
        DataError: names the key.
    """
    for key in ("status", "started", "resumed", "finished", "git", "python", "machine", "problem", "fingerprint"):
        if not isinstance(facts.get(key), str | None):
            raise DataError(f"run.json: {key} is no text.")
    versions = facts.get("versions")
    if versions is not None and not _is_text_to_text(versions):
        raise DataError("run.json: versions are no names of packages with their versions.")


def _is_text_to_text(value: object) -> bool:
    if not isinstance(value, Mapping):
        return False
    return all(isinstance(name, str) and isinstance(text, str) for name, text in value.items())


def check_shape(config: Mapping[str, Any]) -> None:
    """Refuse settings that are not those of a run, as far as tables use them; the method need not be installed here.

    Raises:
        DataError: names the key.
    """
    if not isinstance(config.get("name"), str):
        raise DataError("config.yaml: name is no text.")
    if not _is_whole(config.get("seed")):
        raise DataError("config.yaml: seed is no whole number.")
    for group in ("choices", "model", "data", "protocol", "trainer", "selection"):
        if not isinstance(config.get(group), Mapping):
            raise DataError(f"config.yaml: {group} is no group of settings.")
    for name in ("method", "data", "protocol"):
        if not isinstance(config["choices"].get(name), str):
            raise DataError(f"config.yaml: choices.{name} is no text.")
    if not isinstance(config["data"].get("split"), int | None):
        raise DataError("config.yaml: data.split is no whole number.")
    if not isinstance(config["selection"].get("name"), str):
        raise DataError("config.yaml: selection.name is no text.")
    _check_network(config["model"])


def _check_network(model: Mapping[str, Any]) -> None:
    """The image size and the backbone."""
    stream = _group(_group(model.get("streams")).get("identity"))
    if not (_is_whole(stream.get("height")) and _is_whole(stream.get("width"))):
        raise DataError("config.yaml: model.streams.identity has no height and width.")
    if not model.get("backbone"):
        return
    backbone = _group(model["backbone"])
    if not (isinstance(backbone.get("name"), str) and isinstance(backbone.get("weights"), str)):
        raise DataError("config.yaml: model.backbone has no name and weights.")
    size = backbone.get("size")
    is_pair = isinstance(size, list | tuple) and len(size) == 2
    if size and not (is_pair and all(map(_is_whole, size))):
        raise DataError("config.yaml: model.backbone.size is no height and width.")


def _group(value: object) -> Mapping[str, Any]:
    """A group of settings; one without any where it is something else."""
    if isinstance(value, Mapping):
        return value
    return {}


def _is_whole(value: object) -> bool:
    """A whole number that a run can have; larger ones cannot even be printed."""
    return isinstance(value, int) and not isinstance(value, bool) and abs(value) < _MOST_WHOLE


def _training_facts(content: Mapping[str, Any]) -> dict[str, Any]:
    """What results.json says of training; None for what it does not say.

    Raises:
        DataError: something of it is no number.
    """
    facts = {key: content.get(key) for key in _TRAINING_FACTS}
    for key, value in facts.items():
        if value is not None and not (_is_number(value) and 0 <= value < _MOST_WHOLE):
            raise DataError(f"results.json: {key} is no number.")
    return facts


def _typed(settings: Mapping[str, Any], place: str = "") -> Iterator[tuple[str, str]]:
    """Key and value of everything in nested settings, without seed and label."""
    for name, value in settings.items():
        key = key_below(place, name)
        if key in ("seed", "name"):
            continue
        if isinstance(value, Mapping):
            yield from _typed(value, key)
        else:
            yield key, as_typed(value)


def _mapping(value: object, what: str) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise DataError(f"results.json has no {what}.")
    return value
