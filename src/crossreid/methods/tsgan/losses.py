"""TS-GAN's adversarial losses on (image, feature map) pairs and its teacher-student losses.

The signs of Eq. 1 to 4 and 12 are printed for quantities to maximise, or would teach the generators to be found out; here
every loss is one to minimise, and what a player wants to be believed is pulled to 1.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from crossreid.losses import binary_cross_entropy, least_squares
from crossreid.nn.joint_discriminator import ImageMapPair

GanLoss = Callable[[Tensor, float], Tensor]
"""Logits and their target (1 real, 0 fake) -> a scalar."""

GAN_LOSSES: dict[str, GanLoss] = {"bce": binary_cross_entropy, "lsgan": least_squares}

Discriminator = Callable[[Tensor, Tensor], Tensor]


def fake_pairs(real: ImageMapPair, fake: ImageMapPair) -> list[ImageMapPair]:
    """M of Eq. 5: fake images with their own maps, fake images with real maps, real images with fake maps.

    Args:
        real: infrared images and their maps.
        fake: fake infrared images and their maps; row by row the identities of ``real``, though not the same photos.
    """
    return [fake, ImageMapPair(fake.images, real.maps), ImageMapPair(real.images, fake.maps)]


def joint_rejection(loss: GanLoss, discriminator: Discriminator, real: ImageMapPair, fake: ImageMapPair) -> Tensor:
    """Eq. 2 to 4: real pairs are real, and the three kinds of M are fake; nothing but the discriminator gets a gradient.

    Returns:
        Loss of the real pairs plus the mean loss over M.
    """
    real = real.detach()
    fake = fake.detach()
    fake_terms = [loss(discriminator(pair.images, pair.maps), 0.0) for pair in fake_pairs(real, fake)]
    # Eq. 4: every kind has as many pairs, so that the mean of the means is that over M.
    fake_term = torch.stack(fake_terms).mean()
    real_term = loss(discriminator(real.images, real.maps), 1.0)  # Eq. 3
    return real_term + fake_term


def joint_acceptance(loss: GanLoss, discriminator: Discriminator, real: ImageMapPair, fake: ImageMapPair) -> Tensor:
    """Eq. 12: the pairs of M look real; only the maps get a gradient.

    Returns:
        The mean loss over M.
    """
    # The student learns by its maps alone: fakes are the generators' to change, in their own turn.
    real = ImageMapPair(real.images.detach(), real.maps)
    fake = ImageMapPair(fake.images.detach(), fake.maps)
    terms = [loss(discriminator(pair.images, pair.maps), 1.0) for pair in fake_pairs(real, fake)]
    return torch.stack(terms).mean()


def teaching_distance(student: Tensor, teacher: Tensor, reduction: str) -> Tensor:
    """Eq. 13 to 15: squared distance of two maps, whose reduction the paper leaves open; the teacher gets no gradient.

    Args:
        student: (N, C, h, w).
        teacher: (N, C, h, w).
        reduction: ``channel_sum``: squared distance of the C-vectors at a position, mean over positions and images;
            ``sample_sum``: sum over a map, mean over images (the formula to the letter); ``mean``: mean over everything.

    Returns:
        A scalar >= 0 in float32.
    """
    # In float32: in half precision such sums would round away what single elements add.
    squared = (student.float() - teacher.detach().float()).square()
    if reduction == "mean":
        return squared.mean()
    each_position = squared.sum(1)  # (N, h, w)
    if reduction == "channel_sum":
        return each_position.mean()
    return each_position.sum((1, 2)).mean()
