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


class GeneratedImages(NamedTuple):
    """What one generator makes of real images: fakes of them, and people of its latent space where it has one."""

    fakes: ImagePair
    imagined: ImagePair | None


def make_images(
    generator: PairGenerator, real: ImagePair, ratio: Tensor, *, images: int, persons: int
) -> GeneratedImages:
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
    if len(starts) > 1:
        rows_of_last = len(ratio) - starts[-1]
        if rows_of_last == images:  # one person alone
            starts.pop()
    fakes: list[ImagePair] = []
    imagined: list[ImagePair] = []
    for start, end in pairwise([*starts, len(ratio)]):
        part = ImagePair(real.visible[start:end], real.infrared[start:end])
        fakes.append(generator.fakes(part))
        mixtures = generator.imagined(part, ratio[start:end], images)
        if mixtures is not None:
            imagined.append(mixtures)
    if not imagined:
        return GeneratedImages(_join(fakes), None)
    return GeneratedImages(_join(fakes), _join(imagined))


def _join(pairs: Sequence[ImagePair]) -> ImagePair:
    visible = torch.cat([pair.visible for pair in pairs])
    infrared = torch.cat([pair.infrared for pair in pairs])
    return ImagePair(visible, infrared)


class JSIAGenerator:
    """JSIA-ReID's generation and variation modules, trained; E_i's batch norms go by the batch, as in training."""

    def __init__(self, module: JSIA) -> None:
        self.module = module.eval()

    @torch.no_grad()
    def fakes(self, real: ImagePair) -> ImagePair:
        """Eq. 3: the style comes from the row's image of the other modality."""
        content = self.module.picture_content
        contents = Pair(content(real.visible), content(real.infrared))
        styles = self.module.generation.styles(Pair(real.visible, real.infrared))
        fakes = self.module.generation.fakes(contents, styles)
        return ImagePair(fakes.visible, fakes.infrared)

    @torch.no_grad()
    def imagined(self, real: ImagePair, ratio: Tensor, shift: int) -> ImagePair | None:
        """Eq. 14: contents mixed in V's latent space, each modality's styles mixed alike."""
        if not self.module.config.unseen_ids:
            return None
        variation = self.module.variation
        generation = self.module.generation

        def mix_rows(rows: Tensor) -> Tensor:
            return mix(rows, rows.roll(shift, 0), ratio)

        # The mean of the latent's distribution, and no draw from it.
        latent = variation.encode(self.module.picture_content(real.visible)).mean
        maps = variation.decode(mix_rows(latent))
        styles = generation.styles(Pair(real.visible, real.infrared))
        mixed_styles = Pair(mix_rows(styles.visible), mix_rows(styles.infrared))
        images = generation.decode(Pair(maps, maps), mixed_styles)  # one content in both modalities
        return ImagePair(images.visible, images.infrared)
