"""Image encoders: torchvision ResNets that keep their last stage at stride 1, with random weights.

Pretrained weights are put in by :mod:`crossreid.nn.pretrained`, never by a constructor.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import torch
import torch.nn.functional as F
import torchvision
from torch import Tensor, nn

from crossreid.errors import ConfigError
from crossreid.settings.networks import BackboneConfig

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)

ERASED = (0.4914, 0.4822, 0.4465)
"""What random erasing fills with in normalised images (Luo et al., CVPR Workshops 2019, and all that followed)."""

BODY = ("conv1", "bn1", "relu", "maxpool", "layer1", "layer2", "layer3", "layer4")
"""Torchvision's names of a ResNet's parts before the pooling, in order."""


def erasing_fill(normalised: tuple[float, float, float] = ERASED) -> Tensor:
    """(3,) in [0, 1]: the fill of random erasing, for images that are not normalised yet.

    Args:
        normalised: what it is in images that are.
    """
    return torch.tensor(IMAGENET_MEAN) + torch.tensor(IMAGENET_STD) * torch.tensor(normalised)


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


class PretrainedParts(nn.Module):
    """A network with parts of a torchvision ResNet, for :func:`crossreid.nn.pretrained.load_pretrained`.

    Attributes:
        backbone: which ResNet, and where its weights come from.
        pretrained_parts: torchvision's name of a part, such as ``layer1`` -> all modules of this network that are that part
            (two for a layer with a copy for each modality). The modules are registered elsewhere; a copy of the network
            holds copies of them here too.
    """

    backbone: BackboneConfig
    pretrained_parts: dict[str, list[nn.Module]]


class ResNetEncoder(PretrainedParts):
    """(B, 3, h, w) in [0, 1] -> stage-4 feature map (B, C, H/16, W/16), not negative.

    Resizes bilinearly to ``config.size`` and normalises by ImageNet statistics inside (AlignGAN, sec. 4.2: the map M).

    Attributes:
        channels: C, 512 for ResNet-18 and -34, 2048 for ResNet-50 and deeper.

    Raises:
        ConfigError: there is no such network.
    """

    def __init__(self, config: BackboneConfig) -> None:
        super().__init__()
        net = make_resnet(config)
        self.channels = int(net.fc.in_features)
        self.prepare = ImageInput((config.size[0], config.size[1]))
        self.body = nn.Sequential(*map(net.get_submodule, BODY))
        self.backbone = config
        self.pretrained_parts = gather_parts(zip(BODY, self.body, strict=True))

    def forward(self, images: Tensor) -> Tensor:
        """Images (B, 3, h, w) in [0, 1] -> map (B, C, H/16, W/16)."""
        feature_map: Tensor = self.body(self.prepare(images))
        return feature_map


def pool(feature_map: Tensor) -> Tensor:
    """Global average pooling, (B, C, h, w) -> (B, C)."""
    return feature_map.mean(dim=(2, 3))


def make_resnet(config: BackboneConfig) -> torchvision.models.ResNet:
    """The torchvision network that the settings name, with random weights and the stride of its last stage.

    Raises:
        ConfigError: there is no such network.
    """
    check_name(config.name, "model.backbone")
    net = torchvision.models.get_model(config.name, weights=None)
    assert isinstance(net, torchvision.models.ResNet)
    if config.last_stride == 1:
        _unstride(net.layer4)
    return net


def gather_parts(*stretches: Iterable[tuple[str, nn.Module]]) -> dict[str, list[nn.Module]]:
    """:attr:`PretrainedParts.pretrained_parts` from (torchvision's name, module); what has no weights is left out.

    Args:
        stretches: parts of the network in any order; a name may come more than once.
    """
    parts: dict[str, list[nn.Module]] = {}
    for stretch in stretches:
        for name, module in stretch:
            if module.state_dict():
                parts.setdefault(name, []).append(module)
    return parts


def check_name(name: str, place: str) -> None:
    """Raise :class:`ConfigError` where torchvision has no such ResNet; ``place`` is that of the backbone's settings."""
    names = torchvision.models.list_models(torchvision.models, include="resnet*")
    if name not in names:
        raise ConfigError(f"There is no backbone '{name}': set {place}.name to one of {', '.join(names)}.")


def _unstride(stage: Sequence[nn.Module]) -> None:
    """Stride 1 in a stage's first block: its strided convolution and its shortcut."""
    # which convolution is strided differs: the first in ResNet-18 and -34, the 3x3 one in deeper networks
    for module in stage[0].modules():
        if isinstance(module, nn.Conv2d) and module.stride == (2, 2):
            module.stride = (1, 1)
