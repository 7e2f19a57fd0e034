"""How consistent generated images are: with the person (mean distance) and with real images (FID). JSIA-ReID, Table 4."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torchmetrics.image.fid import FrechetInceptionDistance

from crossreid.studies.generation.pairs import ImagePair

BATCH = 64


class FixedFeatures(nn.Module):
    """A fixed network's features of images, in the form that torchmetrics wants.

    Args:
        embed: images (B, 3, H, W) in [0, 1] -> features (B, D).
        num_features: D.
    """

    def __init__(self, embed: Callable[[Tensor], Tensor], num_features: int) -> None:
        super().__init__()
        self.embed = embed
        self.num_features = num_features

    @torch.no_grad()
    def forward(self, images: Tensor) -> Tensor:
        """Images (B, 3, H, W) in [0, 1] -> (B, D), in batches."""
        features = [self.embed(part) for part in torch.split(images, BATCH)]
        return torch.cat(features)


@dataclass(frozen=True)
class Consistency:
    """A row of the table; smaller is better, null where a generator has no latent space.

    Attributes:
        identity_real: MD of real images and their fakes (FRI), in [0, 2].
        identity_latent: MD of both modalities of imagined people (FLS).
        distribution_real: FID of fakes of real images.
        distribution_latent: FID of imagined people.
    """

    identity_real: float | None = None
    identity_latent: float | None = None
    distribution_real: float | None = None
    distribution_latent: float | None = None


def identity_distance(features: FixedFeatures, one: Tensor, two: Tensor) -> float:
    """Mean Euclidean distance of L2-normalised features of images (N, 3, H, W) that belong together, in [0, 2]."""
    unit_one = F.normalize(features(one).float(), dim=1)  # (N, D)
    unit_two = F.normalize(features(two).float(), dim=1)
    return float((unit_one - unit_two).norm(dim=1).mean())


def distribution_distance(features: FixedFeatures | int, real: ImagePair, fake: ImagePair) -> float:
    """FID of fake against real images, mean over the modalities.

    Args:
        features: a feature network, or the width of one of torchmetrics' Inception layers (which it downloads).
        real: at least two images of each modality.
        fake: as ``real``, not necessarily as many.

    Raises:
        ModuleNotFoundError: Inception is asked for and torch-fidelity is not installed.
    """
    values = []
    for real_images, fake_images in zip(real, fake, strict=True):  # of one modality
        # normalize: images are in [0, 1], and not bytes.
        metric = FrechetInceptionDistance(feature=features, normalize=True).to(real_images.device)
        for part in torch.split(real_images, BATCH):
            metric.update(part, real=True)
        for part in torch.split(fake_images, BATCH):
            metric.update(part, real=False)
        values.append(float(metric.compute()))
    return sum(values) / len(values)
