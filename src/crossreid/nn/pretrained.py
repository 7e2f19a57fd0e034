"""Pretrained weights: found, checked, and put into the parts of torchvision ResNets that networks have."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple
from urllib.error import URLError

import torch
import torchvision
from torch import Tensor, nn

from crossreid.errors import ConfigError
from crossreid.nn.backbones import PretrainedParts, check_name
from crossreid.settings.networks import BackboneConfig

WRAPPERS = ("state_dict", "net", "model")
"""Keys under which training codes save a state dict beside other things."""

PREFIXES = ("module.", "backbone.", "model.", "encoder.")
"""What training codes put before a backbone's keys, one behind the other in any order."""

COUNTER = "num_batches_tracked"
"""Of a batch norm; older files do not have it."""


class Source(NamedTuple):
    """Weights of a backbone.

    Attributes:
        name: torchvision's name of the network.
        weights: ``imagenet``, or the path of a file.
    """

    name: str
    weights: str

    @property
    def label(self) -> str:
        """In a sentence."""
        if self.weights == "imagenet":
            return self.weights
        return f"'{self.weights}'"


def check_weights(config: BackboneConfig, place: str) -> None:
    """Say before anything expensive that a network or a weights file is not there; a download is not tried.

    Args:
        config: the backbone.
        place: of these settings, such as ``model.backbone``.

    Raises:
        ConfigError: torchvision has no such ResNet, or there is no such file.
    """
    check_name(config.name, place)
    if config.weights not in ("random", "imagenet") and not Path(config.weights).is_file():
        raise ConfigError(
            f"There is no weights file '{config.weights}': set {place}.weights to 'imagenet', 'random' or an existing file."
        )


def load_pretrained(module: nn.Module) -> list[str]:
    """Put the weights that their settings name into all backbones of a network.

    Args:
        module: with any number of :class:`PretrainedParts` inside; those whose settings say ``random`` stay as they are.

    Returns:
        A sentence for each backbone, such as ``resnet50 from imagenet: 318 of 318 tensors``.

    Raises:
        ConfigError: weights cannot be downloaded or read, or are those of another network.
    """
    networks: dict[Source, list[PretrainedParts]] = {}
    for network in module.modules():
        if isinstance(network, PretrainedParts) and network.backbone.weights != "random":
            check_weights(network.backbone, "model.backbone")
            source = Source(network.backbone.name, network.backbone.weights)
            networks.setdefault(source, []).append(network)
    return list(itertools.starmap(_load, networks.items()))


def _load(source: Source, networks: Sequence[PretrainedParts]) -> str:
    """Put one source's weights into all parts of the networks that use it."""
    parts: dict[str, list[nn.Module]] = {}
    for network in networks:
        for name, modules in network.pretrained_parts.items():
            parts.setdefault(name, []).extend(modules)
    reference = _reference(parts)
    state: Mapping[str, object]
    if source.weights == "imagenet":
        state = _download(source.name)
    else:
        state = _read_file(source, reference)
    matches = _matches(state, reference)
    _require_same_network(source, state, reference, matches)
    for name, modules in parts.items():
        part_state = _entries_under(f"{name}.", matches)
        for part in modules:
            part.load_state_dict(part_state, strict=False)  # a counter may be missing
    sentence = f"{source.name} from {source.label}: {len(matches)} of {len(reference)} tensors"
    if len(matches) < len(reference):
        sentence += ", all but the counters of batch norms"
    return sentence


def _entries_under(prefix: str, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The entries of a state dict whose keys start so, by the rest of their keys."""
    entries: dict[str, Tensor] = {}
    for key, value in state.items():
        if key.startswith(prefix):
            entries[key.removeprefix(prefix)] = value
    return entries


def _reference(parts: Mapping[str, Sequence[nn.Module]]) -> dict[str, Tensor]:
    """The network's own tensors by torchvision's names."""
    reference: dict[str, Tensor] = {}
    for name, modules in parts.items():
        for key, value in modules[0].state_dict().items():  # the others are copies
            reference[f"{name}.{key}"] = value
    return reference


def _matches(state: Mapping[str, object], reference: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Tensors of a state dict that fit the network by name and shape."""
    matches: dict[str, Tensor] = {}
    for key, value in state.items():
        if isinstance(value, Tensor) and key in reference and value.shape == reference[key].shape:
            matches[key] = value
    return matches


def _require_same_network(
    source: Source, state: Mapping[str, object], reference: Mapping[str, Tensor], matches: Mapping[str, Tensor]
) -> None:
    """Refuse weights that lack tensors, have some of another shape, or are of a network with more layers."""
    count = f"{len(matches)} of {len(reference)} tensors fit by name and shape"
    advice = "set model.backbone.name to the network that the weights are of"
    for key in reference:
        if key not in matches and not key.endswith(COUNTER):
            difference = _difference(key, state, reference)
            raise ConfigError(
                f"{source.label} does not hold all weights of {source.name}: {count}, {difference}; {advice}."
            )
    parts = {key.split(".")[0] for key in reference}
    for key in state:
        if key.split(".")[0] in parts and key not in reference:
            raise ConfigError(
                f"{source.label} does not hold the weights of {source.name} but of a network with more layers: {count}, "
                f"and there is {key} besides; {advice}."
            )


def _difference(key: str, state: Mapping[str, object], reference: Mapping[str, Tensor]) -> str:
    """Why a tensor does not match."""
    value = state.get(key)
    if not isinstance(value, Tensor):
        return f"{key} is missing"
    return f"{key} is {tuple(value.shape)} and not {tuple(reference[key].shape)}"


def _download(name: str) -> dict[str, Tensor]:
    """Torchvision's ImageNet weights, downloaded on first use."""
    weights = torchvision.models.get_model_weights(name)["IMAGENET1K_V1"]
    try:
        state: dict[str, Tensor] = weights.get_state_dict(progress=True, check_hash=True, weights_only=True)
    except (URLError, OSError, RuntimeError) as error:
        raise ConfigError(
            f"The ImageNet weights of {name} could not be downloaded ({_one_line(error)}): set "
            "model.backbone.weights to the path of a state-dict file, or to 'random'."
        ) from error
    return state


def _read_file(source: Source, reference: Mapping[str, Tensor]) -> dict[str, object]:
    """A file's entries by torchvision's names; where it holds several networks, those of the one that fits best."""
    try:
        content = torch.load(source.weights, map_location="cpu", weights_only=True)
    except Exception as error:  # a damaged file can fail in many ways
        raise ConfigError(
            f"{source.label} does not hold a state dict of {source.name} ({_one_line(error)})."
        ) from error
    networks: dict[str, dict[str, object]] = {}
    for key, value in _state_dict_in(content, source).items():
        bare = _without_prefixes(str(key))
        prefix = str(key).removesuffix(bare)
        networks.setdefault(prefix, {})[bare] = value
    return max(networks.values(), key=lambda state: len(_matches(state, reference)), default={})


def _state_dict_in(content: object, source: Source) -> Mapping[object, object]:
    """The state dict in what a training code has saved."""
    if not isinstance(content, Mapping):
        raise ConfigError(
            f"{source.label} does not hold a state dict of {source.name} (it is a {type(content).__name__})."
        )
    for wrapper in WRAPPERS:
        if isinstance(content.get(wrapper), Mapping):
            return _state_dict_in(content[wrapper], source)
    return content


def _without_prefixes(key: str) -> str:
    for prefix in PREFIXES:
        if key.startswith(prefix):
            return _without_prefixes(key.removeprefix(prefix))
    return key


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())[:200]
