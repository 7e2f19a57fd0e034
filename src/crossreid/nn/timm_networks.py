"""Networks of timm (Wightman: PyTorch Image Models, 2019) as image encoders: made, checked, and their maps.

timm makes positional embeddings for the size of images, cuts heads off and gives the last map; here is what it is asked for,
and what is said where it has no such thing. It is an extra, and imported where a name asks for it. Nothing here downloads.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from difflib import get_close_matches
from functools import cache
from types import ModuleType
from typing import Any, NamedTuple

import torch
import torchvision
from torch import Tensor, nn

from crossreid.errors import ConfigError, reason_of
from crossreid.settings.networks import BackboneConfig

RESNET_STAGES = ("layer1", "layer2", "layer3", "layer4")
BLOCK_MARK = "is_encoder_block"
"""Attribute of a block of a ResNet of timm: their classes are many."""
PLACE = "model.backbone"
"""Of a method's settings of its encoder."""


class Outline(NamedTuple):
    """What is known of a network for one size of images, without its weights.

    Attributes:
        channels: C of the last map.
        last_stride: of the last stage: 1 or 2; 1 where all blocks work at one resolution, as in a ViT.
        reduction: pixels of the image for one place of the map, along each side.
        resnet: stem and stages can be taken apart, as a ResNet's.
    """

    channels: int
    last_stride: int
    reduction: int
    resnet: bool


class MapNetwork(nn.Module):
    """Normalised images (B, 3, H, W) -> the last map (B, C, h, w) of a network of timm.

    Patch tokens of a transformer, behind its last norm, are laid out as a map; class and register tokens stay behind.

    Args:
        config: the network, the size of images and the stride of the last stage.
    """

    def __init__(self, config: BackboneConfig) -> None:
        super().__init__()
        self.network = make_network(config)

    def forward(self, images: Tensor) -> Tensor:
        """Normalised images (B, 3, H, W) -> (B, C, h, w)."""
        return last_map(self.network, images)

    def blocks(self) -> list[nn.Module]:
        """What activation checkpointing computes again one by one: a transformer's blocks, a convolutional network's stages."""
        names: list[str] = []
        for entry in feature_entries(self.network):
            name = str(entry["module"])
            inside_another = any(name == other or name.startswith(f"{other}.") for other in names)
            if not inside_another:  # or it would be computed again twice
                names.append(name)
        blocks: list[nn.Module] = []
        for name in names:
            module = self.network.get_submodule(name)
            if isinstance(module, nn.ModuleList):  # which is never called itself
                blocks += list(module)
            else:
                blocks.append(module)
        return blocks


def last_map(network: nn.Module, images: Tensor) -> Tensor:
    """The last map (B, C, h, w) of a network of timm, with the norm that stands behind its last block."""
    maps: list[Tensor] = network.forward_intermediates(  # type: ignore[operator]
        images, indices=1, norm=True, output_fmt="NCHW", intermediates_only=True
    )
    return maps[-1]


def feature_entries(network: nn.Module) -> list[dict[str, Any]]:
    """What timm says of each map that a network can give, from the first to the last."""
    information: Any = network.feature_info
    entries: list[dict[str, Any]] = getattr(information, "info", information)
    return entries


# ------------------------------------------------------------------ names


def of_torchvision(name: str) -> bool:
    """The name is that of one of torchvision's ResNets; all other names are timm's."""
    return name in torchvision_names()


@cache
def torchvision_names() -> tuple[str, ...]:
    """Torchvision's ResNets."""
    return tuple(torchvision.models.list_models(torchvision.models, include="resnet*"))


def timm(name: str, place: str = PLACE) -> ModuleType:
    """The package, for a network that it has.

    Args:
        name: such as ``vit_small_patch14_dinov2``, perhaps with the tag of its weights, ``.lvd142m``.
        place: of the settings that name it.

    Raises:
        ConfigError: the package is not installed, or has no such network.
    """
    ours = ", ".join(torchvision_names())
    try:
        import timm  # noqa: PLC0415 - it takes seconds, and most runs do without
    except ImportError as error:
        raise ConfigError(
            f"There is no backbone '{name}' among torchvision's {ours}, and timm, which has others, is not installed: set "
            f"{place}.name to one of these, or pip install 'crossreid[timm]'."
        ) from error
    architecture, _, tag = name.partition(".")
    if not timm.is_model(architecture):
        near = get_close_matches(architecture, timm.list_models(), n=3)
        models = f"timm's {', '.join(near)}" if near else "a model of timm, as timm.list_models() lists them"
        raise ConfigError(f"There is no backbone '{name}': set {place}.name to one of {ours}, or to {models}.")
    known = timm.models.get_arch_pretrained_cfgs(architecture)
    if tag and name not in known:
        raise ConfigError(
            f"timm has no weights '{tag}' of {architecture}: set {place}.name to {', '.join(known) or architecture}."
        )
    package: ModuleType = timm
    return package


def statistics(name: str) -> tuple[list[float], list[float]]:
    """Mean and standard deviation of the images that a network of timm was trained on, by channel, of images in [0, 1]."""
    facts = timm(name).get_pretrained_cfg(name)
    return list(facts.mean), list(facts.std)


# ------------------------------------------------------------------ networks


def make_network(config: BackboneConfig, place: str = PLACE) -> nn.Module:
    """A network of timm without its head, with random weights, for one size of images.

    Args:
        config: name, size of images, stride of the last stage.
        place: of these settings.

    Raises:
        ConfigError: timm has no such network, or it has no map, no such size or no such stride.
    """
    options = _options(config.name, (config.size[0], config.size[1]), config.last_stride, place)
    return _headless(config.name, options)


def outline_of(config: BackboneConfig, place: str = PLACE) -> Outline:
    """What is known of :func:`make_network`'s network; no weights are made. Raises as it does."""
    size = config.size[0], config.size[1]
    options = _options(config.name, size, config.last_stride, place)
    return _outline(config.name, size, options.get("output_stride"), place)


def _options(name: str, size: tuple[int, int], last_stride: int, place: str) -> dict[str, Any]:
    """What timm is asked for besides a name."""
    options = _sized(name, size, place)
    plain = _outline(name, size, None, place)
    if plain.last_stride == last_stride:
        return options
    other = f"set {place}.last_stride={plain.last_stride}"
    if last_stride == 2:
        raise ConfigError(
            f"{place}.last_stride=2: the last blocks of {name} work at the resolution of those before them, and cannot be "
            f"strided: {other}."
        )
    output_stride = plain.reduction // 2
    try:
        unstrided = _outline(name, size, output_stride, place)
    except ConfigError as error:
        raise ConfigError(
            f"{place}.last_stride=1: timm cannot take the stride out of the last stage of {name}: {other}."
        ) from error
    if unstrided.reduction != output_stride:
        raise ConfigError(
            f"{place}.last_stride=1: timm cannot take the stride out of the last stage of {name}: {other}."
        )
    return options | {"output_stride": output_stride}


@cache
def _outline(name: str, size: tuple[int, int], output_stride: int | None, place: str) -> Outline:
    """As :func:`outline_of`, for what timm itself calls the stride; found on the meta device, where nothing is computed."""
    options = _sized(name, size, place)
    if output_stride is not None:
        options["output_stride"] = output_stride
    try:
        with torch.device("meta"):
            network = _headless(name, options).eval()
            feature_map = last_map(network, torch.zeros(2, 3, *size))
    except Exception as error:  # networks of a hundred authors fail in many ways
        raise ConfigError(
            f"timm's {name} gives no feature map of images of {size[0]}x{size[1]} ({reason_of(error)}): set another "
            f"{place}.name or {place}.size."
        ) from error
    _require_whole_patches(network, name, size, place)
    reductions = [int(entry["reduction"]) for entry in feature_entries(network)]
    last_stride = 1
    if len(reductions) > 1:  # what the last stage divides the sides by
        last_stride = reductions[-1] // reductions[-2]
    return Outline(feature_map.shape[1], last_stride, reductions[-1], is_resnet(network))


def _sized(name: str, size: tuple[int, int], place: str) -> dict[str, Any]:
    """The size of images for a network that is made for one, nothing for a network that takes any."""
    if timm(name, place).get_pretrained_cfg(name).fixed_input_size:
        return {"img_size": size}
    return {}


def _headless(name: str, options: Mapping[str, Any]) -> nn.Module:
    with _quiet():
        network: nn.Module = timm(name).create_model(name, pretrained=False, num_classes=0, **options)
        # the norm behind the last block stays; pooling, its norm and the classifier go
        network.prune_intermediate_layers(1, prune_norm=False, prune_head=True)  # type: ignore[operator]
    return network


def _require_whole_patches(network: nn.Module, name: str, size: tuple[int, int], place: str) -> None:
    """Raise :class:`ConfigError` where pixels at the border would be in no patch."""
    patch = getattr(getattr(network, "patch_embed", None), "patch_size", None)
    if patch is None:
        return
    if isinstance(patch, int):
        patch = (patch, patch)
    height, width = patch
    if size[0] % height or size[1] % width:
        rows = max(1, round(size[0] / height))
        columns = max(1, round(size[1] / width))
        nearest = f"[{rows * height},{columns * width}]"
        raise ConfigError(
            f"{place}.size=[{size[0]},{size[1]}] is no multiple of the patches of {name}, {height}x{width} pixels, and what is "
            f"left over would not be looked at: set {place}.size={nearest}."
        )


@contextmanager
def _quiet() -> Iterator[None]:
    """Inside, timm does not warn of names that it has renamed."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


# ------------------------------------------------------------------ ResNets of timm


def is_resnet(network: nn.Module) -> bool:
    """A network of timm is a ResNet, of which many kinds differ in stem and blocks alone."""
    from timm.models.resnet import ResNet  # noqa: PLC0415

    return isinstance(network, ResNet)


def resnet_parts(network: nn.Module) -> dict[str, nn.Module]:
    """Stem and stages of a ResNet of timm by torchvision's names, in order; its blocks are marked as such."""
    parts: dict[str, nn.Module] = {}
    for name in ("conv1", "bn1", "act1", "maxpool", *RESNET_STAGES):
        parts[name] = network.get_submodule(name)
    # timm calls torchvision's `relu` act1; it stays in its place.
    named: dict[str, nn.Module] = {}
    for name, part in parts.items():
        torchvision_name = "relu" if name == "act1" else name
        named[torchvision_name] = part
    for stage in RESNET_STAGES:
        for block in named[stage].children():
            setattr(block, BLOCK_MARK, True)
    return named
