"""What embedding an image costs: parameters that take part, and time (LbA, Table 2)."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from rich.table import Table
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode
from torch.utils._pytree import tree_leaves

from crossreid.console import err_console, track, unshortened
from crossreid.data.records import MODALITIES, Modality
from crossreid.errors import ConfigError
from crossreid.evaluation.results import sample_deviation
from crossreid.methods.base import CrossModalityModule
from crossreid.methods.reporting import HasFurtherScorers
from crossreid.nn.backbones import ImageInput
from crossreid.settings.commands import CostConfig
from crossreid.settings.compose import compose, method_part
from crossreid.settings.fields import unknown_name
from crossreid.settings.method import MethodConfig
from crossreid.settings.registry import method_names
from crossreid.training.environment import check_files, choose_device, machine
from crossreid.training.loading import make_method


@dataclass(frozen=True)
class Cost:
    """What one method's ``embed`` costs.

    Attributes:
        size: height and width of the images in pixels.
        parameters: parameters on the path of ``visible`` and of ``infrared`` images, of ``either``, and those that
            ``scoring`` uses on top (cm-SSFT's transfer network).
        milliseconds: modality -> images at a time -> milliseconds an image, one value a timed run.
    """

    size: tuple[int, int]
    parameters: Mapping[str, int]
    milliseconds: Mapping[Modality, Mapping[int, Sequence[float]]]

    def to_json(self) -> dict[str, Any]:
        """Everything as plain values; times as mean and sample standard deviation over the runs, None of a single run."""
        times: dict[str, dict[str, Any]] = {}
        for modality, each in self.milliseconds.items():
            times[modality] = {}
            for batch, runs in each.items():
                times[modality][str(batch)] = {"mean": float(np.mean(runs)), "std": sample_deviation(runs)}
        return {"size": list(self.size), "parameters": dict(self.parameters), "milliseconds_per_image": times}


@dataclass(frozen=True)
class MeasuredMethods:
    """What several methods cost on one machine.

    Attributes:
        costs: method, or method and encoder, such as ``strong, convnext_tiny`` -> its cost.
        scale, preset: what decided the sizes of the networks.
        machine: where it was measured, in words.
    """

    costs: Mapping[str, Cost]
    scale: str
    preset: str
    machine: str

    def to_json(self, config: CostConfig) -> dict[str, Any]:
        """Everything as plain values, with how it was measured."""
        return {
            "machine": self.machine,
            "torch": torch.__version__,
            "precision": "float32",
            "scale": self.scale,
            "preset": self.preset,
            "warmup": config.warmup,
            "runs": config.runs,
            "methods": {name: cost.to_json() for name, cost in self.costs.items()},
        }


class _ParameterUse(TorchFunctionMode):
    """Notes every parameter that a torch function is given."""

    def __init__(self) -> None:
        super().__init__()
        self.parameters: dict[int, nn.Parameter] = {}

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        for value in tree_leaves((args, kwargs)):
            if isinstance(value, nn.Parameter):
                self.parameters[id(value)] = value
        return func(*args, **kwargs)


@torch.no_grad()
def measure(
    module: CrossModalityModule[Any],
    size: tuple[int, int],
    batches: Sequence[int],
    warmup: int,
    runs: int,
    device: torch.device,
) -> Cost:
    """Embed grey images of one size in eval mode and float32 (without TF32), and watch.

    Args:
        module: a method with any weights.
        size: height and width in pixels.
        batches: numbers of images at a time.
        warmup: runs before the clock starts.
        runs: timed runs.
        device: where to run.
    """
    module.eval().to(device)
    height, width = size

    def embed(count: int, modality: Modality) -> Callable[[], object]:
        images = torch.full((count, 3, height, width), 0.5, device=device)
        return lambda: module.embed(images, modality)

    counts: dict[str, int] = {}
    # What both modalities share counts once in ``either``.
    either: set[nn.Parameter] = set()
    for modality in MODALITIES:
        used = parameters_used(embed(1, modality))
        parameters = without_classifiers(used, module)
        counts[modality] = count_values(parameters)
        either.update(parameters)
    counts["either"] = count_values(list(either))
    counts["scoring"] = 0
    if isinstance(module, HasFurtherScorers):
        counts["scoring"] = count_values(module.scoring_parameters())

    # TF32 rounds the numbers that convolutions multiply: times would not be those of float32.
    times: dict[Modality, dict[int, list[float]]] = {}
    with torch.backends.cudnn.flags(enabled=True, allow_tf32=False):
        for modality in MODALITIES:
            times[modality] = {}
            for count in batches:
                seconds_of_runs = timed(embed(count, modality), warmup, runs, device)
                times[modality][count] = [1000 * seconds / count for seconds in seconds_of_runs]
    return Cost((height, width), counts, times)


def parameters_used(work: Callable[[], object]) -> list[nn.Parameter]:
    """The parameters that take part in ``work``, each once."""
    with _ParameterUse() as use:
        work()
    return list(use.parameters.values())


def without_classifiers(parameters: Sequence[nn.Parameter], module: CrossModalityModule[Any]) -> list[nn.Parameter]:
    """The parameters that belong to no layer with one output for each training identity, which retrieval does not need.

    A network may compute logits on its way to an embedding all the same, as the baselines do.
    """
    classifiers: set[int] = set()
    for layer in module.modules():
        if isinstance(layer, nn.Linear) and layer.out_features == module.num_identities:
            for parameter in layer.parameters():
                classifiers.add(id(parameter))
    return [parameter for parameter in parameters if id(parameter) not in classifiers]


def count_values(parameters: Sequence[Tensor]) -> int:
    """Numbers in all of them."""
    return sum(parameter.numel() for parameter in parameters)


def timed(work: Callable[[], object], warmup: int, runs: int, device: torch.device) -> list[float]:
    """Seconds of each of ``runs`` runs, after ``warmup`` ones; the device is waited for."""

    def finish() -> None:
        # A GPU works on while Python goes on: without waiting, the clock would stop before the work has ended.
        if device.type == "cuda":
            torch.cuda.synchronize(device)

    seconds = []
    for run in range(warmup + runs):
        finish()
        began = time.perf_counter()
        work()
        finish()
        if run >= warmup:
            seconds.append(time.perf_counter() - began)
    return seconds


IDENTITIES = 395  # of SYSU-MM01; only heads that retrieval does not use depend on it


def measure_methods(config: CostConfig, *, scale: str, preset: str) -> MeasuredMethods:
    """Every method that is asked for, one after the other.

    Raises:
        ConfigError: a method or the device is not there.
    """
    known = method_names()
    names = config.models or known
    for name in names:
        if name not in known:
            raise ConfigError(unknown_name("method", name, known))
    device = choose_device(config.accelerator)
    rows = _rows(names, config, scale, preset)
    costs = {}
    for label, settings in track(rows.items(), "measuring", total=len(rows), enabled=err_console.is_terminal):
        costs[label] = _measure_method(settings, config, device)
    return MeasuredMethods(costs, scale, preset, machine(device))


def _rows(names: Sequence[str], config: CostConfig, scale: str, preset: str) -> dict[str, MethodConfig]:
    """What is measured, by the name of its row: settings of methods, each with each of the encoders that are asked for.

    Raises:
        ConfigError: there is no such encoder, or a method does not take it.
    """
    rows: dict[str, MethodConfig] = {}
    for name in names:
        plugins = ",".join(config.plugins)
        choices = [f"model={name}", f"scale={scale}", f"preset={preset}", f"plugins=[{plugins}]"]
        composed = compose("train", choices)
        settings = method_part(name, composed.values["model"])
        if not config.backbones:
            rows[name] = settings
        for backbone in config.backbones:
            rows[f"{name}, {backbone}"] = _with_backbone(settings, backbone, config)
    return rows


def _with_backbone(settings: MethodConfig, name: str, config: CostConfig) -> MethodConfig:
    """A method's settings with another encoder."""
    own = getattr(settings, "backbone", None)
    if own is None:
        raise ConfigError(f"{settings.name} has no backbone: leave it out of models, or leave backbones out.")
    backbone = replace(own, name=name, weights="random")
    if config.size:
        backbone.size = list(config.size)
    if config.last_stride:
        backbone.last_stride = config.last_stride
    changed = replace(settings, **{"backbone": backbone})
    try:
        check_files(changed)
    except ConfigError as error:
        # It speaks of training's settings, which have other names in this command.
        said = str(error).replace("model.backbone.name", "backbones")
        said = said.replace("model.backbone.", "")
        raise ConfigError(said) from error
    return changed


def _measure_method(settings: MethodConfig, config: CostConfig, device: torch.device) -> Cost:
    module = make_method(settings, IDENTITIES, seed=0)  # random weights: cost is not in them
    size = module.config.streams["identity"].size
    if config.size:
        size = (config.size[0], config.size[1])
        # Only on the way to an embedding: a ResNet takes any size; what else is trained may not, and takes no part.
        for part in module.modules():
            if isinstance(part, ImageInput):
                part.size = size
    return measure(module, size, config.batches, config.warmup, config.runs, device)


def cost_table(measured: MeasuredMethods, config: CostConfig) -> Table:
    """One row a method: millions of parameters by modality, milliseconds an image by modality and batch."""
    caption = (
        f"{measured.machine}; float32; scale={measured.scale}, preset={measured.preset}; mean of {config.runs} runs "
        f"after {config.warmup}; parameters on the path from an image to its embedding, classifiers and other heads of "
        "training not counted; "
        "scoring: what is used on top of embeddings, whose time is not in here (benchmarks/transfer.py measures cm-SSFT's)."
    )
    title = "Parameters in millions, milliseconds per image"
    table = Table(title=title, caption=caption, caption_justify="left", title_justify="left")
    table.add_column("method", no_wrap=True)
    table.add_column("images", no_wrap=True)
    parts = (*MODALITIES, "either", "scoring")
    for part in parts:
        table.add_column(f"{part} M", justify="right", no_wrap=True)
    for batch in config.batches:
        for modality in MODALITIES:
            table.add_column(f"{modality} ms, {batch} at a time", justify="right", no_wrap=True)
    for name, cost in measured.costs.items():
        height, width = cost.size
        sizes = [f"{cost.parameters[part] / 1e6:.2f}" for part in parts]
        times = []
        for batch in config.batches:
            for modality in MODALITIES:
                times.append(f"{np.mean(cost.milliseconds[modality][batch]):.2f}")
        table.add_row(name, f"{height}x{width}", *sizes, *times)
    return unshortened(table)
