"""The folder of one run: config, versions, history, checkpoints, results, figures."""

from __future__ import annotations

import hashlib
import json
import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf

from crossreid.console import notice
from crossreid.errors import CheckpointError, ConfigError, CrossReIDError, DataError, OverBudgetError
from crossreid.files import write_atomically

RUN_DIR_VARIABLE = "CROSSREID_RUN_DIR"  # tells relaunched ranks which folder rank 0 chose,
CHECKPOINT_VARIABLE = "CROSSREID_CHECKPOINT"  # and what it resumes from
LAST = "last.ckpt"
BEST = "best.ckpt"  # on the validation identities
_PACKAGES = ("torch", "torchvision", "pytorch-lightning", "torchmetrics", "hydra-core", "omegaconf", "wandb", "numpy")
_NOT_PART_OF_A_RUN = ("resume", "run_dir", "output_root", "overwrite", "existing", "logger", "report", "protocol")
_NOT_PART_OF_TRAINER = ("progress", "checkpoint_every", "pictures_every", "time_budget")
_NOT_PART_OF_DATA = ("root", "cache", "evaluation_batch")  # they may move


@dataclass(frozen=True)
class RunFolder:
    """Where one run writes.

    Attributes:
        path: the folder.
        checkpoint: what to resume from, if anything.
        stale: an unfinished run without a checkpoint lies there, and makes way for this one.
    """

    path: Path
    checkpoint: Path | None = None
    stale: bool = False

    @property
    def figures(self) -> Path:
        """Folder of PNGs."""
        return self.path / "figures"

    def note(self, **facts: Any) -> dict[str, Any]:
        """Add facts to run.json; returns all of them."""
        path = self.path / "run.json"
        known: dict[str, Any] = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
        write_json(path, known | facts)
        return known | facts

    def note_problem(self, error: BaseException, *, interrupted: bool) -> None:
        """Say in run.json, if there is one, what ended the run: in one sentence, after the type where it is a bug's."""
        if not (self.path / "run.json").is_file():
            return
        status = "over budget" if isinstance(error, OverBudgetError) else "interrupted" if interrupted else "failed"
        message = " ".join(str(error).split())
        if not isinstance(error, CrossReIDError):
            message = f"{type(error).__name__}: {message}"
        self.note(status=status, problem=message[:500])


def write_json(path: Path, content: object) -> None:
    """Write JSON, whole or not at all."""
    text = json.dumps(content, indent=2) + "\n"
    write_atomically(path, lambda stream: stream.write(text.encode()))


def read_json(path: Path) -> dict[str, Any]:
    """A JSON object.

    Raises:
        DataError: the file is missing, damaged, or something else.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise DataError(f"'{path}' cannot be read ({' '.join(str(error).split())}).") from error
    if not isinstance(content, dict):
        raise DataError(f"'{path}' holds no JSON object.")
    return content


def fingerprint(config: dict[str, Any]) -> str:
    """A digest of the settings that decide what a run computes."""
    kept = {key: value for key, value in config.items() if key not in _NOT_PART_OF_A_RUN}
    kept["trainer"] = {k: v for k, v in config["trainer"].items() if k not in _NOT_PART_OF_TRAINER}
    kept["data"] = data_settings(config["data"])
    return hashlib.sha256(json.dumps(kept, sort_keys=True).encode()).hexdigest()[:16]


def data_settings(data: Mapping[str, Any]) -> dict[str, Any]:
    """What decides which images a run sees: the dataset's settings, but not where it lies."""
    return {key: value for key, value in data.items() if key not in _NOT_PART_OF_DATA}


def open_run(config: dict[str, Any], *, sweep_dir: Path | None = None) -> RunFolder:
    """Choose the folder of a run: a resumed one, the named one, or a new one. Nothing is written yet.

    Args:
        config: the whole config as plain values.
        sweep_dir: folder that a multirun gave this job.

    Raises:
        CheckpointError: there is nothing to resume from at the given place.
        ConfigError: the named folder holds a run already, or something else.
    """
    if chosen := os.environ.get(RUN_DIR_VARIABLE):
        checkpoint = os.environ.get(CHECKPOINT_VARIABLE)
        return RunFolder(Path(chosen), Path(checkpoint) if checkpoint else None)
    if config["resume"] == "auto":
        if found := _newest(config, sweep_dir):
            return RunFolder(found, found / LAST)
        notice("resume=auto: no earlier run has these settings; starting afresh.")
    elif config["resume"]:
        return _resumed(Path(config["resume"]), fingerprint(config))
    folder = run_place(config, sweep_dir) or _fresh(config)
    _check_free(folder, bool(config["overwrite"]))
    return RunFolder(folder)


def run_place(config: dict[str, Any], sweep_dir: Path | None) -> Path | None:
    """The folder that is chosen already: the named one, or that of a multirun's job."""
    return Path(config["run_dir"]) if config["run_dir"] else sweep_dir


def start_run(run: RunFolder, config: dict[str, Any], *, overwrite: bool) -> None:
    """Write config and versions; on rank 0 only, and only after every check has passed."""
    if (overwrite or run.stale) and run.checkpoint is None and (run.path / "run.json").is_file():
        shutil.rmtree(run.path)
    run.path.mkdir(parents=True, exist_ok=True)
    OmegaConf.save(OmegaConf.create(config), run.path / "config.yaml")
    resumed = {"resumed": now()} if run.checkpoint else {"started": now()}
    run.note(
        **resumed,
        status="running",
        problem=None,
        fingerprint=fingerprint(config),
        seed=config["seed"],
        command=[Path(sys.argv[0]).name, *sys.argv[1:]],
        git=git_revision(),
        python=platform.python_version(),
        versions=package_versions(),
    )


def package_versions() -> dict[str, str]:
    """Versions of the packages that decide numbers, and of this one."""
    return {name: version(name) for name in (*_PACKAGES, "crossreid")}


def now() -> str:
    """The time in UTC, to the second."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def tell_ranks(run: RunFolder) -> None:
    """Leave a note in the environment for the ranks that DDP will start."""
    os.environ[RUN_DIR_VARIABLE] = str(run.path.resolve())
    if run.checkpoint:
        os.environ[CHECKPOINT_VARIABLE] = str(run.checkpoint.resolve())


def forget_ranks() -> None:
    """Take the notes back, and what DDP left, so that the next job of this process starts clean."""
    for name in (RUN_DIR_VARIABLE, CHECKPOINT_VARIABLE):
        os.environ.pop(name, None)


def git_revision() -> str | None:
    """Revision of the repository that the package runs from, with ``-dirty`` for uncommitted changes; null elsewhere."""
    top = Path(__file__).resolve().parents[2]
    if not (top / "pyproject.toml").is_file():
        return None  # an installed wheel, perhaps inside another repository
    command = ["git", "-C", str(top), "describe", "--always", "--dirty", "--abbrev=12"]
    try:
        described = subprocess.run(command, capture_output=True, text=True, check=False)
    except OSError:  # no git on this machine
        return None
    return described.stdout.strip() or None


def _fresh(config: dict[str, Any]) -> Path:
    stamp = datetime.now().strftime("%Y-%m-%d_%H-%M-%S")
    name = str(config["name"]).replace("/", "_")
    return Path(config["output_root"]) / name / f"{stamp}_seed{config['seed']}"


def _check_free(folder: Path, overwrite: bool) -> None:
    if not folder.is_dir() or not any(folder.iterdir()):
        return
    if not (folder / "run.json").is_file():
        raise ConfigError(f"run_dir '{folder}' is a folder with other things in it: choose an empty or new one.")
    if not overwrite:
        raise ConfigError(
            f"run_dir '{folder}' holds a run already: set resume={folder} to go on, overwrite=true to replace it, or "
            "another run_dir."
        )


def _resumed(place: Path, wanted: str) -> RunFolder:
    checkpoint = place / LAST if place.is_dir() else place
    if not checkpoint.is_file():
        raise CheckpointError(f"There is no checkpoint at '{place}' to resume from: name a run folder or a .ckpt file.")
    facts = checkpoint.parent / "run.json"
    if not facts.is_file():
        raise CheckpointError(
            f"'{checkpoint}' does not lie in a run folder: resume from the folder that training wrote."
        )
    if json.loads(facts.read_text(encoding="utf-8")).get("fingerprint") != wanted:
        raise ConfigError(
            f"The run in '{checkpoint.parent}' has other settings than this command (compare its config.yaml): resume "
            "with the settings that it was started with."
        )
    return RunFolder(checkpoint.parent, checkpoint)


def _newest(config: dict[str, Any], sweep_dir: Path | None) -> Path | None:
    """The newest run folder with the same settings and a checkpoint."""
    roots = [Path(config["output_root"]), *([sweep_dir.parents[1]] if sweep_dir else [])]
    if config["run_dir"]:
        roots.append(Path(config["run_dir"]))
    wanted = fingerprint(config)
    found: list[tuple[str, Path]] = []
    for facts in (path for root in roots if root.is_dir() for path in root.rglob("run.json")):
        known: dict[str, Any] = json.loads(facts.read_text(encoding="utf-8"))
        if known.get("fingerprint") == wanted and (facts.parent / LAST).is_file():
            found.append((known["started"], facts.parent))
    return max(found)[1] if found else None
