"""Settings and words as Hydra hands them to its plugins."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from omegaconf import OmegaConf


def plain_settings(settings: Mapping[str, Any]) -> dict[str, Any]:
    """A plugin's settings as Hydra gives them, with plain lists and dictionaries in the place of OmegaConf's."""
    plain = {}
    for name, value in settings.items():
        if OmegaConf.is_config(value):
            plain[name] = OmegaConf.to_container(value, resolve=True)
        else:
            plain[name] = value
    return plain


def assignments(values: Mapping[str, Any]) -> list[str]:
    """``KEY=VALUE`` for each, as it is typed on a command line."""
    return [f"{key}={value}" for key, value in values.items()]
