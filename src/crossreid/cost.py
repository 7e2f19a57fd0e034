"""Parameters at test time and milliseconds per image of every method, in one run (LbA, Table 2).

``python -m crossreid.cost``
``python -m crossreid.cost scale=small size=null runs=10``
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import torch
from hydra import compose
from omegaconf import DictConfig, OmegaConf
from rich.table import Table

from crossreid.command import run_command
from crossreid.config import check_choice, method_config, packaged_conf, typed
from crossreid.console import console, err_console, notice, track, unshortened
from crossreid.data.records import MODALITIES
from crossreid.errors import ConfigError
from crossreid.nn.backbones import ImageInput
from crossreid.runs.folder import write_json
from crossreid.studies.footprint import Cost, machine, measure
from crossreid.training.trainer import make_method

IDENTITIES = 395  # of SYSU-MM01; only heads that retrieval does not use depend on it


@dataclass
class CostConfig:
    """Everything ``crossreid.cost`` is told.

    Attributes:
        models: names of conf/model; null for all.
        scale: the composed scale; its ``name`` decides the sizes of the networks.
        preset: the composed preset, likewise.
        people: sizes of the embedded set; the scale brings them, and nothing here depends on them.
        size: height and width of the images of every method and inside its network; null for each one's own.
        batches: images at a time.
        warmup: runs that are not timed.
        runs: timed runs, averaged.
        accelerator: ``auto``, ``cpu`` or ``gpu``.
        output: the JSON to write.
    """

    models: list[str] | None = None
    scale: dict[str, Any] = field(default_factory=dict)
    preset: dict[str, Any] = field(default_factory=dict)
    people: dict[str, Any] = field(default_factory=dict)
    size: list[int] | None = None
    batches: list[int] = field(default_factory=lambda: [1, 64])
    warmup: int = 10
    runs: int = 50
    accelerator: str = "auto"
    output: str = "cost.json"

    def check(self) -> None:
        """Raise :class:`ConfigError` in one sentence when settings cannot work together."""
        check_choice("accelerator", self.accelerator, ("auto", "cpu", "gpu"))
        for name in self.models or ():
            check_choice("models", name, tuple(known_models()))
        if self.accelerator == "gpu" and not torch.cuda.is_available():
            raise ConfigError("accelerator=gpu needs a CUDA GPU and torch finds none: choose cpu or auto.")
        if self.size is not None and (len(self.size) != 2 or min(self.size) < 1):
            raise ConfigError(f"size is [height, width] in pixels or null, not {self.size}.")
        if self.models == [] or not self.batches:
            raise ConfigError("models and batches need at least one entry; models=null measures all.")
        if min(self.batches) < 1 or self.runs < 1 or self.warmup < 0:
            raise ConfigError("batches and runs are 1 or more, and warmup is 0 or more.")


def main() -> None:
    """The command."""
    run_command("cost", cost)


def cost(cfg: DictConfig) -> float:
    """Measure, show, keep; returns the number of methods."""
    config = typed(CostConfig, cfg)
    config.check()
    cpu = config.accelerator == "cpu" or not torch.cuda.is_available()
    device = torch.device("cpu" if cpu else "cuda")
    names = config.models or known_models()  # null: all
    bar = track(names, "measuring", total=len(names), enabled=err_console.is_terminal)
    costs = {name: _measure(name, config, device) for name in bar}
    console.print(cost_table(costs, config, machine(device)))
    facts = {
        "machine": machine(device),
        "torch": torch.__version__,
        "precision": "float32",
        "scale": config.scale["name"],
        "preset": config.preset["name"],
        "warmup": config.warmup,
        "runs": config.runs,
    }
    write_json(Path(config.output), {**facts, "methods": {name: found.to_json() for name, found in costs.items()}})
    notice(f"Costs: {config.output}")
    return float(len(costs))


def known_models() -> list[str]:
    """The names of conf/model."""
    return sorted(path.stem for path in (packaged_conf() / "model").glob("*.yaml"))


def _measure(name: str, config: CostConfig, device: torch.device) -> Cost:
    choices = [f"model={name}", f"scale={config.scale['name']}", f"preset={config.preset['name']}"]
    composed = compose("train", overrides=choices)
    model = cast(dict[str, Any], OmegaConf.to_container(composed.model, resolve=True))
    if "backbone" in model:
        model["backbone"]["weights"] = "random"  # the cost does not depend on them
    module = make_method(model, method_config(model), IDENTITIES, seed=0)
    size = module.config.streams["identity"].size
    if config.size:
        size = config.size[0], config.size[1]
        for part in module.modules():
            if isinstance(part, ImageInput):  # a ResNet takes any size; what else is trained may not, and takes no part
                part.size = size
    return measure(module, size, config.batches, config.warmup, config.runs, device)


def cost_table(costs: Mapping[str, Cost], config: CostConfig, place: str) -> Table:
    """One row a method: millions of parameters by modality, milliseconds an image by modality and batch."""
    caption = (
        f"{place}; float32; scale={config.scale['name']}, preset={config.preset['name']}; mean of {config.runs} runs "
        f"after {config.warmup}; parameters on the path from an image to its embedding, heads of training not counted; "
        "scoring: what is used on top of embeddings, whose time is not in here (benchmarks/transfer.py measures cm-SSFT's)."
    )
    title = "Parameters in millions, milliseconds per image"
    table = Table(title=title, caption=caption, caption_justify="left", title_justify="left")
    table.add_column("method", no_wrap=True)
    table.add_column("images", no_wrap=True)
    for part in (*MODALITIES, "either", "scoring"):
        table.add_column(f"{part} M", justify="right", no_wrap=True)
    for batch in config.batches:
        for modality in MODALITIES:
            table.add_column(f"{modality} ms, {batch} at a time", justify="right", no_wrap=True)
    for name, found in costs.items():
        sizes = [f"{found.parameters[part] / 1e6:.2f}" for part in (*MODALITIES, "either", "scoring")]
        times = [
            f"{sum(runs) / len(runs):.2f}"
            for batch in config.batches
            for runs in (found.milliseconds[modality][batch] for modality in MODALITIES)
        ]
        table.add_row(name, f"{found.size[0]}x{found.size[1]}", *sizes, *times)
    return unshortened(table)


if __name__ == "__main__":
    main()
