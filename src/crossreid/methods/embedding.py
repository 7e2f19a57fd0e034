"""What a method makes of images, and how a test or validation loop gathers it from all processes."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from typing import ClassVar

import numpy as np
import numpy.typing as npt
import pytorch_lightning as pl
import torch
from torch import Tensor

from crossreid.data.batches import EvaluationBatch
from crossreid.data.records import MODALITIES, Modality
from crossreid.errors import ConfigError, DataError
from crossreid.evaluation.gather import EmbeddingGatherer
from crossreid.evaluation.scorers import Cosine, Scorer

_BEYOND = 1e-3
"""By which rounding may take an image beyond black and white."""
Gathered = tuple[npt.NDArray[np.int64], dict[str, npt.NDArray[np.float32]]]
"""Rows (N,) and features by name (N, D)."""


def has_generated(rows: Mapping[str, Tensor]) -> bool:
    """Rows of :meth:`EmbeddingModule.translate` hold more than real images."""
    return any(not name.startswith("real") for name in rows)


def check_images(images: Tensor, modality: Modality) -> None:
    """Refuse what no method embeds; each calls it at the start of :meth:`EmbeddingModule.embed`.

    Values are looked at on the CPU alone, since a look at those on a GPU would wait for all that is computed before.

    Raises:
        ConfigError: there is no such modality.
        DataError: images are not (B, 3, H, W) of a float type, or outside [0, 1].
    """
    if modality not in MODALITIES:
        raise ConfigError(f"The modality of images is {' or '.join(MODALITIES)}, not {modality!r}.")
    if not isinstance(images, Tensor):
        raise DataError(f"Images to embed are a tensor of torch, not {type(images).__name__}; Extractor takes arrays.")
    if images.ndim != 4 or images.shape[1] != 3:
        raise DataError(f"Images to embed are (B, 3, H, W), RGB or grey three times, not {tuple(images.shape)}.")
    if not images.is_floating_point():
        raise DataError(f"Images to embed are float in [0, 1], not {images.dtype}: divide by 255.")
    if images.device.type != "cpu" or not images.numel() or torch.compiler.is_compiling():
        return
    lowest, highest = images.aminmax()
    if not (lowest >= -_BEYOND and highest <= 1 + _BEYOND):
        raise DataError(
            f"Images to embed are in [0, 1], and these go from {float(lowest):.4g} to {float(highest):.4g}: divide by 255 "
            "where they were bytes; methods normalise them themselves."
        )


class EmbeddingModule(pl.LightningModule):
    """A method that embeds images.

    Attributes:
        feature_names: names of the features that :meth:`embed` gives; ``main`` always.
        pooling: how the feature that retrieval uses is pooled, for comparisons.
        pictures_name: what the figure of :meth:`translate` is called.
        norms_by_modality: tests go by batch-norm averages of each modality instead of those of both (``test_norm``).
    """

    feature_names: tuple[str, ...] = ("main",)
    pooling: ClassVar[str] = "average"
    pictures_name: ClassVar[str] = "translation"
    norms_by_modality: bool = False

    def __init__(self) -> None:
        super().__init__()
        self._gatherer: EmbeddingGatherer | None = None
        self._gathered: Gathered | None = None

    @abstractmethod
    def embed(self, images: Tensor, modality: Modality) -> dict[str, Tensor]:
        """Images (B, 3, H, W) in [0, 1] -> named features (B, D), float32, each L2-normalised; ``main`` always.

        Raises:
            ConfigError: there is no such modality.
            DataError: these are no such images (:func:`check_images`).
        """

    def scorer(self) -> Scorer:
        """How retrieval compares two images; cosine of ``main`` by default, with averages of batch norms in its label."""
        return Cosine(name="main, norms by modality") if self.norms_by_modality else Cosine()

    def translate(self, visible: Tensor, infrared: Tensor) -> dict[str, Tensor]:
        """Named rows of pictures for a grid, each (B, 3, H, W) in [0, 1]; the real ones by default.

        Names of rows of real images begin with ``real``.
        """
        return {"real visible": visible, "real infrared": infrared}

    def features_to_gather(self, images: Tensor, modality: Modality) -> dict[str, Tensor]:
        """What a test loop keeps of images (B, 3, H, W) in [0, 1]: that of :meth:`embed` by default."""
        return self.embed(images, modality)

    def gathered(self) -> Gathered:
        """After a test or validation loop: rows (N,) ascending and unique, features by name (N, D)."""
        if self._gathered is None:
            raise RuntimeError("no test or validation loop has run")
        return self._gathered

    def on_test_start(self) -> None:
        """Buffers (batch-norm averages) of rank 0 everywhere, so that ranks embed with one network."""
        if self.trainer.world_size > 1:
            for buffer in self.buffers():
                torch.distributed.broadcast(buffer, 0)
        self._gathered = None
        self._gatherer = EmbeddingGatherer(self.feature_names).to(self.device)

    def test_step(self, batch: EvaluationBatch, batch_idx: int, dataloader_idx: int = 0) -> None:
        """Embed a batch of one modality: loader 0 is visible, 1 infrared."""
        assert self._gatherer is not None
        with torch.autocast(self.device.type, enabled=False):  # the same embeddings whatever the training precision
            features = self.features_to_gather(batch.images, MODALITIES[dataloader_idx])
        self._gatherer.update(batch.rows, features)

    def on_test_epoch_end(self) -> None:
        """Gather from all ranks while features are still on the device, then let go of it."""
        assert self._gatherer is not None
        rows, features = self._gatherer.compute()
        arrays: dict[str, npt.NDArray[np.float32]] = {}
        for name, feature in features.items():
            arrays[name] = feature.cpu().numpy()
        self._gathered = rows.cpu().numpy(), arrays
        self._gatherer = None

    def on_validation_start(self) -> None:
        """As before a test."""
        self.on_test_start()

    def validation_step(self, batch: EvaluationBatch, batch_idx: int, dataloader_idx: int = 0) -> None:
        """As in a test."""
        self.test_step(batch, batch_idx, dataloader_idx)

    def on_validation_epoch_end(self) -> None:
        """As in a test."""
        self.on_test_epoch_end()
