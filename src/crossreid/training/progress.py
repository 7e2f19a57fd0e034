"""One bar for the whole training, counted in iterations, that names the phase."""

from __future__ import annotations

from typing import Any

import pytorch_lightning as pl
from pytorch_lightning.callbacks import ProgressBar

from crossreid.console import err_console, make_progress
from crossreid.methods.base import CrossModalityModule
from crossreid.stages import tell

_LINE_EVERY = 60  # iterations between lines where there is no terminal


class IterationProgress(ProgressBar):
    """A bar on a terminal; a line now and then elsewhere (log files)."""

    def __init__(self) -> None:
        super().__init__()
        self._bar: Any = None
        self._task: Any = None
        self._enabled = True

    def disable(self) -> None:
        """For Lightning: on ranks other than 0."""
        self._enabled = False

    def enable(self) -> None:
        """For Lightning."""
        self._enabled = True

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Open the bar where training starts or goes on."""
        assert isinstance(pl_module, CrossModalityModule)
        if self._enabled and err_console.is_terminal:
            self._bar = make_progress()
            self._bar.start()
            total = pl_module.config.iterations
            self._task = self._bar.add_task("training", total=total, completed=pl_module.iteration, note="")

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Advance by one iteration."""
        assert isinstance(pl_module, CrossModalityModule)
        phase, inside = pl_module.place
        length = pl_module.config.active_phases()[phase]
        tell("training", pl_module.iteration + 1, pl_module.config.iterations)
        if self._bar is not None:
            note = f"phase {phase}"
            self._bar.update(self._task, completed=pl_module.iteration + 1, note=note)
        elif self._enabled and ((inside + 1) % _LINE_EVERY == 0 or inside + 1 == length):
            losses = list(pl_module.loss_values().items())
            shown = ", ".join(f"{name} {value:.3f}" for name, value in losses[:6])
            done = f"iteration {pl_module.iteration + 1}/{pl_module.config.iterations}"
            err_console.print(f"{done}, phase {phase} {inside + 1}/{length}: {shown}")

    def on_test_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Open a bar for the images to embed."""
        if self._enabled and err_console.is_terminal:
            self._bar = make_progress(transient=True)
            self._bar.start()
            batches = sum(map(int, trainer.num_test_batches))  # of both modalities' loaders
            self._task = self._bar.add_task("embedding", total=batches, note="batches")

    def on_test_batch_end(
        self,
        trainer: pl.Trainer,
        pl_module: pl.LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Advance by one batch."""
        if self._bar is not None:
            self._bar.advance(self._task)

    def teardown(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        """Close the bar."""
        if self._bar is not None:
            self._bar.stop()
            self._bar = None
