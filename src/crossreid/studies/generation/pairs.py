"""What the generators of Table 4 have in common: fakes of real images and, some of them, images from a latent space."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple, Protocol

import torch
from torch import Tensor

from crossreid.methods.jsia.generation import Pair
from crossreid.methods.jsia.losses import mix
from crossreid.methods.jsia.module import JSIA


class ImagePair(NamedTuple):
    """Visible and infrared images, each (B, 3, H, W) in [0, 1]."""

    visible: Tensor
    infrared: Tensor


class PairGenerator(Protocol):
    """Makes images of the other modality."""

    def fakes(self, real: ImagePair) -> ImagePair:
        """Fake visible images of the real infrared ones and the other way; row b of ``real`` is one person."""

    def imagined(self, real: ImagePair, ratio: Tensor, shift: int) -> ImagePair | None:
        """Both modalities of people between the visible image of each row (``ratio`` (B,) = 1) and that of the row
        ``shift`` before it (0), mixed in the latent space; nothing where there is no such space."""


class Made(NamedTuple):
    """What one generator makes of real images: fakes of them, and people of its latent space where it has one."""

    fakes: ImagePair
    imagined: ImagePair | None


def make_images(generator: PairGenerator, real: ImagePair, ratio: Tensor, *, images: int, persons: int) -> Made:
    """Everything that is scored and drawn, made a few persons at a time.

    A person's images stay together, and no batch has only one person where there are two: the last one joins the batch
    before it. What is made of a person depends on the persons of his batch alone, and memory on the size of a batch.

    Args:
        generator: what makes them.
        real: (N, 3, H, W), rows by person.
        ratio: (N,) in [0, 1], of the mixtures in the latent space; each row is mixed with the person before, in its batch.
        images: rows of each person.
        persons: of one batch.
    """
    starts = list(range(0, len(ratio), images * persons))
    if len(starts) > 1 and len(ratio) - starts[-1] == images:
        starts.pop()
    fakes, imagined = [], []
    for start, end in pairwise([*starts, len(ratio)]):
        part = ImagePair(real.visible[start:end], real.infrared[start:end])
        fakes.append(generator.fakes(part))
        imagined.append(generator.imagined(part, ratio[start:end], images))
    latent = [pair for pair in imagined if pair is not None]
    return Made(_joined(fakes), _joined(latent) if latent else None)


def _joined(pairs: Sequence[ImagePair]) -> ImagePair:
    return ImagePair(torch.cat([pair.visible for pair in pairs]), torch.cat([pair.infrared for pair in pairs]))


class JSIAGenerator:
    """JSIA-ReID's generation and variation modules, trained; E_i's batch norms go by the batch, as in training."""

    def __init__(self, module: JSIA) -> None:
        self.module = module.eval()

    @torch.no_grad()
    def fakes(self, real: ImagePair) -> ImagePair:
        """Eq. 3: the style comes from the row's image of the other modality."""
        generation, content = self.module.generation, self.module.picture_content
        contents = Pair(content(real.visible), content(real.infrared))
        made = generation.fakes(contents, generation.styles(Pair(*real)))
        return ImagePair(made.visible, made.infrared)

    @torch.no_grad()
    def imagined(self, real: ImagePair, ratio: Tensor, shift: int) -> ImagePair | None:
        """Eq. 14: contents mixed in V's latent space, each modality's styles mixed alike."""
        if not self.module.config.unseen_ids:
            return None
        generation, variation = self.module.generation, self.module.variation
        latent = variation.encode(self.module.picture_content(real.visible)).mean
        maps = variation.decode(mix(latent, latent.roll(shift, 0), ratio))
        styles = Pair(*(mix(style, style.roll(shift, 0), ratio) for style in generation.styles(Pair(*real))))
        images = generation.decode(Pair(maps, maps), styles)
        return ImagePair(images.visible, images.infrared)
