"""How every command starts: Hydra composes the config, mistakes become one sentence and exit code 1."""

from __future__ import annotations

import logging
import os
import sys
import traceback
import warnings
from collections.abc import Callable
from functools import wraps
from typing import Any, NoReturn

import hydra
import torch
from hydra.core.hydra_config import HydraConfig
from hydra.errors import HydraException
from hydra.types import RunMode
from lightning_fabric.utilities.exceptions import MisconfigurationException
from omegaconf import DictConfig
from omegaconf.errors import OmegaConfBaseException

from crossreid.config import one_line, packaged_conf
from crossreid.console import err_console
from crossreid.errors import CrossReIDError

_QUIET = ("pytorch_lightning", "pytorch_lightning.utilities.rank_zero", "lightning_fabric")


def run_command(config_name: str, task: Callable[[DictConfig], float | None]) -> None:
    """Compose ``conf/<config_name>.yaml`` with the command line and run ``task`` on it (once a job in a multirun).

    A mistake is one sentence and exit code 1. A job of a multirun that fails does not stop the others: the code is 1 at the
    end, when the failed ones are named. Ctrl-C stops everything, with code 130.
    """
    os.environ.setdefault("HYDRA_FULL_ERROR", "1")  # Hydra then raises instead of printing many lines
    _quiet()

    failed: list[str] = []

    @wraps(task)
    def job(cfg: DictConfig) -> float | None:
        try:
            return task(cfg)
        except KeyboardInterrupt:
            sys.exit(130)
        except Exception as error:
            message = _sentence(error)
            if HydraConfig.get().mode != RunMode.MULTIRUN:
                if message is None:  # a bug: its traceback is wanted
                    raise
                _fail(message)
            failed.append(_job_name())
            if message is None:
                traceback.print_exc()
                message = f"{type(error).__name__}: {one_line(error)}"
            _say(f"Job {failed[-1]} failed: {message}")
            return None  # the other jobs go on

    start: Any = hydra.main(version_base="1.3", config_path=str(packaged_conf()), config_name=config_name)(job)
    try:
        start()
    except (HydraException, OmegaConfBaseException) as error:
        _fail(_explain(error))
    if failed:
        _fail(f"{len(failed)} of the jobs failed: {'; '.join(failed)}.")


def _sentence(error: Exception) -> str | None:
    """A person's mistake, or the machine's limit, in one sentence; None for anything else, which is a bug."""
    match error:
        case CrossReIDError():
            return str(error)
        case HydraException() | OmegaConfBaseException():
            return _explain(error)
        case torch.OutOfMemoryError():
            return "The GPU's memory is too small for this: lower the streams' identities or image sizes, or use bf16-mixed."
        case MisconfigurationException() | OSError():
            return f"{one_line(error)}.".replace("..", ".")
    return None


def _job_name() -> str:
    """A multirun's job by its number and what it was told."""
    hydra_config = HydraConfig.get()
    told = [
        word for word in hydra_config.overrides.task if not word.startswith(("sweep=", "data.root=", "data.cache="))
    ]
    return f"{hydra_config.job.num} ({' '.join(told)})"


def _say(message: str) -> None:
    err_console.print(f"Error: {message}", markup=False, style="red")


def _fail(message: str) -> NoReturn:
    _say(message)
    sys.exit(1)


def _explain(error: BaseException) -> str:
    """Hydra's several lines as one sentence."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    if lines and lines[0].startswith("Could not override"):
        key = lines[0].removeprefix("Could not override").strip(" .'")
        return f"There is no setting '{key}': --cfg job prints all of them."
    kept = [line for line in lines if not line.startswith(("full_key:", "object_type=", "reference_type="))]
    return " ".join(kept) if kept else one_line(error)


def _quiet() -> None:
    """Keep start-up chatter and known harmless warnings off the screen."""
    for name in _QUIET:
        logging.getLogger(name).setLevel(logging.WARNING)
    warnings.filterwarnings("ignore", message=".*does not have many workers.*")  # pixels come from a memory map
    warnings.filterwarnings("ignore", message=".*Total length of `DataLoader` across ranks is zero.*")  # one modality
    warnings.filterwarnings("ignore", message=".*`tensorboardX` has been removed.*")  # other loggers are used
    warnings.filterwarnings("ignore", message=".*isinstance\\(treespec, LeafSpec\\).*")  # Lightning's own
