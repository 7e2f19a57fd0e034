"""Histograms of oriented gradients (Dalal and Triggs, CVPR 2005): nothing is learned, so nothing can be learned wrongly.

An end-to-end check of reading, embedding and scoring, and the row that the field's first tables begin with.

Example:
    ``python -m crossreid.train model=hog``
"""

from __future__ import annotations

from collections.abc import Mapping

import torch.nn.functional as F
from torch import Tensor
from torch.optim import Optimizer

from crossreid.data.batches import TrainingBatch
from crossreid.data.records import Modality
from crossreid.data.transforms import to_grey
from crossreid.methods.base import CrossModalityModule
from crossreid.methods.embedding import check_images
from crossreid.methods.hog.config import HOGConfig
from crossreid.nn.hog import hog


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
        check_images(images, modality)
        cfg = self.config
        grey = to_grey(images)[:, 0]
        histograms = hog(grey, cfg.cell, cfg.block, cfg.bins)
        return {"main": F.normalize(histograms, dim=1)}
