"""Settings that older runs and checkpoints hold, in the form of today. The files themselves are never changed.

Format 1 (before version 0.2) named a method by its import path, kept its name and preset among its settings, and counted
every phase and schedule in iterations.

Settings that did nothing in runs of either format, and are refused today, are left out: channel exchange beside
``exchanged_view=false``, a permutations file beside a seeded draw. DEEN's rows left losses out by their weights before they
were listed.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from crossreid.errors import ConfigError
from crossreid.settings.batches import ExchangeConfig
from crossreid.settings.registry import built_in_methods
from crossreid.settings.run import FORMAT, run_config_from_plain, without

_OF_EXCHANGE = {item.name for item in fields(ExchangeConfig)}
_TSGAN_PASSES = 120
_TSGAN_WARMUP = 10
_TSGAN_STEPS = [40, 70]
"""The paper's schedule, in passes."""


def current(config: Mapping[str, Any]) -> dict[str, Any]:
    """A run's settings in today's format, from whatever format they were kept in.

    Raises:
        ConfigError: they are of a newer version, or no settings of a run.
    """
    if not isinstance(config, Mapping):
        raise ConfigError("These are no settings of a run, which are a group of settings.")
    if isinstance(config.get("model"), Mapping):
        config = {**config, "model": _with_losses_of_deen(config, without_idle_exchange(config["model"]))}
    protocol = config.get("protocol")
    if isinstance(protocol, Mapping) and protocol.get("draw") == "seeded":
        config = {**config, "protocol": without(protocol, ("permutations",))}
    version = config.get("format", 1)
    if version == FORMAT:
        return _with_newer_settings(config)
    if version == 1:
        return _from_format_1(config)
    raise ConfigError(f"These settings were written by a newer version (format {version}; this one reads {FORMAT}).")


def without_idle_exchange(model: Mapping[str, Any]) -> dict[str, Any]:
    """A method's settings without those of an exchanged view that there is not; all others as they are."""
    exchange = model.get("exchange")
    if model.get("exchanged_view") is False and isinstance(exchange, Mapping) and set(exchange) <= _OF_EXCHANGE:
        return without(model, ("exchange",))
    return dict(model)


def _with_losses_of_deen(config: Mapping[str, Any], model: dict[str, Any]) -> dict[str, Any]:
    """DEEN's settings with the losses that had a weight, where they are not listed yet; the others' weights are the paper's."""
    choices = config.get("choices")
    is_deen = isinstance(choices, Mapping) and choices.get("method") == "deen"
    if not is_deen or "losses" in model:
        return model
    weights = {"cpm": "w_cpm", "orthogonal": "w_orthogonal"}
    listed = [name for name, weight in weights.items() if model.get(weight) != 0]
    idle = [weight for name, weight in weights.items() if name not in listed]
    return {**without(model, tuple(idle)), "losses": listed}


def _with_newer_settings(config: Mapping[str, Any]) -> dict[str, Any]:
    """Settings of this format with the defaults of those that came since; of a method that is not known here, as they are."""
    try:
        return run_config_from_plain(config).to_plain()
    except (ConfigError, KeyError, TypeError, AttributeError):
        return dict(config)


def _from_format_1(config: Mapping[str, Any]) -> dict[str, Any]:
    try:
        model = dict(config["model"])
        method = _method_of(model)
        data = dict(config["data"])
        protocol = dict(config["protocol"])
        choices = {
            "method": method,
            "data": data.pop("name"),
            "protocol": protocol.pop("name"),
            "row": _row_of(str(config["name"])),
            "preset": model.pop("preset", None),
            "scale": (config.get("scale") or {}).get("name"),
            "people": (config.get("people") or {}).get("name"),
        }
    except (KeyError, TypeError, AttributeError) as error:
        raise ConfigError(f"These are no settings of a run: {error} is missing.") from error
    if not str(choices["data"]).startswith("synthetic"):
        choices["people"] = None  # it stood there, and played no part
    model.pop("name", None)
    model.pop("_target_", None)
    settings = {
        **without(config, ("people", "scale", "preset")),
        "format": FORMAT,
        "choices": choices,
        "model": _METHODS.get(method, _without_phases)(model),
        "data": data,
        "protocol": protocol,
    }
    return run_config_from_plain(settings).to_plain()  # with the defaults of settings that came since


def _method_of(model: Mapping[str, Any]) -> str:
    """The registered name of the method whose import path old settings hold."""
    target = str(model["_target_"])
    parts = target.split(".")
    if parts[:2] == ["crossreid", "methods"] and len(parts) > 2 and parts[2] in built_in_methods():
        return parts[2]
    raise ConfigError(f"The settings name a method '{target}' that is none of this package.")


def _row_of(name: str) -> str | None:
    """The row that a run's name says it was; a name without a slash was the method's own."""
    if "/" in name and " " not in name:
        return name
    return None


def _as_it_is(model: dict[str, Any]) -> dict[str, Any]:
    """Methods that count in iterations still do."""
    return model


def _without_phases(model: dict[str, Any]) -> dict[str, Any]:
    """One phase of epochs x iterations_per_epoch: it follows from the two."""
    model.pop("phases", None)
    return model


def _cmssft(model: dict[str, Any]) -> dict[str, Any]:
    """Length and cuts in epochs."""
    epoch = model["iterations_per_epoch"]
    iterations = model.pop("phases")["joint"]
    model["epochs"] = iterations // epoch
    decay = dict(model["decay"])
    decay["after"] = [_whole(iteration / epoch) for iteration in decay["after"]]
    model["decay"] = decay
    return model


def _tsgan(model: dict[str, Any]) -> dict[str, Any]:
    """Lengths in epochs, schedules in passes of their phase."""
    epoch = model["iterations_per_epoch"]
    phases = model.pop("phases")
    model["epochs"] = {}
    for name, length in phases.items():
        model["epochs"][name] = _whole(length / epoch)
    model["schedule"] = _passes(model["schedule"], phases["joint"])
    model["teacher_schedule"] = _passes(model["teacher_schedule"], phases["teacher"])
    return model


def _whole(number: float) -> float:
    """A whole number as an integer; any other as it is."""
    if number == int(number):
        return int(number)
    return number


def _passes(schedule: Mapping[str, Any], length: int) -> dict[str, Any]:
    """A schedule counted in the paper's 120 passes where it is the paper's, else in as many as there are iterations."""
    pass_length = length / _TSGAN_PASSES
    warmup_of_paper = _TSGAN_WARMUP * pass_length
    steps_of_paper = [step * pass_length for step in _TSGAN_STEPS]
    if schedule["warmup"] == warmup_of_paper and list(schedule["steps"]) == steps_of_paper:
        return {**schedule, "passes": _TSGAN_PASSES, "warmup": _TSGAN_WARMUP, "steps": list(_TSGAN_STEPS)}
    return {**schedule, "passes": max(1, length)}


_METHODS = {
    "aligngan": _as_it_is,
    "baseline": _as_it_is,
    "jsia": _as_it_is,
    "hog": _without_phases,
    "cmssft": _cmssft,
    "tsgan": _tsgan,
}
"""Method -> how its settings were converted; all others lost their phases."""


def fingerprint_of_format_1(config: Mapping[str, Any]) -> str:
    """The digest that runs of format 1 kept of their settings."""
    outside = ("resume", "run_dir", "output_root", "overwrite", "existing", "logger", "report", "protocol")
    trainer_outside = ("progress", "checkpoint_every", "pictures_every", "time_budget")
    identity = without(config, outside)
    identity["trainer"] = without(config["trainer"], trainer_outside)
    identity["data"] = without(config["data"], ("root", "cache", "evaluation_batch"))
    return hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()[:16]
