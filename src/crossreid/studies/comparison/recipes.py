"""What must be known of how a number came about before it is compared with another one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from crossreid.errors import ConfigError
from crossreid.evaluation.scorers import PLAIN
from crossreid.runs.reading import Run
from crossreid.settings.registry import method_class, method_settings

UNKNOWN = "not recorded"
INFERENCE = ("flip", "re-ranked", "transductive")
"""Columns of how an image is looked for."""
TRAINING = (
    "image size",
    "backbone",
    "last stride",
    "pooling",
    "test norm",
    "augmentation",
    "training ids",
    "iterations",
    "training seconds",
)
"""Columns of how the network came about."""
_SCORERS = {
    PLAIN: {"re-ranked": "no", "transductive": "no"},
    "re-ranked": {"re-ranked": "yes", "transductive": "yes"},  # neighbours are looked for among all probes
    "transductive": {"re-ranked": "no", "transductive": "yes"},
    "single query": {"re-ranked": "no", "transductive": "single query"},
}
"""Label of inference -> columns."""


def inference_recipe(config: Mapping[str, Any], inference: str) -> dict[str, str]:
    """The columns :data:`INFERENCE`; what the scorer looked at comes from its label alone."""
    flip = "no"
    if config["model"].get("flip_test"):
        flip = "yes"
    scorer = _SCORERS.get(inference)
    if scorer is None:  # undeclared, or a new kind: it stands there as it is
        label = f"? ({inference.strip() or 'undeclared'})"
        scorer = {"re-ranked": label, "transductive": label}
    return {"flip": flip, **scorer}


def training_recipe(runs: Sequence[Run]) -> dict[str, str]:
    """The columns :data:`TRAINING` of the runs of one row, which have all settings but the seed in common."""
    config = runs[0].config
    model = config["model"]
    iterations = _recorded(runs, "iterations")
    identities = _recorded(runs, "training_identities")
    if iterations == "0":
        identities = "0"
    # Methods have one of these two settings, or neither.
    test_norm = str(model.get("test_norm") or model.get("norms") or "-")
    columns = {
        "pooling": pooling(config),
        "test norm": test_norm.replace("_", " "),
        "augmentation": augmentation(model),
        "training ids": f"{identities}, {config['selection']['name']} weights",
        "iterations": iterations,
        "training seconds": _mean_seconds(runs),
    }
    return _network(model) | columns


def pooling(config: Mapping[str, Any]) -> str:
    """How the method's retrieval feature is pooled: by its setting ``pooling``, if it has one, or by its class."""
    model = config["model"]
    if "pooling" in model:
        return str(model["pooling"])
    try:
        settings = method_settings(config["choices"]["method"])
        return str(method_class(settings).pooling)
    except ConfigError:  # a method that is not installed here
        return UNKNOWN


def augmentation(model: Mapping[str, Any]) -> str:
    """Mirroring, greying, crops, erasing and exchanged channels of training images; ``none`` for none of them."""
    erasing = model.get("erasing")
    if isinstance(erasing, Mapping):
        erasing = erasing.get("probability")
    amounts = {
        "flip": model.get("flip"),
        "grey": model.get("grey"),
        "crop": model.get("crop_padding"),
        "erasing": erasing,
        "channel exchange": model.get("channel_exchange"),
    }
    parts = []
    for name, amount in amounts.items():
        if amount:
            parts.append(f"{name} {amount}")
    if model.get("exchanged_view"):
        parts.append("exchanged view")
    return ", ".join(parts) or "none"


def _network(model: Mapping[str, Any]) -> dict[str, str]:
    """Image size, backbone and last stride."""
    stream = model["streams"]["identity"]
    backbone = model.get("backbone")
    if not backbone:
        return {"image size": f"{stream['height']}x{stream['width']}", "backbone": "none", "last stride": "-"}
    size = backbone.get("size") or (stream["height"], stream["width"])
    return {
        "image size": f"{size[0]}x{size[1]}",
        "backbone": f"{backbone['name']}, {_weights(str(backbone['weights']))}",
        "last stride": str(backbone.get("last_stride", "-")),
    }


def _weights(weights: str) -> str:
    if weights in ("imagenet", "random"):
        return weights
    return f"weights {Path(weights).name}"


def _recorded(runs: Sequence[Run], key: str) -> str:
    """What the runs recorded under ``key``, each value once."""
    values = set()
    for run in runs:
        value = run.trained.get(key)
        if value is None:
            values.add(UNKNOWN)
        else:
            values.add(str(value))
    return ", ".join(sorted(values))


def _mean_seconds(runs: Sequence[Run]) -> str:
    """Of training; unknown where one of the runs did not record it."""
    total = 0.0
    for run in runs:
        seconds = run.trained.get("training_seconds")
        if seconds is None:
            return UNKNOWN
        total += float(seconds)
    return f"{total / len(runs):.0f}"
