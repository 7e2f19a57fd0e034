"""``existing=continue``: a run that is in its folder already is kept, gone on with, or started over, never mixed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from crossreid.console import main_process, notice
from crossreid.errors import ConfigError, DataError
from crossreid.evaluation import RetrievalResult
from crossreid.runs.folder import LAST, RunFolder, fingerprint, open_run, read_json, run_place


def open_or_keep(config: dict[str, Any], sweep_dir: Path | None) -> RunFolder | float:
    """The folder that a run writes to; or, where ``existing=continue`` finds it finished, its headline score in [0, 1].

    Args:
        config: the whole config as plain values.
        sweep_dir: folder that a multirun gave this job.

    Raises:
        ConfigError: a run of other settings is there, or there is no folder to look into.
        DataError: what is there cannot be read.
    """
    if config["existing"] == "continue" and main_process():
        place = run_place(config, sweep_dir)
        if place is None:
            raise ConfigError("existing=continue needs a folder to look into: set run_dir, or use it in a multirun.")
        if (headline := finished_headline(place, config)) is not None:
            return headline
        if (run := continued(place, config)) is not None:
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
    if facts.get("fingerprint") != fingerprint(config):
        raise ConfigError(
            f"The run in '{folder}' has other settings than this one (compare its config.yaml): choose another folder by "
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
        notice(f"Going on with the run in {folder}")
        return RunFolder(folder, checkpoint)
    notice(f"The run in {folder} stopped before its first checkpoint: starting over.")
    return RunFolder(folder, stale=True)


def finished_headline(folder: Path, config: dict[str, Any]) -> float | None:
    """The headline score, in [0, 1], of the finished run of these settings in ``folder``; None where none is.

    Raises:
        ConfigError: it is a run of other settings, or was scored by another protocol.
        DataError: it says that it is finished, and its results cannot be read.
    """
    facts = same_run(folder, config)
    if facts is None or facts.get("status") != "finished":
        return None
    try:
        scored_by = OmegaConf.to_container(OmegaConf.load(folder / "config.yaml"))["protocol"]  # type: ignore[index,call-overload]
        rows = json.loads((folder / "results.json").read_text(encoding="utf-8"))["rows"]
        first = next(iter(rows[config["name"]]["protocols"].values()))
        headline = float(RetrievalResult.from_json(first).rank(1).mean())
    except (
        OSError,
        ValueError,
        KeyError,
        TypeError,
        AttributeError,
        StopIteration,
        DataError,
        OmegaConfBaseException,
    ) as error:
        raise DataError(
            f"The run in '{folder}' is finished and its results cannot be read ({type(error).__name__}): remove the "
            "folder to run it again."
        ) from error
    if scored_by != config["protocol"]:
        raise ConfigError(
            f"The finished run in '{folder}' was scored by other protocol settings (compare its config.yaml): choose another "
            "folder, or score its last.ckpt with crossreid.evaluate."
        )
    notice(f"Finished before, not run again: {folder}")
    return headline
