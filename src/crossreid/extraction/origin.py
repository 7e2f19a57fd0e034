"""Where embeddings come from: the model's digest, and how images came to its pixels."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from crossreid.data.decoding import DECODER_VERSION
from crossreid.settings.data import DecodingConfig

if TYPE_CHECKING:
    from crossreid.methods.base import CrossModalityModule


def model_digest(module: CrossModalityModule[Any]) -> str:
    """SHA-256 of a method's name, settings and weights: the same wherever the checkpoint lies, whatever else is in it."""
    import torch  # noqa: PLC0415 - exported programs are embedded with, and searched, without it

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


def with_grey_range(decoding: DecodingConfig, grey_range: tuple[float, float] | None) -> DecodingConfig:
    """Decoding with the values of deep grey files that become black and white, where they are said."""
    if grey_range is None:
        return decoding
    changed = replace(decoding, stretch="range", range=list(grey_range))
    changed.check("decoding")
    return changed
