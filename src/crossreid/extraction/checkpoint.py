"""The method of a checkpoint as what embeds decoded images, in evaluation mode and full precision."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from crossreid.data.records import Modality
from crossreid.data.transforms import to_float
from crossreid.errors import ConfigError
from crossreid.evaluation.scorers import Scorer
from crossreid.extraction.batching import Features
from crossreid.extraction.network import EmbeddingNetwork
from crossreid.extraction.origin import model_digest, preprocessing_of, with_grey_range
from crossreid.extraction.pixels import Pixels
from crossreid.extraction.transfer import TRANSFER, gallery_scorer, transfers
from crossreid.settings.data import DecodingConfig
from crossreid.training.checkpoints import read_checkpoint
from crossreid.training.environment import choose_device
from crossreid.training.imported import decoding_of, imported_of
from crossreid.training.loading import checkpoint_at, has_run, method_from, run_of


class CheckpointNetwork(EmbeddingNetwork):
    """The method that a checkpoint holds.

    Args:
        checkpoint: a run folder or a ``.ckpt``.
        device: ``auto``, ``cpu``, ``gpu`` or ``cuda:1``.
        grey_range: values of deep grey files that become black and white; None for what training did.

    Attributes:
        module: the method, in eval mode.

    Raises:
        CheckpointError: there is none, it is damaged, or its method is not registered here.
        ConfigError: the device is not there, or training took the range of deep grey files from its own images.
    """

    def __init__(
        self, checkpoint: str | Path, device: str = "auto", grey_range: tuple[float, float] | None = None
    ) -> None:
        chosen = choose_device(device)
        path = checkpoint_at(checkpoint)
        content = read_checkpoint(path)
        self.module = method_from(content, path).to(chosen)
        self.decoding = _decoding_of(content, path, grey_range)
        self.size = self.module.config.streams["identity"].size
        self.about = {
            "model": model_digest(self.module),
            "method": self.module.config.name,
            "iteration": self.module.iteration,
            "preprocessing": preprocessing_of(self.size, self.decoding),
            TRANSFER: transfers(self.module),
        }

    def embed(self, pixels: Pixels, modality: Modality) -> Callable[[], Features]:
        """See :meth:`EmbeddingNetwork.embed`; the device may still be computing when this returns."""
        device = self.module.device
        batch = torch.from_numpy(pixels)
        if device.type == "cuda":
            batch = batch.pin_memory()  # memory that the GPU copies from by itself, while this goes on
        images = batch.to(device, non_blocking=True)
        images = images.permute(0, 3, 1, 2)  # (B, H, W, 3) -> (B, 3, H, W)
        if images.dtype == torch.uint8:
            images = to_float(images)
        with torch.inference_mode(), torch.autocast(device.type, enabled=False):
            features = self.module.embed(images, modality)

        def fetch() -> Features:
            return {name: value.cpu().numpy() for name, value in features.items()}

        return fetch

    def scorer(self) -> Scorer | None:
        """cm-SSFT's transfer; None of other methods."""
        return gallery_scorer(self.module)


def _decoding_of(checkpoint: Mapping[str, Any], path: Path, grey_range: tuple[float, float] | None) -> DecodingConfig:
    """How training decoded, or the code that weights were imported from; of a plain trainer's checkpoint, the default."""
    imported = imported_of(checkpoint, path)
    decoding = DecodingConfig()
    if imported is not None:
        decoding = decoding_of(imported)
    elif has_run(checkpoint):
        decoding = run_of(checkpoint, path).data.decoding
    decoding = replace(decoding, unreadable="refuse")  # the extractor itself decides what becomes of such images
    if grey_range is None and decoding.stretch == "percentiles":
        raise ConfigError(
            f"The model of '{path}' saw deep grey images stretched by the percentiles of its training images: say "
            "grey_range=[low,high] with the values that crossreid.check prints for its dataset."
        )
    return with_grey_range(decoding, grey_range)
