"""How every command starts: Hydra composes the config, mistakes become one sentence and exit code 1."""

from __future__ import annotations

import logging
import os
import sys
import warnings
from collections.abc import Callable
from functools import wraps
from typing import Any, NoReturn

import hydra
import torch
from hydra.errors import HydraException
from lightning_fabric.utilities.exceptions import MisconfigurationException
from omegaconf import DictConfig
from omegaconf.errors import OmegaConfBaseException

from crossreid.config import one_line, packaged_conf
from crossreid.console import err_console
from crossreid.errors import CrossReIDError

_QUIET = ("pytorch_lightning", "pytorch_lightning.utilities.rank_zero", "lightning_fabric")


def run_command(config_name: str, task: Callable[[DictConfig], float | None]) -> None:
    """Compose ``conf/<config_name>.yaml`` with the command line and run ``task`` on it (once a job in a multirun)."""
    os.environ.setdefault("HYDRA_FULL_ERROR", "1")  # Hydra then raises instead of printing many lines
    _quiet()

    @wraps(task)
    def job(cfg: DictConfig) -> float | None:
        try:
            return task(cfg)
        except KeyboardInterrupt:
            sys.exit(130)
        except CrossReIDError as error:
            _fail(str(error))
        except OmegaConfBaseException as error:
            _fail(_explain(error))
        except torch.OutOfMemoryError:
            _fail(
                "The GPU's memory is too small for this: lower the streams' identities or image sizes, or use bf16-mixed."
            )
        except (MisconfigurationException, OSError) as error:
            _fail(f"{one_line(error)}.".replace("..", "."))

    start: Any = hydra.main(version_base="1.3", config_path=str(packaged_conf()), config_name=config_name)(job)
    try:
        start()
    except (HydraException, OmegaConfBaseException) as error:
        _fail(_explain(error))


def _fail(message: str) -> NoReturn:
    err_console.print(f"Error: {message}", markup=False, style="red")
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
