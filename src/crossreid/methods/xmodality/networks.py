"""The X generator: from visible images to images of a modality in between."""

from __future__ import annotations

from torch import Tensor, nn


class XGenerator(nn.Module):
    """Visible images (N, 3, h, w) -> X images (N, 3, h, w) of about the same range, pixel by pixel.

    Two 1x1 convolutions, 3 -> 1 -> 3 channels, with a ReLU between. They start as the mean of red, green and blue in all
    three channels: random weights are often negative for all colours, and behind the ReLU nothing would be left to learn.

    Args:
        spread: initial weights of the second convolution.
    """

    def __init__(self, spread: float = 1.0) -> None:
        super().__init__()
        self.squeeze = nn.Conv2d(3, 1, 1)
        self.spread = nn.Conv2d(1, 3, 1)
        nn.init.constant_(self.squeeze.weight, 1 / 3)
        nn.init.constant_(self.spread.weight, spread)
        for layer in (self.squeeze, self.spread):
            assert layer.bias is not None
            nn.init.zeros_(layer.bias)

    def forward(self, visible: Tensor) -> Tensor:
        """(N, 3, h, w) -> (N, 3, h, w)."""
        images: Tensor = self.spread(self.squeeze(visible).relu())
        return images
