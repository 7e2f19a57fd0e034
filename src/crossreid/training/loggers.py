"""Where losses and pictures go: history.csv always; Weights & Biases on request (:mod:`.wandb_run`)."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.loggers import Logger
from pytorch_lightning.utilities import rank_zero_only
from torchvision.utils import make_grid

from crossreid.data.batches import PairedBatch
from crossreid.escaping import for_csv, from_csv
from crossreid.files import append_whole, write_atomically
from crossreid.methods.base import CrossModalityModule
from crossreid.methods.reporting import HasFigureData
from crossreid.nn.normalisation import evaluating
from crossreid.runs.history import HEADER, as_csv, rows_of
from crossreid.settings.figures import CorrespondenceConfig
from crossreid.training.wandb_run import as_bytes, wandb_of


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
        rows: list[Sequence[Any]] = []
        if not self.path.is_file():
            rows.append(HEADER)
        for key, value in metrics.items():
            if key != "iteration":
                rows.append((step, for_csv(key), repr(float(value))))
        append_whole(self.path, as_csv(rows))

    def truncate(self, iteration: int) -> int:
        """Drop rows from ``iteration`` on, and final scores; returns the last iteration that stood there, -1 for none."""
        if not self.path.is_file():
            return -1
        last = -1
        kept: list[Sequence[Any]] = []
        for step, key, value in rows_of(self.path):
            if from_csv(key).startswith("test/"):  # of an end that this run has not reached again
                continue
            last = max(last, step)
            if step < iteration:
                kept.append((step, key, value))
        write_atomically(self.path, lambda stream: stream.write(as_csv([HEADER, *kept])))
        return last


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
        wandb_logger.log_picture(f"pictures/{pl_module.pictures_name}", as_bytes(grid), pl_module.iteration)


@torch.no_grad()
def pictures(
    module: CrossModalityModule[Any], visible: torch.Tensor, infrared: torch.Tensor
) -> dict[str, torch.Tensor]:
    """The method's rows of pictures in eval mode, on the CPU, each (B, 3, H, W) in [0, 1]."""
    with evaluating(module):
        rows = module.translate(visible.to(module.device), infrared.to(module.device))
    return {name: images.cpu().clamp(0, 1) for name, images in rows.items()}


@torch.no_grad()
def figure_data(
    module: CrossModalityModule[Any], batch: PairedBatch, choice: CorrespondenceConfig | None = None
) -> dict[str, torch.Tensor]:
    """What the method's own figures show of a batch, in eval mode, on the CPU; nothing for a method without."""
    if not isinstance(module, HasFigureData):
        return {}
    with evaluating(module):
        on_device = batch._replace(
            visible=batch.visible.to(module.device),
            infrared=batch.infrared.to(module.device),
            pids=batch.pids.to(module.device),
        )
        data = module.figure_data(on_device, choice)
    return {name: value.cpu() for name, value in data.items()}
