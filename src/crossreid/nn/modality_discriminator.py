"""A perceptron that tells visible from infrared features."""

from __future__ import annotations

from collections.abc import Sequence

from torch import nn


class ModalityDiscriminator(nn.Sequential):
    """D: features (B, D) -> logits (B, 2), visible and infrared; ``widths`` are the hidden layers'."""

    def __init__(self, dim: int, widths: Sequence[int]) -> None:
        layers: list[nn.Module] = []
        for width in widths:
            layers += [nn.Linear(dim, width), nn.ReLU()]
            dim = width
        super().__init__(*layers, nn.Linear(dim, 2))
