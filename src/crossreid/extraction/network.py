"""What embeds decoded images: the method of a checkpoint, or exported programs. The extractor knows no more of either."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any, ClassVar

from crossreid.data.records import Modality
from crossreid.evaluation.scorers import Scorer
from crossreid.extraction.batching import Features
from crossreid.extraction.pixels import Pixels
from crossreid.settings.data import DecodingConfig


class EmbeddingNetwork(ABC):
    """A trained model, from decoded images on.

    Attributes:
        size: height and width in pixels of its images.
        decoding: how files become pixels.
        about: the model's digest and its preprocessing, which go with all embeddings.
        by_processes: files are decoded by processes of torch; else by threads, and torch is not imported.
    """

    size: tuple[int, int]
    decoding: DecodingConfig
    about: dict[str, Any]
    by_processes: ClassVar[bool] = True

    @abstractmethod
    def embed(self, pixels: Pixels, modality: Modality) -> Callable[[], Features]:
        """Begin to embed (B, H, W, 3), uint8 or float in [0, 1]; what is returned waits for the features.

        Raises:
            ConfigError: it cannot embed this modality or type.
        """

    def scorer(self) -> Scorer | None:
        """Its way of comparing single queries with a whole gallery; None where cosine of two embeddings is all."""
        return None
