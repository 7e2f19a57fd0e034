"""AlignGAN's adversarial losses on (image, feature map) pairs, in the least-squares reading.

The printed signs of Eq. 7-10 would train the discriminator to be wrong and the generators to look fake; here real pairs
are pulled to 1 and fake pairs to 0, and generators are rewarded for 1, as the text and the official code have it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

import torch
from torch import Tensor

from crossreid.losses import least_squares
from crossreid.nn.joint_discriminator import ImageMapPair

Discriminator = Callable[[Tensor, Tensor], Tensor]


def acceptance(discriminator: Discriminator, pairs: Iterable[ImageMapPair]) -> Tensor:
    """Eq. 9 and 10: how far the discriminator is from accepting generated pairs; mean over the union of the pairs."""
    each_kind = [least_squares(discriminator(pair.images, pair.maps), 1.0) for pair in pairs]
    # Kinds have as many pairs each, so that the mean of their means is the mean over the union.
    return torch.stack(each_kind).mean()


def rejection(real_logits: Tensor, fake_logits: Tensor) -> Tensor:
    """Discriminator loss on one kind of real and of fake, halved: 0 for a perfect discriminator."""
    return 0.5 * (least_squares(real_logits, 1.0) + least_squares(fake_logits, 0.0))


def joint_rejection(
    discriminator: Discriminator, real: ImageMapPair, fake: ImageMapPair, images_per_identity: int
) -> Tensor:
    """Eq. 7 and 8: Dj accepts (real image, real map) and rejects the four other kinds of pair.

    Rejected: a real image with the real map of another identity, real with fake, fake with real, fake with fake. Nothing
    but Dj gets a gradient.

    Args:
        discriminator: Dj.
        real: real infrared and its maps.
        fake: fake infrared and its maps, row by row the same identities as ``real``.
        images_per_identity: K; shifting the batch by K rows pairs every map with an image of the next identity.

    Returns:
        0.5 * (real term + mean of the four fake terms), 0 for a perfect discriminator.
    """
    real = real.detach()
    fake = fake.detach()
    of_other_identities = real.images.roll(-images_per_identity, dims=0)  # the next one's, as in the authors' code
    fake_kinds = [
        ImageMapPair(of_other_identities, real.maps),  # the second set of Eq. 8: both real, two persons
        ImageMapPair(real.images, fake.maps),  # the first set: one person, and at least one of the two fake
        ImageMapPair(fake.images, real.maps),
        fake,
    ]
    fake_terms = []
    for pair in fake_kinds:
        logits = discriminator(pair.images, pair.maps)
        fake_terms.append(least_squares(logits, 0.0))
    # The mean, not the sum: four kinds of fakes together weigh as much as the real pairs.
    fake_term = torch.stack(fake_terms).mean()
    real_term = least_squares(discriminator(real.images, real.maps), 1.0)
    return 0.5 * (real_term + fake_term)


def shuffle_within_identity(maps: Tensor, images_per_identity: int) -> Tensor:
    """Give each image the map of another image of the same identity.

    Args:
        maps: (P*K, ...), identity by identity.
        images_per_identity: K, at least 2.

    Returns:
        As ``maps``; rows shifted inside each group of K by a random number of places, never 0.
    """
    groups = maps.reshape(-1, images_per_identity, *maps.shape[1:])  # (P, K, ...)
    # Drawn on the CPU, from the generator that is seeded anew in every iteration.
    (shift,) = torch.randint(1, images_per_identity, (1,)).tolist()
    return groups.roll(shift, dims=1).reshape(maps.shape)
