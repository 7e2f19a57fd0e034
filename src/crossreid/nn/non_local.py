"""Non-local blocks (Wang et al., CVPR 2018), dot-product form, as AGW has them."""

from __future__ import annotations

from torch import Tensor, nn

from crossreid.errors import ConfigError


class NonLocal(nn.Module):
    """x (N, C, h, w) -> x + BN(W y), y at a position the mean over all positions of g, weighted by theta . phi.

    The batch norm starts at 0, so that the block starts as the identity.

    Args:
        channels: C.
        inner: width of theta, phi and g; None for C // 2.
    """

    def __init__(self, channels: int, inner: int | None) -> None:
        super().__init__()
        inner = inner or channels // 2
        self.theta = nn.Conv2d(channels, inner, 1)
        self.phi = nn.Conv2d(channels, inner, 1)
        self.g = nn.Conv2d(channels, inner, 1)
        self.out = nn.Conv2d(inner, channels, 1)
        self.norm = nn.BatchNorm2d(channels)
        nn.init.zeros_(self.norm.weight)
        nn.init.zeros_(self.norm.bias)

    def forward(self, feature_map: Tensor) -> Tensor:
        """(N, C, h, w) -> (N, C, h, w)."""
        count, _, height, width = feature_map.shape
        theta = self.theta(feature_map).flatten(2)  # (N, inner, L)
        phi = self.phi(feature_map).flatten(2)
        g = self.g(feature_map).flatten(2)
        # Wang et al., Eq. 4 and sec. 3.2: the dot product is divided by the number of positions, there is no softmax
        attention = theta.transpose(1, 2) @ phi / (height * width)  # (N, L, L)
        y = g @ attention.transpose(1, 2)  # Eq. 1, (N, inner, L)
        y_map = y.view(count, -1, height, width)  # positions back into rows and columns
        output: Tensor = feature_map + self.norm(self.out(y_map))  # Eq. 6
        return output


def add_non_local(stage: nn.Module, count: int, inner: int | None) -> nn.Sequential:
    """A residual stage with a non-local block behind each of its last ``count`` blocks.

    Raises:
        ConfigError: the stage has fewer blocks.
    """
    blocks = list(stage.children())
    if count > len(blocks):
        raise ConfigError(f"model.non_local asks for {count} blocks in a stage of {len(blocks)}: take fewer.")
    layers: list[nn.Module] = []
    for place, block in enumerate(blocks):
        layers.append(block)
        if place >= len(blocks) - count:
            layers.append(NonLocal(_width(block), inner))
    return nn.Sequential(*layers)


def _width(block: nn.Module) -> int:
    """Channels that a residual block puts out."""
    # the last batch norm is bn2 in ResNet-18 and -34, bn3 in deeper networks; that of the shortcut has no such name
    width = 0
    for name, module in block.named_children():
        if name.startswith("bn") and isinstance(module, nn.BatchNorm2d):
            width = module.num_features
    return width
