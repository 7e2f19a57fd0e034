"""Mirror images at test."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor


def mirrored_sum(function: Callable[[Tensor], Tensor], images: Tensor) -> Tensor:
    """``function`` of the images plus that of their mirror images.

    Args:
        function: images (N, 3, h, w) -> vectors (N, D), such as a network that ends in a normalisation.
        images: (N, 3, h, w).

    Returns:
        (N, D), the same for images and for their mirror images, up to the order of a sum.
    """
    return function(images) + function(images.flip(-1))
