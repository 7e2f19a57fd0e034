"""Choosing weights on the validation identities, never on the test gallery."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytorch_lightning as pl

from crossreid.data.datamodule import ReIDDataModule
from crossreid.evaluation import RetrievalProtocol, Scorer
from crossreid.methods.base import CrossModalityModule
from crossreid.runs.folder import BEST
from crossreid.training.scoring import as_embeddings


class ValidationSelection(pl.Callback):
    """Scores the validation identities after every validation loop and keeps the best weights as ``best.ckpt``.

    The best is the first with the highest mean mAP: it moves less by luck than Rank-1 does. What is known so far is
    part of every checkpoint, so a resumed run chooses as an uninterrupted one.

    Args:
        folder: the run folder.
        data: has the validation records.
        protocol: scores them.
        scorer: similarities.
    """

    def __init__(self, folder: Path, data: ReIDDataModule, protocol: RetrievalProtocol, scorer: Scorer) -> None:
        self.folder = folder
        self.data = data
        self.protocol = protocol
        self.scorer = scorer
        self.best: dict[str, float] = {}

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Score on every rank alike; save where it is better than all before."""
        assert isinstance(pl_module, CrossModalityModule)
        embeddings = as_embeddings(self.data.dataset, *pl_module.gathered())
        scores = self.protocol(embeddings, self.scorer).flat("validation")
        if trainer.is_global_zero:
            # the last iteration behind these scores: a resumed history keeps both or none
            seen = pl_module.iteration - 1
            for logger in trainer.loggers:
                logger.log_metrics({**scores, "iteration": seen}, step=seen)
        mean_ap = scores[f"validation/{self.protocol.key}/mAP"]
        # above, not equal: of several as good as each other the first stays
        if mean_ap > self.best.get("mAP", -1.0):
            rank1 = scores[f"validation/{self.protocol.key}/rank1"]
            self.best = {"iteration": pl_module.iteration, "mAP": mean_ap, "rank1": rank1}
            pl_module.require_finite_losses()
            trainer.save_checkpoint(self.folder / BEST)

    def state_dict(self) -> dict[str, Any]:
        """The best so far."""
        return dict(self.best)

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on from there."""
        self.best = dict(state_dict)
