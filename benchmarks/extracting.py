"""Extraction from decoded images beside the bare network; bench.py runs it."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from measuring import paired

from crossreid.data.transforms import to_float
from crossreid.extraction import Extractor


def extraction(run: str, count: int, repeats: int) -> dict[str, Any]:
    """Images a second from decoded images, through the extractor and through the bare network, in alternation."""
    extract = Extractor(run, batch_size=64)
    height, width = extract.size
    pixels = np.random.default_rng(0).integers(0, 256, (count, height, width, 3), dtype=np.uint8)

    def bare() -> None:
        for start in range(0, count, 64):
            part = torch.from_numpy(pixels[start : start + 64]).to(extract.module.device).permute(0, 3, 1, 2)
            with torch.inference_mode():
                extract.module.embed(to_float(part), "visible")["main"].cpu()

    extract(pixels[:64], modality="visible")
    found = paired(lambda: extract(pixels, modality="visible"), bare, repeats, of="bare forward")
    return {
        "method": extract.about["method"],
        "size": "x".join(map(str, extract.size)),
        "images": count,
        "images_per_second": round(1000 * count / found["value"], 1),
        "share_of_the_bare_network": round(1 / found["ratio"], 3),
        "measurement": found,
    }
