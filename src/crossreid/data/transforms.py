"""Augmentation and conversion of whole batches, on the device that the batch is on."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


def to_float(images: Tensor) -> Tensor:
    """uint8 (B, 3, H, W) in [0, 255] -> float32 in [0, 1]."""
    return images.float().div_(255)


def random_flip(images: Tensor, generator: torch.Generator, probability: float = 0.5) -> Tensor:
    """Mirror each image left-right with the given probability.

    Args:
        images: (B, C, H, W).
        generator: on the CPU; draws are the same on every device.
        probability: in [0, 1].
    """
    flipped = (torch.rand(len(images), generator=generator) < probability).to(images.device)
    return torch.where(flipped[:, None, None, None], images.flip(-1), images)


def random_crop(images: Tensor, generator: torch.Generator, padding: int) -> Tensor:
    """Surround each image by black and cut a window of its own size out at random.

    Args:
        images: (B, C, H, W).
        generator: on the CPU.
        padding: pixels on every side; 0 leaves images as they are.
    """
    if not padding:
        return images
    height, width = images.shape[-2:]
    padded = F.pad(images, [padding] * 4)
    corners = torch.randint(2 * padding + 1, (len(images), 2), generator=generator).tolist()
    return torch.stack([p[:, y : y + height, x : x + width] for p, (y, x) in zip(padded, corners, strict=True)])
