"""Histograms of oriented gradients (Dalal and Triggs, CVPR 2005): nothing is learned, so nothing can be learned wrongly.

An end-to-end check of reading, embedding and scoring, and the row that the field's first tables begin with.

Example:
    ``python -m crossreid.train model=hog``
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import torch.nn.functional as F
from torch import Tensor
from torch.optim import Optimizer

from crossreid.data.batches import TrainingBatch
from crossreid.data.records import Modality
from crossreid.data.transforms import to_grey
from crossreid.errors import ConfigError
from crossreid.methods.base import CrossModalityModule, MethodConfig
from crossreid.nn.hog import hog


@dataclass
class HOGConfig(MethodConfig):
    """Settings of HOG; there are no phases, since there is nothing to train.

    Attributes:
        cell: pixels of a cell's side.
        block: cells of a block's side.
        bins: directions over half a turn.
    """

    trains: ClassVar[bool] = False

    cell: int = 8
    block: int = 2
    bins: int = 9

    def check(self) -> None:
        """Raise :class:`ConfigError` in one sentence when settings cannot work together."""
        super().check()
        if self.flip or self.channel_exchange or self.clip_norm:
            raise ConfigError(
                "HOG trains on nothing: leave model.flip, model.channel_exchange and model.clip_norm at 0."
            )
        stream = self.streams["identity"]
        if min(self.cell, self.block, self.bins) < 1 or min(stream.height, stream.width) < self.cell * self.block:
            raise ConfigError(
                f"HOG needs images of at least one block, {self.block} x {self.block} cells of {self.cell} pixels, not "
                f"{stream.height}x{stream.width}, and 1 or more bins."
            )


class HOG(CrossModalityModule[HOGConfig]):
    """No parameters, no player."""

    CONFIG = HOGConfig
    pooling = "none"

    def make_optimizers(self) -> Mapping[str, Optimizer]:
        """None."""
        return {}

    def training_step(self, batch: TrainingBatch) -> None:
        """Never called: there are no iterations."""
        raise RuntimeError("HOG is not trained")

    def embed(self, images: Tensor, modality: Modality) -> dict[str, Tensor]:
        """Blocks of the grey image, (B, D), L2-normalised as a whole."""
        cfg = self.config
        return {"main": F.normalize(hog(to_grey(images)[:, 0], cfg.cell, cfg.block, cfg.bins), dim=1)}
