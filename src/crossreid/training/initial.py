"""Fine-tuning: a training that starts from the weights of another run, with new heads for its own persons."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from crossreid.errors import ConfigError
from crossreid.methods.base import CrossModalityModule
from crossreid.randomness import torch_generator
from crossreid.runs.folder import first_three
from crossreid.settings.registry import method_class
from crossreid.settings.run import differences
from crossreid.training.checkpoints import read_checkpoint
from crossreid.training.loading import checkpoint_at, method_from

_TOLERANCE = 1e-4
"""Of an embedding's entries, by which two networks of the same weights count as the same."""
_SHOWN = 3


@dataclass(frozen=True)
class InitialWeights:
    """Where a training's first weights come from.

    Attributes:
        checkpoint: the file.
        sha256: of the file.
        iteration: of the training that wrote it.
        loaded: number of weights (tensors) that were taken.
        new: names of those whose size depends on the persons, which keep their random values.
    """

    checkpoint: Path
    sha256: str
    iteration: int
    loaded: int
    new: tuple[str, ...]

    def sentences(self) -> list[str]:
        """What to say of it."""
        said = [f"{self.loaded} weights of '{self.checkpoint}' (iteration {self.iteration}); optimizers are new."]
        if self.new:
            names = ", ".join(self.new[:_SHOWN])
            if len(self.new) > _SHOWN:
                names += f" and {len(self.new) - _SHOWN} more"
            said.append(f"New for these persons: {names}.")
        return said

    def facts(self) -> dict[str, Any]:
        """For run.json."""
        return {
            "checkpoint": str(self.checkpoint),
            "sha256": self.sha256,
            "iteration": self.iteration,
            "loaded": self.loaded,
            "new": list(self.new),
        }


def start_from(module: CrossModalityModule[Any], place: str) -> InitialWeights:
    """Put the weights of another run into a new method, all but those whose size depends on the persons.

    Buffers that a method itself holds, outside its networks, are the bookkeeping of a training, and start anew.

    Args:
        module: the method with random weights, on the CPU.
        place: a run folder or checkpoint of the same method and the same network.

    Raises:
        CheckpointError: there is none, or it is damaged.
        ConfigError: it is of another method or another network.
    """
    path = checkpoint_at(place)
    checkpoint = read_checkpoint(path)
    source = method_from(checkpoint, path)
    if source.config.name != module.config.name:
        raise ConfigError(
            f"init='{place}' was trained by {source.config.name}, and this run trains {module.config.name}: say "
            f"model={source.config.name} and the settings of its network."
        )
    if not module.config.trains:
        raise ConfigError(f"{module.config.name} trains nothing: leave init out.")
    heads = weights_of_persons(module)
    _check_layers(source, module, heads, place)
    left_out = heads | bookkeeping(module)
    kept = {name: weight for name, weight in source.state_dict().items() if name not in left_out}
    module.load_state_dict(kept, strict=False)  # what it lacks is left out, which was checked
    _check_function(source, module, place)
    with path.open("rb") as stream:
        digest = hashlib.file_digest(stream, "sha256").hexdigest()
    return InitialWeights(path, digest, source.iteration, len(kept), tuple(sorted(heads)))


def weights_of_persons(module: CrossModalityModule[Any]) -> set[str]:
    """Names of the weights and buffers whose size depends on the number of training persons."""
    here = _shapes(module, module.num_identities)
    there = _shapes(module, module.num_identities + 1)
    return {name for name in here.keys() | there.keys() if here.get(name) != there.get(name)}


def _shapes(module: CrossModalityModule[Any], persons: int) -> dict[str, torch.Size]:
    """Name -> shape of the weights and buffers of such a method for so many persons."""
    with torch.device("meta"):  # shapes alone
        outline: CrossModalityModule[Any] = method_class(module.config)(module.config, persons, 0)
    return {name: weight.shape for name, weight in outline.state_dict().items()}


def bookkeeping(module: CrossModalityModule[Any]) -> set[str]:
    """Names of what a method notes of its own training, such as sums of losses: its buffers outside its networks."""
    return {name for name, _ in module.named_buffers(recurse=False)}


def _check_layers(
    source: CrossModalityModule[Any], module: CrossModalityModule[Any], heads: set[str], place: str
) -> None:
    """Both have the same layers and weights, but for heads."""
    there = source.state_dict()
    here = module.state_dict()
    for name in sorted(there.keys() | here.keys()):
        if name not in heads and _shape(there, name) != _shape(here, name):
            raise ConfigError(
                f"init='{place}' has another network than this run ({name} is {_shape(there, name)} there and "
                f"{_shape(here, name)} here{_settings_that_differ(source, module)}): say the settings that it was trained with."
            )
    # weights say nothing of a stride or a padding: layers are compared by what they print
    of_heads = {name.rpartition(".")[0] for name in heads}
    layers_here = dict(module.named_modules())
    for name, layer in source.named_modules():
        leaf = not list(layer.children())
        other = layers_here.get(name)
        if leaf and name not in of_heads and repr(layer) != repr(other):
            raise ConfigError(
                f"init='{place}' has another network than this run ({name} is {_in_words(layer)} there and {_in_words(other)} "
                f"here{_settings_that_differ(source, module)}): say the settings that it was trained with."
            )


def _check_function(source: CrossModalityModule[Any], module: CrossModalityModule[Any], place: str) -> None:
    """With the same weights both embed two images alike: nothing between the layers differs."""
    generator = torch_generator(0, "images that two networks are compared by", 0, 0)
    images = torch.rand((2, 3, *module.config.streams["identity"].size), generator=generator)
    training = module.training
    module.eval()
    with torch.inference_mode():
        for modality in ("visible", "infrared"):
            there = source.embed(images, modality)["main"]
            here = module.embed(images, modality)["main"]
            if there.shape != here.shape or float((there - here).abs().max()) > _TOLERANCE:
                raise ConfigError(
                    f"init='{place}' embeds images otherwise than this run with the same weights"
                    f"{_settings_that_differ(source, module)}: say the settings that it was trained with."
                )
    module.train(training)


def _settings_that_differ(source: CrossModalityModule[Any], module: CrossModalityModule[Any]) -> str:
    """The method's settings that differ, some of which make the difference."""
    unlike = differences({"model": module.config.plain()}, {"model": source.config.plain()})
    if not unlike:
        return ""
    return f"; {first_three(unlike)}"


def _shape(weights: Mapping[str, Tensor], name: str) -> str:
    """Such as 64x3x7x7."""
    if name not in weights:
        return "not there"
    return "x".join(map(str, weights[name].shape)) or "a number"


def _in_words(layer: nn.Module | None) -> str:
    if layer is None:
        return "not there"
    return " ".join(repr(layer).split())[:80]
