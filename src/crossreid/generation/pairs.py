"""What the generators of Table 4 have in common: fakes of real images and, some of them, images from a latent space."""

from __future__ import annotations

from typing import NamedTuple, Protocol

import torch
from torch import Tensor

from crossreid.methods.jsia import JSIA
from crossreid.methods.jsia.generation import Pair
from crossreid.methods.jsia.losses import mix


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


class JSIAGenerator:
    """JSIA-ReID's generation and variation modules, trained; E_i's batch norms go by the batch, as in training."""

    def __init__(self, module: JSIA) -> None:
        self.module = module.eval()

    @torch.no_grad()
    def fakes(self, real: ImagePair) -> ImagePair:
        """Eq. 3: the style comes from the row's image of the other modality."""
        made = self.module.generation(self.module.picture_content, Pair(*real))
        return ImagePair(made.fakes.visible, made.fakes.infrared)

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
