"""Image encoders: torchvision ResNets that keep their last stage at stride 1."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from urllib.error import URLError

import torch
import torch.nn.functional as F
import torchvision
from torch import Tensor, nn

from crossreid.errors import ConfigError

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)


@dataclass
class BackboneConfig:
    """Which encoder.

    Attributes:
        name: a torchvision ResNet: ``resnet18``, ``resnet34``, ``resnet50``, ...
        weights: ``imagenet`` (downloaded by torchvision on first use), ``random``, or the path of a state-dict file.
        size: height and width that images are resized to before the first layer.
        last_stride: stride of the last stage: 1 keeps its map at 1/16 of the image, 2 at 1/32.
    """

    name: str = "resnet50"
    weights: str = "imagenet"
    size: list[int] = field(default_factory=lambda: [384, 192])
    last_stride: int = 1

    def check(self) -> None:
        """Raise :class:`ConfigError` for sizes and strides that cannot be."""
        if len(self.size) != 2 or min(self.size) < 1 or self.last_stride not in (1, 2):
            raise ConfigError(
                f"model.backbone.size is [height, width] and last_stride 1 or 2, not {self.size} and {self.last_stride}."
            )


ERASED = (0.4914, 0.4822, 0.4465)
"""What random erasing fills with in normalised images (Luo et al., CVPR Workshops 2019, and all that followed)."""


def erasing_fill() -> Tensor:
    """(3,) in [0, 1]: the fill of random erasing, for images that are not normalised yet."""
    return torch.tensor(IMAGENET_MEAN) + torch.tensor(IMAGENET_STD) * torch.tensor(ERASED)


class ImageInput(nn.Module):
    """Images (B, 3, h, w) in [0, 1] -> (B, 3, H, W), resized bilinearly and normalised by ImageNet statistics.

    Args:
        size: H and W in pixels.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, size: tuple[int, int]) -> None:
        super().__init__()
        self.size = size
        self.register_buffer("mean", torch.tensor(IMAGENET_MEAN).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(IMAGENET_STD).view(1, 3, 1, 1), persistent=False)

    def forward(self, images: Tensor) -> Tensor:
        """Images (B, 3, h, w) in [0, 1] -> (B, 3, H, W), some -2 to 3."""
        if images.shape[-2:] != self.size:
            images = F.interpolate(images, size=self.size, mode="bilinear", align_corners=False)
        return (images - self.mean) / self.std


class ResNetEncoder(nn.Module):
    """(B, 3, h, w) in [0, 1] -> stage-4 feature map (B, C, H/16, W/16), not negative.

    Resizes bilinearly to ``config.size`` and normalises by ImageNet statistics inside (AlignGAN, sec. 4.2: the map M).

    Attributes:
        channels: C, 512 for ResNet-18 and -34, 2048 for ResNet-50 and deeper.

    Raises:
        ConfigError: the network or its weights cannot be had.
    """

    def __init__(self, config: BackboneConfig) -> None:
        super().__init__()
        net = make_resnet(config)
        self.channels = int(net.fc.in_features)
        self.prepare = ImageInput((config.size[0], config.size[1]))
        self.body = nn.Sequential(
            net.conv1, net.bn1, net.relu, net.maxpool, net.layer1, net.layer2, net.layer3, net.layer4
        )

    def forward(self, images: Tensor) -> Tensor:
        """Images (B, 3, h, w) in [0, 1] -> map (B, C, H/16, W/16)."""
        feature_map: Tensor = self.body(self.prepare(images))
        return feature_map


def pool(feature_map: Tensor) -> Tensor:
    """Global average pooling, (B, C, h, w) -> (B, C)."""
    return feature_map.mean(dim=(2, 3))


def make_resnet(config: BackboneConfig) -> torchvision.models.ResNet:
    """The torchvision network that the settings name, with its weights and the stride of its last stage.

    Raises:
        ConfigError: the network or its weights cannot be had.
    """
    net = _load_resnet(config)
    if config.last_stride == 1:
        _unstride(net.layer4)
    return net


def _load_resnet(config: BackboneConfig) -> torchvision.models.ResNet:
    names = [name for name in torchvision.models.list_models(torchvision.models) if name.startswith("resnet")]
    if config.name not in names:
        raise ConfigError(
            f"There is no backbone '{config.name}': set model.backbone.name to one of {', '.join(names)}."
        )
    if config.weights == "random":
        return _make(config.name, None)
    if config.weights == "imagenet":
        return _pretrained(config.name)
    return _from_file(config.name, Path(config.weights))


def _make(name: str, weights: str | None) -> torchvision.models.ResNet:
    net = torchvision.models.get_model(name, weights=weights)
    assert isinstance(net, torchvision.models.ResNet)
    return net


def _pretrained(name: str) -> torchvision.models.ResNet:
    try:
        return _make(name, "IMAGENET1K_V1")
    except (URLError, OSError, RuntimeError) as error:
        raise ConfigError(
            f"The ImageNet weights of {name} could not be downloaded ({' '.join(str(error).split())}): set "
            "model.backbone.weights to the path of a state-dict file, or to 'random'."
        ) from error


def _from_file(name: str, path: Path) -> torchvision.models.ResNet:
    if not path.is_file():
        raise ConfigError(
            f"There is no weights file '{path}': set model.backbone.weights to 'imagenet', 'random' or an existing file."
        )
    net = _make(name, None)
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
        net.load_state_dict({key: value for key, value in state.items() if not key.startswith("fc.")}, strict=False)
        missing = set(net.state_dict()) - set(state) - {"fc.weight", "fc.bias"}
    except Exception as error:
        raise ConfigError(
            f"'{path}' does not hold a state dict of {name} ({' '.join(str(error).split())[:200]})."
        ) from error
    if missing:
        raise ConfigError(
            f"'{path}' does not hold all weights of {name}: {len(missing)} are missing, such as {min(missing)}."
        )
    return net


def _unstride(stage: Sequence[nn.Module]) -> None:
    """Stride 1 in a stage's first block: its strided convolution and its shortcut."""
    for module in stage[0].modules():
        if isinstance(module, nn.Conv2d) and module.stride == (2, 2):
            module.stride = (1, 1)
