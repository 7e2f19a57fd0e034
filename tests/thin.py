"""In the tests ``resnet18`` is an eighth as wide: most tests look at what a method does, not at eleven million weights.

Tests that are about the true network carry the marker ``true_width``. Commands in a fresh Python have it anyway.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from torch import nn
from torchvision.models import resnet18
from torchvision.models._api import BUILTIN_MODELS  # what torchvision.models.get_model looks names up in
from torchvision.models.resnet import BasicBlock, ResNet

NARROWING = 8


class ThinResNet(ResNet):
    """ResNet-18 of widths 8, 16, 32 and 64."""

    def __init__(self) -> None:
        super().__init__(BasicBlock, [2, 2, 2, 2])
        self.conv1 = nn.Conv2d(3, 64 // NARROWING, kernel_size=7, stride=2, padding=3, bias=False)
        self.bn1 = nn.BatchNorm2d(64 // NARROWING)
        self.fc = nn.Linear(512 // NARROWING, 1000)

    def _make_layer(self, block: Any, planes: int, *rest: Any, **named: Any) -> nn.Sequential:
        if planes == 64:  # the first stage
            self.inplanes = 64 // NARROWING
        return super()._make_layer(block, planes // NARROWING, *rest, **named)


def _thin(*, weights: object = None, **_: object) -> ThinResNet:
    assert weights is None, "the thin network has no pretrained weights: mark the test true_width"
    return ThinResNet()


_thin.__module__ = resnet18.__module__  # list_models lists models by their module


def narrow() -> None:
    """From here on in this process."""
    BUILTIN_MODELS["resnet18"] = _thin


@contextmanager
def true_width() -> Iterator[None]:
    """Inside, ``resnet18`` is torchvision's own."""
    BUILTIN_MODELS["resnet18"] = resnet18
    try:
        yield
    finally:
        narrow()
