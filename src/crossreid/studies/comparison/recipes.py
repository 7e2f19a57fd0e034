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
    "augmentation",
    "training ids",
    "iterations",
    "training seconds",
)
"""Columns of how the network came about."""


def inference_recipe(config: Mapping[str, Any], inference: str) -> dict[str, str]:
    """The columns :data:`INFERENCE`; what the scorer looked at comes from its label alone."""
    told = {
        PLAIN: ("no", "no"),
        "re-ranked": ("yes", "yes"),  # neighbours are looked for among all probes
        "transductive": ("no", "yes"),
        "single query": ("no", "single query"),
    }
    kind = inference.strip() or "undeclared"
    reranked, transductive = told.get(inference, (f"? ({kind})", f"? ({kind})"))  # undeclared, or a new kind: as it is
    flip = "yes" if config["model"].get("flip_test") else "no"
    return {"flip": flip, "re-ranked": reranked, "transductive": transductive}


def training_recipe(runs: Sequence[Run]) -> dict[str, str]:
    """The columns :data:`TRAINING` of the runs of one row, which have all settings but the seed in common."""
    config = runs[0].config
    model = config["model"]
    backbone = model.get("backbone") or {}
    stream = model["streams"]["identity"]
    size = backbone.get("size") or (stream["height"], stream["width"])
    seconds = [run.trained.get("training_seconds") for run in runs]
    known = [float(value) for value in seconds if value is not None]
    ids, iterations = (_told(runs, key) for key in ("training_identities", "iterations"))
    if iterations == "0":
        ids = "0"
    return {
        "image size": f"{size[0]}x{size[1]}",
        "backbone": f"{backbone['name']}, {_weights(str(backbone['weights']))}" if backbone else "none",
        "last stride": str(backbone.get("last_stride", "-")),
        "pooling": pooling(config),
        "augmentation": augmentation(model),
        "training ids": f"{ids}, {config['selection']['name']} weights",
        "iterations": iterations,
        "training seconds": f"{sum(known) / len(known):.0f}" if len(known) == len(seconds) else UNKNOWN,
    }


def pooling(config: Mapping[str, Any]) -> str:
    """How the method's retrieval feature is pooled: by its setting ``pooling``, if it has one, or by its class."""
    model = config["model"]
    if "pooling" in model:
        return str(model["pooling"])
    try:
        return str(method_class(method_settings(config["choices"]["method"])).pooling)
    except ConfigError:  # a method that is not installed here
        return UNKNOWN


def augmentation(model: Mapping[str, Any]) -> str:
    """Mirroring, crops, erasing and exchanged channels of training images; ``none`` for none of them."""
    erasing = model.get("erasing")
    probability = erasing.get("probability") if isinstance(erasing, Mapping) else erasing
    told = {"flip": model.get("flip"), "crop": model.get("crop_padding"), "erasing": probability}
    told |= {"channel exchange": model.get("channel_exchange")}
    views = ["exchanged view"] if model.get("exchanged_view") else []
    return ", ".join([*(f"{name} {value}" for name, value in told.items() if value), *views]) or "none"


def _told(runs: Sequence[Run], key: str) -> str:
    """What the runs recorded under ``key``, each value once."""
    values = [run.trained.get(key) for run in runs]
    return ", ".join(sorted({UNKNOWN if value is None else str(value) for value in values}))


def _weights(weights: str) -> str:
    return weights if weights in ("imagenet", "random") else f"weights {Path(weights).name}"
