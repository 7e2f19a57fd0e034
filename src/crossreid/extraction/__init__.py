"""Images of one's own to embeddings, by a trained model."""

from crossreid.extraction.extractor import Extractor

__all__ = ["Extractor"]
