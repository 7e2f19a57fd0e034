"""``existing=continue``: a run that is in its folder already is kept, gone on with, or started over, never mixed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from crossreid.console import main_process, notice
from crossreid.errors import ConfigError, DataError
from crossreid.runs.choosing import check_named_to_all, open_run, run_place
from crossreid.runs.folder import LAST, RunFolder, differences_from, first_three, read_config, recover
from crossreid.runs.results import RunResults
from crossreid.untrusted import read_json


def open_or_keep(config: dict[str, Any], sweep_dir: Path | None) -> RunFolder | Path:
    """The folder that a run writes to; or, where ``existing=continue`` finds it finished, its path.

    Args:
        config: the whole config as plain values.
        sweep_dir: folder that a multirun gave this job.

    Raises:
        ConfigError: a run of other settings is there, or there is no folder to look into.
        DataError: what is there cannot be read.
    """
    check_named_to_all(config)
    if config["existing"] == "continue" and main_process():
        place = run_place(config, sweep_dir)
        if place is None:
            raise ConfigError("existing=continue needs a folder to look into: set run_dir, or use it in a multirun.")
        recover(place)
        if is_finished(place, config):
            return place
        run = continued(place, config)
        if run is not None:
            return run
    return open_run(config, sweep_dir=sweep_dir)


def same_run(folder: Path, config: dict[str, Any]) -> dict[str, Any] | None:
    """What run.json says of the run in ``folder``; None where there is none.

    Raises:
        ConfigError: it is a run of other settings.
        DataError: run.json is damaged.
    """
    path = folder / "run.json"
    if not path.is_file():
        return None
    facts = read_json(path)
    found = differences_from(folder, config)
    if found:
        raise ConfigError(
            f"The run in '{folder}' has other settings than this one ({first_three(found)}): choose another folder by "
            "hydra.sweep.dir (of a sweep) or run_dir."
        )
    return facts


def continued(folder: Path, config: dict[str, Any]) -> RunFolder | None:
    """The unfinished run of these settings in ``folder``: resumed from its checkpoint, or started over without one.

    None where no run is there. Raises as :func:`same_run`.
    """
    if same_run(folder, config) is None:
        return None
    checkpoint = folder / LAST
    if checkpoint.is_file():
        return RunFolder(folder, checkpoint)
    notice(f"The run in {folder} stopped before its first checkpoint: starting over.")
    return RunFolder(folder, stale=True)


def is_finished(folder: Path, config: dict[str, Any]) -> bool:
    """A finished run of these settings is in ``folder``, with results that can be read.

    Raises:
        ConfigError: it is a run of other settings, or was scored by another protocol.
        DataError: it says that it is finished, and its results cannot be read.
    """
    facts = same_run(folder, config)
    if facts is None or facts.get("status") != "finished":
        return False
    try:
        scored_by = read_config(folder)
        RunResults.read(folder / "results.json")
    except DataError as error:
        raise DataError(
            f"The run in '{folder}' is finished and its results cannot be read ({error}): remove the folder to run it again."
        ) from error
    same_protocol = scored_by["choices"]["protocol"] == config["choices"]["protocol"]
    if not same_protocol or scored_by["protocol"] != config["protocol"]:
        raise ConfigError(
            f"The finished run in '{folder}' was scored by other protocol settings (compare its config.yaml): choose another "
            "folder, or score it with crossreid.evaluate."
        )
    notice(f"Finished before, not run again: {folder}")
    return True
