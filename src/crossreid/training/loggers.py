"""Where losses and pictures go: history.csv always, Weights & Biases on request."""

from __future__ import annotations

import os
import sys
import warnings
from argparse import Namespace
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytorch_lightning as pl
import torch
from pytorch_lightning.loggers import Logger, WandbLogger
from pytorch_lightning.utilities import rank_zero_only
from torchvision.utils import make_grid

from crossreid.console import in_wandb_sweep, main_process, notice
from crossreid.data.batches import PairedBatch
from crossreid.errors import ConfigError
from crossreid.escaping import for_csv, from_csv
from crossreid.files import append_whole, write_atomically
from crossreid.methods.base import CrossModalityModule
from crossreid.methods.reporting import HasFigureData
from crossreid.nn.normalisation import evaluating
from crossreid.runs.folder import RunFolder
from crossreid.runs.history import HEADER, as_csv, rows_of
from crossreid.runs.results import Scores
from crossreid.settings.run import RunConfig


class HistoryLogger(Logger):
    """history.csv, one row a number: iteration, key, value. A resumed run drops what came after its checkpoint and goes
    on, so that its history is that of a run never stopped.

    Args:
        path: the file.
    """

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.path = path

    @property
    def name(self) -> str:
        """For Lightning."""
        return "history"

    @property
    def version(self) -> int:
        """For Lightning."""
        return 0

    @rank_zero_only
    def log_hyperparams(self, params: dict[str, Any] | Namespace, *args: Any, **kwargs: Any) -> None:
        """Nothing: config.yaml holds them."""

    @rank_zero_only
    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        """Append a row for each number."""
        rows: list[Sequence[Any]] = [] if self.path.is_file() else [HEADER]
        for key, value in metrics.items():
            if key != "iteration":
                rows.append((step, for_csv(key), repr(float(value))))
        append_whole(self.path, as_csv(rows))

    def truncate(self, iteration: int) -> None:
        """Drop rows from ``iteration`` on, and final scores."""
        if not self.path.is_file():
            return
        kept: list[Sequence[Any]] = []
        for step, key, value in rows_of(self.path):
            if step < iteration and not from_csv(key).startswith("test/"):
                kept.append((step, key, value))
        write_atomically(self.path, lambda stream: stream.write(as_csv([HEADER, *kept])))


def make_wandb(config: RunConfig, plain: dict[str, Any], run: RunFolder, run_id: str | None) -> WandbLogger:
    """A W&B run whose axes count iterations: group = run name, tags = data and protocol.

    Args:
        config: the run's settings.
        plain: the same as plain values, kept as the run's config.
        run: the run folder; W&B's files lie inside it.
        run_id: the id of a resumed run.
    """
    if config.logger.offline:
        os.environ.setdefault("WANDB_SILENT", "true")
    logger = WandbLogger(
        name=f"{config.label} seed {config.seed}",
        save_dir=run.path.absolute(),  # W&B writes from a process whose working directory may be another
        offline=config.logger.offline,
        project=config.logger.project,
        entity=config.logger.entity,
        id=run_id,
        resume="allow" if run_id else None,
        group=config.label,
        tags=[tag for tag in (config.data.name, config.protocol.name, config.scale, config.preset) if tag],
        config=plain,
    )
    if main_process():
        _open(logger)
        for key in ("train/*", "lr/*", "phase", "pictures/*", "validation/*", "test/*"):
            logger.experiment.define_metric(key, step_metric="iteration")
    return logger


def _open(logger: WandbLogger) -> None:
    """Open the W&B run; :class:`ConfigError` where W&B cannot be reached."""
    import wandb  # noqa: PLC0415 - only with this logger

    try:
        _ = logger.experiment
    except wandb.errors.Error as error:
        raise ConfigError(
            f"W&B does not take the run ({' '.join(str(error).split())}): choose logger=wandb, which writes to the disk, and "
            "send it later by `wandb sync`."
        ) from error


def wandb_of(trainer: pl.Trainer) -> WandbLogger | None:
    """The run's W&B logger, if it has one."""
    return next((logger for logger in trainer.loggers if isinstance(logger, WandbLogger)), None)


def log_scores(trainer: pl.Trainer, rows: Sequence[Scores], iteration: int) -> None:
    """Means of the test into all logs, and into W&B a table of the trials.

    A W&B sweep may choose by any number that it is sent, so that its runs keep those of the test in results.json and
    history.csv alone.
    """
    values: dict[str, float] = {}
    for row in rows:
        values |= row.flat()
    for logger in trainer.loggers:
        if isinstance(logger, WandbLogger) and in_wandb_sweep():
            notice("W&B sweep: scores of the test stay in results.json, so that nothing is chosen by them.")
            continue
        logger.log_metrics({**values, "iteration": iteration}, step=iteration)
    wandb_logger = wandb_of(trainer)
    if wandb_logger is None or in_wandb_sweep():
        return
    for row in rows:
        for key, result in row.keyed().items():
            summary = result.metrics()
            table = []
            for trial in range(result.trials):
                table.append([trial, *(summary[name]["per_trial"][trial] for name in summary)])
            wandb_logger.log_table(f"tables/{key}", columns=["trial", *summary], data=table)


class PictureGrids(pl.Callback):
    """Logs a grid of the method's pictures (real visible, fake infrared, real infrared) to W&B now and then.

    Args:
        visible: fixed images (B, 3, H, W) in [0, 1].
        infrared: as ``visible``, the same people.
        every: iterations between two grids.
    """

    def __init__(self, visible: torch.Tensor, infrared: torch.Tensor, every: int) -> None:
        self.visible = visible
        self.infrared = infrared
        self.every = every

    def on_train_batch_start(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        """Log before every ``every``-th iteration, in eval mode and without touching any random state."""
        assert isinstance(pl_module, CrossModalityModule)
        wandb_logger = wandb_of(trainer)
        if wandb_logger is None or not trainer.is_global_zero or pl_module.iteration % self.every:
            return
        rows = pictures(pl_module, self.visible, self.infrared)
        grid = make_grid(torch.cat(list(rows.values())), nrow=len(self.visible), padding=1)
        log_image(wandb_logger, f"pictures/{pl_module.pictures_name}", as_bytes(grid), pl_module.iteration)


def as_bytes(image: torch.Tensor) -> npt.NDArray[np.uint8]:
    """An image (3, H, W) in [0, 1] -> (H, W, 3) uint8: W&B would cast floats to bytes as they are, which is black."""
    scaled = (image.clamp(0, 1) * 255).round().to(torch.uint8)
    return np.asarray(scaled.permute(1, 2, 0))


def log_image(logger: WandbLogger, key: str, image: Any, iteration: int) -> None:
    """Log one picture against the iteration (not the trainer's own step, which counts otherwise)."""
    import wandb  # noqa: PLC0415 - only with this logger; importing it takes a second

    logger.experiment.log({key: wandb.Image(image), "iteration": iteration})


@torch.no_grad()
def pictures(
    module: CrossModalityModule[Any], visible: torch.Tensor, infrared: torch.Tensor
) -> dict[str, torch.Tensor]:
    """The method's rows of pictures in eval mode, on the CPU, each (B, 3, H, W) in [0, 1]."""
    with evaluating(module):
        rows = module.translate(visible.to(module.device), infrared.to(module.device))
    return {name: images.cpu().clamp(0, 1) for name, images in rows.items()}


@torch.no_grad()
def figure_data(module: CrossModalityModule[Any], batch: PairedBatch) -> dict[str, torch.Tensor]:
    """What the method's own figures show of a batch, in eval mode, on the CPU; nothing for a method without."""
    if not isinstance(module, HasFigureData):
        return {}
    with evaluating(module):
        on_device = batch._replace(
            visible=batch.visible.to(module.device),
            infrared=batch.infrared.to(module.device),
            pids=batch.pids.to(module.device),
        )
        data = module.figure_data(on_device)
    return {name: value.cpu() for name, value in data.items()}


def finish_wandb(exit_code: int) -> None:
    """Close the W&B run of this job, or the next job of a sweep would log into it."""
    if "wandb" in sys.modules:
        import wandb  # noqa: PLC0415

        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            wandb.finish(exit_code=exit_code)
