"""Pretrained weights: found, checked, and put into the parts of networks of torchvision and timm that methods have."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple
from urllib.error import URLError

import torchvision
from torch import Tensor, nn

from crossreid.errors import CheckpointError, ConfigError, reason_of
from crossreid.nn.backbones import PretrainedParts
from crossreid.nn.normalisation import AVERAGES
from crossreid.nn.timm_networks import PLACE, of_torchvision, outline_of
from crossreid.nn.timm_weights import download, has_weights, tagged
from crossreid.pickled import read_pickled
from crossreid.settings.networks import BackboneConfig

WRAPPERS = ("state_dict", "net", "model")
"""Keys under which training codes save a state dict beside other things."""

PREFIXES = ("module.", "backbone.", "model.", "encoder.")
"""What training codes put before a backbone's keys, one behind the other in any order."""

SAFETENSORS = ".safetensors"
"""Ending of files as timm's hub has them."""

COUNTER = "num_batches_tracked"
"""Of a batch norm; older files do not have it."""


IMAGENET = "imagenet"
"""Torchvision's weights, of its own networks alone."""
TIMM = "timm"
"""The weights that timm has for a name."""
PEOPLE = "people"
"""Weights that training makes itself, see :mod:`crossreid.training.people_weights`."""

PeopleWeights = Callable[[BackboneConfig], Path]
"""From a backbone's settings to the file of its weights from embedded people."""


class Source(NamedTuple):
    """Weights of a backbone.

    Attributes:
        name: the network, of torchvision or timm.
        weights: ``imagenet``, ``timm``, or the path of a file.
        origin: ``people`` where training made the file; empty elsewhere.
    """

    name: str
    weights: str
    origin: str = ""

    @property
    def label(self) -> str:
        """In a sentence."""
        if self.origin == PEOPLE:
            return f"embedded people ('{self.weights}')"
        if self.weights == IMAGENET:
            return self.weights
        if self.weights == TIMM:
            return f"timm ({tagged(self.name)})"
        return f"'{self.weights}'"


def check_backbone(config: BackboneConfig, place: str) -> None:
    """Say before anything expensive that a network or its weights are not there; a download is not tried.

    Args:
        config: the backbone.
        place: of these settings, such as ``model.backbone``.

    Raises:
        ConfigError: torchvision and timm have no such network, it cannot have such images or such a stride, or there are no
            such weights.
    """
    if of_torchvision(config.name):
        if config.weights == TIMM:
            raise ConfigError(
                f"{place}.weights=timm, and {config.name} is torchvision's: set {place}.weights=imagenet, or add a tag of timm "
                f"to {place}.name, such as resnet50.a1_in1k."
            )
    else:
        outline_of(config, place)
        _check_timm_weights(config, place)
    if config.weights not in ("random", IMAGENET, TIMM, PEOPLE) and not Path(config.weights).is_file():
        origin = IMAGENET if of_torchvision(config.name) else TIMM
        raise ConfigError(
            f"There is no weights file '{config.weights}': set {place}.weights to '{origin}', 'people', 'random' or an "
            "existing file."
        )


def _check_timm_weights(config: BackboneConfig, place: str) -> None:
    """Raise :class:`ConfigError` where weights that go by a word are not of such a network."""
    known = has_weights(config.name)
    ways = f"people, random or the path of a file of {config.name}"
    if config.weights == IMAGENET:
        if known:
            ways = f"timm (those of {tagged(config.name)}, downloaded on first use), {ways}"
        raise ConfigError(
            f"{place}.weights=imagenet are torchvision's, of its own ResNets, and {config.name} is timm's: set {place}.weights "
            f"to {ways}."
        )
    if config.weights == TIMM and not known:
        raise ConfigError(f"timm has no weights of {config.name}: set {place}.weights to {ways}.")


def load_pretrained(module: nn.Module, people: PeopleWeights | None = None) -> list[str]:
    """Put the weights that their settings name into all backbones of a network.

    Args:
        module: with any number of :class:`PretrainedParts` inside; those whose settings say ``random`` stay as they are.
        people: makes or finds the weights of settings that say ``people``.

    Returns:
        A sentence for each backbone, such as ``resnet50 from imagenet: 318 of 318 tensors``.

    Raises:
        ConfigError: weights cannot be downloaded or read, or are those of another network.
    """
    networks: dict[Source, list[PretrainedParts]] = {}
    for network in module.modules():
        # Parts of one network may lie in several modules (E_sl and E_il of JSIA-ReID): they are filled from one source.
        if isinstance(network, PretrainedParts) and network.backbone.weights != "random":
            check_backbone(network.backbone, PLACE)
            source = _source_of(network.backbone, people)
            networks.setdefault(source, []).append(network)
    return list(itertools.starmap(_load, networks.items()))


def _source_of(backbone: BackboneConfig, people: PeopleWeights | None) -> Source:
    if backbone.weights != PEOPLE:
        return Source(backbone.name, backbone.weights)
    if people is None:
        raise ConfigError(
            "model.backbone.weights=people is made by a run of crossreid.train: give the path of the file that one has made, "
            "below its data.cache."
        )
    return Source(backbone.name, str(people(backbone)), PEOPLE)


def _load(source: Source, networks: Sequence[PretrainedParts]) -> str:
    """Put one source's weights into all parts of the networks that use it."""
    parts: dict[str, list[nn.Module]] = {}
    for network in networks:
        for name, modules in network.pretrained_parts.items():
            parts.setdefault(name, []).extend(modules)
    reference = own_weights(parts)
    state = _state_of(source, reference, networks[0])
    matches = _matches(state, reference)
    # Before anything is loaded: half-filled networks would train without a word.
    _require_same_network(source, state, reference, matches)
    for name, modules in parts.items():
        part_state = _entries_under(_prefix(name), matches)
        for part in modules:
            part.load_state_dict(part_state, strict=False)  # a counter may be missing
    sentence = f"{source.name} from {source.label}: {len(matches)} of {len(reference)} tensors"
    if len(matches) < len(reference):
        sentence += ", all but the counters of batch norms"
    return sentence


def _state_of(source: Source, reference: Mapping[str, Tensor], network: PretrainedParts) -> Mapping[str, object]:
    """A source's entries by the network's names."""
    if source.weights == IMAGENET:
        return _download(source.name)
    if source.weights == TIMM:
        return network.by_own_names(download(source.name))
    return _read_file(source, reference, network)


def _prefix(part: str) -> str:
    """What stands before the names of a part's tensors; nothing for a whole network."""
    return f"{part}." if part else ""


def _entries_under(prefix: str, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The entries of a state dict whose keys start so, by the rest of their keys."""
    entries: dict[str, Tensor] = {}
    for key, value in state.items():
        if key.startswith(prefix):
            entries[key.removeprefix(prefix)] = value
    return entries


def own_weights(parts: Mapping[str, Sequence[nn.Module]]) -> dict[str, Tensor]:
    """The network's own tensors by the names that they have in torchvision or timm."""
    reference: dict[str, Tensor] = {}
    for name, modules in parts.items():
        for key, value in modules[0].state_dict().items():  # the others are copies
            if not key.endswith(tuple(AVERAGES.values())):  # filled from the first set
                reference[f"{_prefix(name)}{key}"] = value
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
    # Of parts that we have: a classifier's entries are no more layers.
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
            f"The ImageNet weights of {name} could not be downloaded ({reason_of(error)}): set "
            "model.backbone.weights to the path of a state-dict file, or to 'random'."
        ) from error
    return state


def _read_file(source: Source, reference: Mapping[str, Tensor], network: PretrainedParts) -> Mapping[str, object]:
    """A file's entries by the network's names; where it holds several networks, those of the one that fits best."""
    try:
        content = _content(source.weights)
    except ConfigError:
        raise
    except CheckpointError as error:
        raise ConfigError(f"{str(error)[:-1]}: it does not hold a state dict of {source.name}.") from error
    except Exception as error:  # a damaged .safetensors can fail in many ways
        raise ConfigError(
            f"{source.label} does not hold a state dict of {source.name} ({reason_of(error)})."
        ) from error
    # A training code may save a teacher or an average beside the network, under prefixes of their own.
    networks: dict[str, dict[str, object]] = {}
    for key, value in _state_dict_in(content, source).items():
        bare = _without_prefixes(str(key))
        prefix = str(key).removesuffix(bare)
        networks.setdefault(prefix, {})[bare] = value
    states = [network.by_own_names(state) for state in networks.values()]
    return max(states, key=lambda state: len(_matches(state, reference)), default={})


def _content(path: str) -> object:
    """What a file holds: tensors, and what training codes save beside them; no code of it is run."""
    if path.endswith(SAFETENSORS):
        if find_spec("safetensors") is None:
            raise ConfigError(f"'{path}' needs the package safetensors: pip install 'crossreid[timm]'.")
        from safetensors.torch import load_file  # noqa: PLC0415 - comes with timm

        return load_file(path)
    return read_pickled(Path(path))


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
