"""Image encoders with random weights: ResNets of torchvision and timm, which can be taken apart, and timm's other networks.

Pretrained weights are put in by :mod:`crossreid.nn.pretrained`, never by a constructor.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
import torchvision
from torch import Tensor, nn

from crossreid.errors import ConfigError
from crossreid.nn.timm_networks import (
    PLACE,
    MapNetwork,
    make_network,
    of_torchvision,
    outline_of,
    resnet_parts,
    statistics,
    torchvision_names,
)
from crossreid.nn.timm_weights import by_names_of
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
    """Images (B, 3, h, w) in [0, 1] -> (B, 3, H, W), resized bilinearly and normalised.

    Args:
        size: H and W in pixels.
        mean: of each channel; ImageNet's by default.
        std: likewise, the standard deviation.
    """

    mean: Tensor
    std: Tensor

    def __init__(
        self, size: tuple[int, int], mean: Sequence[float] = IMAGENET_MEAN, std: Sequence[float] = IMAGENET_STD
    ) -> None:
        super().__init__()
        self.size = size
        # Not in state dicts: they follow from the network's name.
        self.register_buffer("mean", torch.tensor(mean).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(std).view(1, 3, 1, 1), persistent=False)

    def forward(self, images: Tensor) -> Tensor:
        """Images (B, 3, h, w) in [0, 1] -> (B, 3, H, W), some -2 to 3."""
        # Before normalising, and differentiable: generators are trained through it.
        if images.shape[-2:] != self.size:
            images = F.interpolate(images, size=self.size, mode="bilinear", align_corners=False)
        return (images - self.mean) / self.std


class PretrainedParts(nn.Module):
    """A network with parts of a pretrained one, for :func:`crossreid.nn.pretrained.load_pretrained`.

    Attributes:
        backbone: which network, and where its weights come from.
        pretrained_parts: a part's name in torchvision or timm, such as ``layer1``, or empty for the whole -> all modules of
            this network that are that part (two for a layer with a copy for each modality). The modules are registered
            elsewhere; a copy of the network holds copies of them here too.
    """

    backbone: BackboneConfig
    pretrained_parts: dict[str, list[nn.Module]]

    def by_own_names(self, state: Mapping[str, Any]) -> Mapping[str, Any]:
        """A file's entries by the names and for the image size of this network; as they are where no others are known."""
        return state


class Encoder(PretrainedParts):
    """Images (B, 3, h, w) in [0, 1] -> the last map (B, C, H', W'). Resizes to ``config.size`` and normalises inside.

    Attributes:
        channels: C.
        prepare: resizes and normalises.
        body: the rest: (B, 3, H, W) -> the map.
    """

    channels: int
    prepare: ImageInput
    body: nn.Module

    def forward(self, images: Tensor) -> Tensor:
        """Images (B, 3, h, w) in [0, 1] -> map (B, C, H', W')."""
        feature_map: Tensor = self.body(self.prepare(images))
        return feature_map


class ResNetEncoder(Encoder):
    """(B, 3, h, w) in [0, 1] -> stage-4 feature map (B, C, H/16, W/16), not negative (AlignGAN, sec. 4.2: the map M).

    Attributes:
        channels: C, 512 for ResNet-18 and -34, 2048 for ResNet-50 and deeper.
        body: the parts of :data:`BODY`, in order.

    Raises:
        ConfigError: there is no such network, or it is no ResNet.
    """

    body: nn.Sequential

    def __init__(self, config: BackboneConfig) -> None:
        super().__init__()
        resnet = make_resnet(config)
        self.channels = resnet.channels
        self.prepare = resnet.prepare
        self.body = nn.Sequential(*resnet.parts.values())
        self.backbone = config
        self.pretrained_parts = gather_parts(resnet.parts.items())


class TimmEncoder(Encoder):
    """(B, 3, h, w) in [0, 1] -> the last map of any network of timm; its statistics normalise.

    Raises:
        ConfigError: timm has no such network, or it has no map, no such size or no such stride.
    """

    body: MapNetwork

    def __init__(self, config: BackboneConfig) -> None:
        super().__init__()
        self.channels = outline_of(config).channels
        self.prepare = ImageInput((config.size[0], config.size[1]), *statistics(config.name))
        self.body = MapNetwork(config)
        self.backbone = config
        self.pretrained_parts = {"": [self.body.network]}

    def by_own_names(self, state: Mapping[str, Any]) -> Mapping[str, Any]:
        """As timm itself brings files there; positional embeddings are resized."""
        return by_names_of(self.body.network, self.backbone.name, state)


def make_encoder(config: BackboneConfig) -> Encoder:
    """The encoder that settings name.

    Raises:
        ConfigError: there is no such network, or it cannot be as they say.
    """
    if of_torchvision(config.name) or outline_of(config).resnet:
        return ResNetEncoder(config)
    return TimmEncoder(config)


def pool(feature_map: Tensor) -> Tensor:
    """Global average pooling, (B, C, h, w) -> (B, C)."""
    return feature_map.mean(dim=(2, 3))


class ResNetParts(NamedTuple):
    """A ResNet of torchvision or timm, taken apart.

    Attributes:
        parts: by the names of :data:`BODY`, in order.
        channels: C of the last stage's map.
        prepare: resizes and normalises images as the network wants them.
    """

    parts: dict[str, nn.Module]
    channels: int
    prepare: ImageInput


def make_resnet(config: BackboneConfig) -> ResNetParts:
    """The ResNet that the settings name, with random weights and the stride of its last stage.

    In torchvision's the stride goes and nothing else changes, as in re-ID codes. In timm's the last stage is then dilated, so
    that each convolution looks at what it looked at in pre-training.

    Raises:
        ConfigError: there is no such network, or it is no ResNet.
    """
    size = config.size[0], config.size[1]
    if not of_torchvision(config.name):
        check_resnet(config, "This method copies an encoder's stem or reads its stages")
        network = make_network(config)
        prepare = ImageInput(size, *statistics(config.name))
        return ResNetParts(resnet_parts(network), outline_of(config).channels, prepare)
    # Random weights whatever the settings say: a constructor never downloads.
    net = torchvision.models.get_model(config.name, weights=None)
    assert isinstance(net, torchvision.models.ResNet)
    if config.last_stride == 1:
        _unstride(net.layer4)
    parts = {name: net.get_submodule(name) for name in BODY}
    return ResNetParts(parts, int(net.fc.in_features), ImageInput(size))


def check_resnet(config: BackboneConfig, reason: str, place: str = PLACE) -> None:
    """Raise :class:`ConfigError` where an encoder is no ResNet.

    Args:
        config: the encoder.
        reason: why a ResNet is needed, as a clause.
        place: of these settings.
    """
    if of_torchvision(config.name) or outline_of(config, place).resnet:
        return
    raise ConfigError(
        f"{reason} and takes a ResNet alone: set {place}.name to one of torchvision ({', '.join(torchvision_names())}) or of "
        f"timm, such as resnet50d or seresnext50_32x4d, not to {config.name}."
    )


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


def _unstride(stage: Sequence[nn.Module]) -> None:
    """Stride 1 in a stage's first block: its strided convolution and its shortcut."""
    # which convolution is strided differs: the first in ResNet-18 and -34, the 3x3 one in deeper networks
    for module in stage[0].modules():
        if isinstance(module, nn.Conv2d) and module.stride == (2, 2):
            module.stride = (1, 1)
