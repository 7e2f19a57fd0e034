"""The batch-norm neck between what a triplet loss compares and what a classifier sees."""

from __future__ import annotations

from torch import nn


class BatchNormNeck(nn.BatchNorm1d):
    """Vectors (N, C) -> (N, C): batch norm with a scale and without a shift (Luo et al., CVPR Workshops 2019).

    A shift that stays 0 needs no parameter: it is left out rather than frozen, so that no optimizer ever sees it.

    Args:
        channels: C.
    """

    def __init__(self, channels: int) -> None:
        super().__init__(channels)
        self.register_parameter("bias", None)
