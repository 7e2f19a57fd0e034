"""From a pooled vector to a feature and identity logits: batch-norm neck (Luo et al., CVPR Workshops 2019), or an FC."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn

from crossreid.nn.neck import BatchNormNeck


class BlockOutput(NamedTuple):
    """What a feature block makes of N vectors.

    Attributes:
        vector: (N, D), for triplet losses: before the batch norm, or the FC's output.
        feature: (N, D), for everything else: after the batch norm, or the FC's output.
        logits: (N, classes).
    """

    vector: Tensor
    feature: Tensor
    logits: Tensor


class FeatureBlock(nn.Module):
    """Vectors (N, C) -> :class:`BlockOutput`.

    Args:
        channels: C.
        classes: number of training identities.
        neck: ``bnneck``: batch norm with a scale and without a shift, D = C; ``fc``: a linear layer to ``dim``;
            ``none``: the vectors themselves, D = C.
        dim: D of ``fc``.

    Attributes:
        dim: D.
    """

    def __init__(self, channels: int, classes: int, neck: str, dim: int) -> None:
        super().__init__()
        self.dim = channels
        self.neck: nn.Module
        if neck == "bnneck":
            self.neck = BatchNormNeck(channels)
        elif neck == "fc":
            self.neck = nn.Linear(channels, dim)
            self.dim = dim
        else:
            self.neck = nn.Identity()
        # Luo et al.: distances are learned before the batch norm, angles to the classes behind it
        self.triplet_before_neck = neck == "bnneck"
        self.classifier = nn.Linear(self.dim, classes, bias=False)
        nn.init.normal_(self.classifier.weight, 0.0, 0.001)

    def forward(self, vectors: Tensor) -> BlockOutput:
        """Vectors (N, C) -> vector, feature and logits, in float32 whatever the training precision."""
        with torch.autocast(vectors.device.type, enabled=False):
            vectors = vectors.float()
            feature = self.features(vectors)
            logits = self.classifier(feature)
            if self.triplet_before_neck:
                return BlockOutput(vectors, feature, logits)
            return BlockOutput(feature, feature, logits)

    def features(self, vectors: Tensor) -> Tensor:
        """Vectors (N, C) -> features (N, D), without the classifier."""
        feature: Tensor = self.neck(vectors)
        return feature
