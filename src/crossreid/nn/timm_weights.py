"""Weights of timm's networks: whether there are any, their download, and files of other codes by timm's names."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Mapping
from typing import Any

import torch
from torch import nn

from crossreid.errors import ConfigError, reason_of
from crossreid.nn.timm_networks import timm

_FILTERS = ("checkpoint_filter_fn", "_filter_fn", "pretrained_filter_fn", "_filter_torchvision_pretrained")
"""What a module of timm calls the function that brings files of other codes, and of other image sizes, to its own names."""


def has_weights(name: str) -> bool:
    """timm knows where weights of the name and its tag can be had."""
    return bool(timm(name).models.is_model_pretrained(name))


def tagged(name: str) -> str:
    """The name with the tag of the weights that timm takes for it."""
    facts = timm(name).get_pretrained_cfg(name)
    return f"{facts.architecture}.{facts.tag}" if facts.tag else str(facts.architecture)


def download(name: str) -> Mapping[str, Any]:
    """The weights that timm has for a name and its tag, downloaded on first use.

    Raises:
        ConfigError: they could not be had.
    """
    models = timm(name).models
    facts = models.get_pretrained_cfg(name)
    try:
        if facts.hf_hub_id and facts.hf_hub_filename:
            state = models.load_state_dict_from_hf(facts.hf_hub_id, facts.hf_hub_filename, weights_only=True)
        elif facts.hf_hub_id:
            state = models.load_state_dict_from_hf(facts.hf_hub_id, weights_only=True)
        else:
            state = torch.hub.load_state_dict_from_url(
                facts.url, map_location="cpu", check_hash=True, weights_only=True
            )
    except Exception as error:  # of the hub's client, of the network, of the disk
        raise ConfigError(
            f"The weights of {tagged(name)} could not be downloaded ({reason_of(error)}): set model.backbone.weights to "
            "the path of a file, or to 'random'."
        ) from error
    weights: Mapping[str, Any] = state
    return weights


def by_names_of(network: nn.Module, name: str, state: Mapping[str, Any]) -> Mapping[str, Any]:
    """A file's entries by the names and for the image size of a network, as timm itself brings them there.

    Args:
        network: of timm.
        name: its name.
        state: as a file has it: timm's own names, or those of the authors, such as OpenAI's of CLIP or Meta's of DINOv2.

    Returns:
        The entries; what timm can make nothing of stays as it is.
    """
    module = sys.modules[timm(name).model_entrypoint(name).__module__]
    for candidate in _FILTERS:
        convert = getattr(module, candidate, None)
        if convert is None:
            continue
        options: dict[str, Any] = {}
        if module.__name__.endswith(".deit") and "adapt_layer_scale" in inspect.signature(convert).parameters:
            options["adapt_layer_scale"] = True  # names of DeiT-III's own files
        try:
            converted: Mapping[str, Any] = convert(dict(state), network, **options)
        except Exception:  # it is another network's, which the check of names and shapes says
            return state
        return converted
    return state
