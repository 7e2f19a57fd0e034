"""Augmentation and conversion of whole batches, on the device that the batch is on."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
import torch.nn.functional as F
from torch import Tensor

from crossreid.errors import ConfigError


@dataclass
class ErasingConfig:
    """Random erasing (Zhong et al., AAAI 2020).

    Attributes:
        probability: of erasing a part of an image, in [0, 1].
        area: smallest and largest share of the image that is erased.
        ratio: smallest and largest height / width of what is erased.
    """

    probability: float = 0.5
    area: list[float] = field(default_factory=lambda: [0.02, 0.4])
    ratio: list[float] = field(default_factory=lambda: [0.3, 3.3])

    def check(self) -> None:
        """Raise :class:`ConfigError` for shares and ratios that cannot be."""
        spans = len(self.area) == len(self.ratio) == 2
        if not spans or not 0 <= self.probability <= 1 or not 0 < self.area[0] <= self.area[1] <= 1:
            raise ConfigError("model.erasing takes a probability in [0, 1] and an area [smallest, largest] in (0, 1].")
        if not 0 < self.ratio[0] <= self.ratio[1]:
            raise ConfigError(f"model.erasing.ratio is [smallest, largest] above 0, not {self.ratio}.")


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


def exchange_channels(images: Tensor, generator: torch.Generator, probability: float = 1.0) -> Tensor:
    """Copy one channel, red, green or blue alike, to all three of some images (CAJ: Ye et al., ICCV 2021, sec. 3.2).

    Images whose channels are equal stay as they are.

    Args:
        images: (B, 3, H, W).
        generator: on the CPU.
        probability: of an image's exchange, in [0, 1].
    """
    count = len(images)
    channel = torch.randint(3, (count,), generator=generator).to(images.device)
    chosen = (torch.rand(count, generator=generator) < probability).to(images.device)
    copied = images[torch.arange(count, device=images.device), channel][:, None].expand_as(images)
    return torch.where(chosen[:, None, None, None], copied, images)


def to_grey(images: Tensor) -> Tensor:
    """Luminance (ITU-R BT.601) in all three channels, (B, 3, H, W) -> (B, 3, H, W); grey images stay as they are."""
    weights = images.new_tensor([0.299, 0.587, 0.114]).view(1, 3, 1, 1)
    return (images * weights).sum(dim=1, keepdim=True).expand_as(images)


def random_erasing(images: Tensor, generator: torch.Generator, config: ErasingConfig, fill: Tensor) -> Tensor:
    """Erase a random rectangle of some images; of 100 random shapes the first that fits is taken, none where none does.

    Args:
        images: (B, C, H, W).
        generator: on the CPU.
        config: how often, and how large.
        fill: (C,) colour of what is erased.
    """
    (count, _, height, width), tries = images.shape, 100

    def uniform(low: float, high: float, columns: int = 1) -> Tensor:
        return low + (high - low) * torch.rand(count, columns, generator=generator)

    area = uniform(config.area[0], config.area[1], tries) * height * width
    ratio = uniform(config.ratio[0], config.ratio[1], tries)
    tall, wide = (area * ratio).sqrt().round(), (area / ratio).sqrt().round()
    fits = (tall < height) & (wide < width)
    first = fits.int().argmax(1, keepdim=True)
    tall, wide = tall.gather(1, first), wide.gather(1, first)  # (B, 1)
    top = (uniform(0, 1) * (height - tall + 1)).floor()
    left = (uniform(0, 1) * (width - wide + 1)).floor()
    erased = (uniform(0, 1) < config.probability) & fits.any(1, keepdim=True)
    y, x = torch.arange(height), torch.arange(width)
    rows, columns = (y >= top) & (y < top + tall), (x >= left) & (x < left + wide)
    mask = (rows[:, :, None] & columns[:, None, :] & erased[..., None]).to(images.device)
    return torch.where(mask[:, None], fill.to(images).view(1, -1, 1, 1), images)
