"""Which folder a run gets: a resumed one, the named one, that of a multirun's job, or a new one.

One process chooses. Ranks that Lightning starts hear of it by the environment; those that somebody else started find the same
folder in the same command.
"""

from __future__ import annotations

import os
import zipfile
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

from crossreid.console import main_process, notice
from crossreid.errors import CheckpointError, ConfigError, DataError
from crossreid.runs.folder import LAST, RunFolder, check_free, differences_from, first_three, recover, runs_below
from crossreid.untrusted import read_json

RUN_DIR_VARIABLE = "CROSSREID_RUN_DIR"  # tells relaunched ranks which folder rank 0 chose,
CHECKPOINT_VARIABLE = "CROSSREID_CHECKPOINT"  # and what it resumes from
TORCHRUN = "TORCHELASTIC_RUN_ID"  # of processes that torchrun started


def open_run(config: dict[str, Any], *, sweep_dir: Path | None = None) -> RunFolder:
    """Choose the folder of a run: a resumed one, the named one, or a new one. Nothing is written yet.

    Args:
        config: the whole config as plain values.
        sweep_dir: folder that a multirun gave this job.

    Raises:
        CheckpointError: there is nothing to resume from at the given place.
        ConfigError: the named folder holds a run already, or something else.
    """
    if os.environ.get(RUN_DIR_VARIABLE):
        return _folder_of_rank_0()
    if not main_process():
        return _folder_named_to_all(config)
    if config["resume"] == "auto":
        newest = _newest(config, sweep_dir)
        if newest is not None:
            return RunFolder(newest, newest / LAST)
        notice("resume=auto: no earlier run has these settings; starting afresh.")
    elif config["resume"]:
        return _resume(Path(config["resume"]), config)
    folder = run_place(config, sweep_dir)
    if folder is None:
        return RunFolder(_fresh(config), fresh=True)
    check_free(folder, bool(config["overwrite"]))
    return RunFolder(folder)


def _folder_of_rank_0() -> RunFolder:
    """What :func:`tell_ranks` left in the environment."""
    run = RunFolder(Path(os.environ[RUN_DIR_VARIABLE]))
    checkpoint = os.environ.get(CHECKPOINT_VARIABLE)
    if checkpoint:
        return replace(run, checkpoint=Path(checkpoint))
    return run


def check_named_to_all(config: Mapping[str, Any]) -> None:
    """Raise :class:`ConfigError` where processes that nobody here started could choose several folders for one run.

    Lightning starts the ranks of one machine, and rank 0 tells them its folder. Those of torchrun and of other machines read
    the same command, and must find the same folder in it.
    """
    if os.environ.get(RUN_DIR_VARIABLE):
        return
    together = TORCHRUN in os.environ or config["trainer"]["num_nodes"] > 1
    if not together:
        return
    if config["existing"] == "continue" or config["resume"] == "auto":
        raise ConfigError(
            "Processes that torchrun or several machines start cannot each look for a run: name it by resume=RUN, and "
            "leave existing out."
        )
    if not config["run_dir"] and not config["resume"]:
        raise ConfigError("Processes that torchrun or several machines start must agree on a folder: set run_dir.")


def _folder_named_to_all(config: Mapping[str, Any]) -> RunFolder:
    """What the command itself says; whether the folder is free is for the first process to find out."""
    if config["resume"]:
        checkpoint = _last_of(Path(config["resume"]))
        return RunFolder(checkpoint.parent, checkpoint)
    return RunFolder(Path(config["run_dir"]))


def run_place(config: dict[str, Any], sweep_dir: Path | None) -> Path | None:
    """The folder that is chosen already: the named one, or that of a multirun's job."""
    if config["run_dir"]:
        return Path(config["run_dir"])
    return sweep_dir


def _fresh(config: dict[str, Any]) -> Path:
    stamp = datetime.now().strftime("%Y-%m-%d_%H-%M-%S")
    name = str(config["name"]).replace("/", "_")
    return Path(config["output_root"]) / name / f"{stamp}_seed{config['seed']}"


def _resume(place: Path, config: Mapping[str, Any]) -> RunFolder:
    """The folder of a checkpoint, or of a run that has one."""
    checkpoint = _last_of(place)
    if not checkpoint.is_file():
        raise CheckpointError(f"There is no checkpoint at '{place}' to resume from: name a run folder or a .ckpt file.")
    folder = checkpoint.parent
    recover(folder)
    if not (folder / "run.json").is_file():
        raise CheckpointError(
            f"'{checkpoint}' does not lie in a run folder: resume from the folder that training wrote."
        )
    unlike = differences_from(folder, config)
    if unlike:
        raise ConfigError(
            f"The run in '{folder}' has other settings than this command ({first_three(unlike)}): resume with the settings "
            "that it was started with."
        )
    return RunFolder(folder, checkpoint)


def _last_of(place: Path) -> Path:
    """The last checkpoint of a run folder; a checkpoint stands for itself."""
    if place.is_dir():
        return place / LAST
    return place


def _newest(config: Mapping[str, Any], sweep_dir: Path | None) -> Path | None:
    """The newest run folder with the same settings and a checkpoint; folders that cannot be read are left out."""
    roots = [Path(config["output_root"])]
    if sweep_dir:
        roots.append(sweep_dir.parents[1])  # the folder of all multiruns, this one's among them
    if config["run_dir"]:
        roots.append(Path(config["run_dir"]))
    candidates: list[tuple[str, Path]] = []
    for root in roots:
        for folder in runs_below(root):
            if not (folder / LAST).is_file():
                continue
            try:
                same = not differences_from(folder, config)
                started = str(read_json(folder / "run.json").get("started"))
            except DataError as error:
                notice(f"Left out: {error}")
                continue
            if same and not zipfile.is_zipfile(folder / LAST):
                notice(f"Left out: '{folder / LAST}' is damaged or partial.")
            elif same:
                candidates.append((started, folder))
    if not candidates:
        return None
    _, folder = max(candidates)
    return folder


def tell_ranks(run: RunFolder) -> None:
    """Leave a note in the environment for the ranks that DDP will start."""
    os.environ[RUN_DIR_VARIABLE] = str(run.path.resolve())
    if run.checkpoint:
        os.environ[CHECKPOINT_VARIABLE] = str(run.checkpoint.resolve())


def forget_ranks() -> None:
    """Take the notes back, and what DDP left, so that the next job of this process starts clean."""
    for name in (RUN_DIR_VARIABLE, CHECKPOINT_VARIABLE):
        os.environ.pop(name, None)
