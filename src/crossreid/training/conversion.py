"""Checkpoints of older versions, in the form of today; the files themselves are never changed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from crossreid.settings.conversion import current, without_idle_exchange
from crossreid.settings.run import FORMAT

RENAMED_IN_FORMAT_2 = {"judge_": "discriminator_"}
"""Beginning of a network's name in a state dict -> what it is called today."""


def current_checkpoint(checkpoint: dict[str, Any]) -> dict[str, Any]:
    """A checkpoint as today's methods write it; one that is not crossreid's is left as it is.

    Settings are converted, and those that came since have their defaults. Weights of format 1 are renamed by
    :data:`RENAMED_IN_FORMAT_2`; optimizers keep their places, since their order and that of their parameters are the same.

    Raises:
        ConfigError: its settings are of a newer version.
    """
    ours = checkpoint.get("crossreid")
    if not isinstance(ours, Mapping):
        return checkpoint
    if not isinstance(ours.get("config"), Mapping):  # of a plain trainer
        if not isinstance(ours.get("model"), Mapping):
            return checkpoint
        return {**checkpoint, "crossreid": {**ours, "model": without_idle_exchange(ours["model"])}}
    config = current(ours["config"])
    if ours.get("format", 1) == FORMAT:
        kept = {**ours, "config": config}
        if "model" in ours:  # filled by itself: whether it agrees with the run's settings is checked later
            kept["model"] = current({**ours["config"], "model": ours["model"]})["model"]
        return {**checkpoint, "crossreid": kept}
    weights = {current_name(name): tensor for name, tensor in checkpoint["state_dict"].items()}
    kept = {
        **ours,
        "format": FORMAT,
        "method": config["choices"]["method"],
        "model": config["model"],
        "config": config,
    }
    return {**checkpoint, "state_dict": weights, "crossreid": kept}


def current_name(name: str) -> str:
    """A weight's name today."""
    for old, new in RENAMED_IN_FORMAT_2.items():
        if name.startswith(old):
            return new + name.removeprefix(old)
    return name
