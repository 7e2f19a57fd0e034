"""Where embeddings come from: the model's digest, and how images came to its pixels."""

from __future__ import annotations

import hashlib
import json
from typing import Any

import torch

from crossreid.data.decoding import DECODER_VERSION
from crossreid.methods.base import CrossModalityModule
from crossreid.settings.data import DecodingConfig


def model_digest(module: CrossModalityModule[Any]) -> str:
    """SHA-256 of a method's name, settings and weights: the same wherever the checkpoint lies, whatever else is in it."""
    digest = hashlib.sha256()
    settings = {"method": module.config.name, "settings": module.config.plain()}
    digest.update(json.dumps(settings, sort_keys=True).encode())
    for name, weight in sorted(module.state_dict().items()):
        digest.update(f"\n{name} {tuple(weight.shape)} {weight.dtype}\n".encode())
        content = weight.detach().cpu().contiguous().reshape(-1).view(torch.uint8)
        digest.update(content.numpy().tobytes())
    return digest.hexdigest()


def preprocessing_of(size: tuple[int, int], decoding: DecodingConfig) -> dict[str, Any]:
    """How files become the pixels that a network is given, as plain values."""
    settings = decoding.plain()
    del settings["unreadable"]  # decides which images there are, not what they become
    return {
        "height": size[0],
        "width": size[1],
        "decoder": DECODER_VERSION,
        "decoding": settings,
    }
