"""Augmentation and conversion of whole batches, on the device that the batch is on."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from crossreid.settings.batches import ErasingConfig

TRIES = 100  # shapes that random erasing draws for an image


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
    flipped = (torch.rand(len(images), generator=generator) < probability).to(images.device, non_blocking=True)
    return torch.where(flipped[:, None, None, None], images.flip(-1), images)


def random_crop(images: Tensor, generator: torch.Generator, padding: int, value: float = 0.0) -> Tensor:
    """Surround each image by one colour and cut a window of its own size out at random.

    Args:
        images: (B, C, H, W).
        generator: on the CPU.
        padding: pixels on every side; 0 leaves images as they are.
        value: of all channels there, in the range of the images; 0, black, by default.
    """
    if not padding:
        return images
    height, width = images.shape[-2:]
    padded = F.pad(images, [padding] * 4, value=value)
    corners = torch.randint(2 * padding + 1, (len(images), 2), generator=generator).tolist()  # top and left
    windows = []
    for image, (top, left) in zip(padded, corners, strict=True):
        windows.append(image[:, top : top + height, left : left + width])
    return torch.stack(windows)


def exchange_channels(images: Tensor, generator: torch.Generator, probability: float = 1.0) -> Tensor:
    """Copy one channel, red, green or blue alike, to all three of some images (CAJ: Ye et al., ICCV 2021, sec. 3.2).

    Images whose channels are equal stay as they are.

    Args:
        images: (B, 3, H, W).
        generator: on the CPU.
        probability: of an image's exchange, in [0, 1].
    """
    count = len(images)
    channel = torch.randint(3, (count,), generator=generator).to(images.device, non_blocking=True)
    chosen = (torch.rand(count, generator=generator) < probability).to(images.device, non_blocking=True)
    copied = images[torch.arange(count, device=images.device), channel][:, None].expand_as(images)
    return torch.where(chosen[:, None, None, None], copied, images)


def exchange_or_grey(images: Tensor, generator: torch.Generator) -> Tensor:
    """Copy red, green or blue to all three channels, a quarter of the images each; of the rest half become grey.

    CAJ's authors do this to infrared images (their "adaptive grey").

    Args:
        images: (B, 3, H, W), of any range.
        generator: on the CPU.
    """
    count = len(images)
    case = torch.randint(4, (count,), generator=generator)
    turns_grey = torch.rand(count, generator=generator) < 0.5
    weights = images.new_tensor([0.2989, 0.5870, 0.1140]).view(1, 3, 1, 1)
    grey = (images * weights).sum(dim=1, keepdim=True).expand_as(images)
    changed = images
    for channel in range(3):
        chosen = (case == channel).to(images.device)[:, None, None, None]
        copied = images[:, channel : channel + 1].expand_as(images)
        changed = torch.where(chosen, copied, changed)
    chosen = ((case == 3) & turns_grey).to(images.device)[:, None, None, None]
    return torch.where(chosen, grey, changed)


def to_grey(images: Tensor) -> Tensor:
    """Luminance (ITU-R BT.601) in all three channels, (B, 3, H, W) -> (B, 3, H, W); grey images stay as they are."""
    weights = images.new_tensor([0.299, 0.587, 0.114]).view(1, 3, 1, 1)
    return (images * weights).sum(dim=1, keepdim=True).expand_as(images)


def random_grey(images: Tensor, generator: torch.Generator, probability: float) -> Tensor:
    """Make each image grey (:func:`to_grey`) with the given probability.

    Args:
        images: (B, 3, H, W).
        generator: on the CPU; draws are the same on every device.
        probability: in [0, 1].
    """
    chosen = (torch.rand(len(images), generator=generator) < probability).to(images.device, non_blocking=True)
    return torch.where(chosen[:, None, None, None], to_grey(images), images)


def random_erasing(images: Tensor, generator: torch.Generator, config: ErasingConfig, fill: Tensor) -> Tensor:
    """Erase a random rectangle of some images.

    Of :data:`TRIES` random shapes the first that fits into the image is taken, none where none does.

    Args:
        images: (B, C, H, W).
        generator: on the CPU.
        config: how often, and how large.
        fill: (C,) colour of what is erased.
    """
    count, _, height, width = images.shape

    def uniform(low: float, high: float, columns: int = 1) -> Tensor:
        return low + (high - low) * torch.rand(count, columns, generator=generator)

    # all shapes of all images are drawn at once, (B, TRIES): how many draws there are does not depend on what fits
    area = uniform(config.area[0], config.area[1], TRIES) * height * width
    ratio = uniform(config.ratio[0], config.ratio[1], TRIES)
    tall = (area * ratio).sqrt().round()
    wide = (area / ratio).sqrt().round()
    fits = (tall < height) & (wide < width)  # (B, TRIES)
    first = fits.int().argmax(1, keepdim=True)  # 0 where none fits; nothing is erased then
    tall = tall.gather(1, first)  # (B, 1)
    wide = wide.gather(1, first)
    top = (uniform(0, 1) * (height - tall + 1)).floor()
    left = (uniform(0, 1) * (width - wide + 1)).floor()
    erased = (uniform(0, 1) < config.probability) & fits.any(1, keepdim=True)
    y = torch.arange(height)
    x = torch.arange(width)
    rows = (y >= top) & (y < top + tall) & erased  # (B, H)
    columns = (x >= left) & (x < left + wide)  # (B, W)
    rectangle = rows[:, :, None] & columns[:, None, :]
    erased_pixels = rectangle[:, None].to(images.device, non_blocking=True)
    colour = fill.to(images, non_blocking=True).view(1, -1, 1, 1)
    return torch.where(erased_pixels, colour, images)
