"""What embedding an image costs: parameters that take part, and time (LbA, Table 2)."""

from __future__ import annotations

import platform
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode
from torch.utils._pytree import tree_leaves

from crossreid.data.records import MODALITIES, Modality
from crossreid.methods.base import CrossModalityModule


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
        """Everything as plain values; times as mean and standard deviation over the runs."""
        times = {
            modality: {
                str(batch): {"mean": float(np.mean(runs)), "std": float(np.std(runs))} for batch, runs in each.items()
            }
            for modality, each in self.milliseconds.items()
        }
        return {"size": list(self.size), "parameters": dict(self.parameters), "milliseconds_per_image": times}


class _UsedParameters(TorchFunctionMode):
    """Notes every parameter that a torch function is given."""

    def __init__(self) -> None:
        super().__init__()
        self.found: dict[int, nn.Parameter] = {}

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        for value in tree_leaves((args, kwargs)):
            if isinstance(value, nn.Parameter):
                self.found[id(value)] = value
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

    used = {modality: parameters_used(embed(1, modality)) for modality in MODALITIES}
    either = list({id(p): p for parameters in used.values() for p in parameters}.values())
    counts: dict[str, int] = {modality: count_values(parameters) for modality, parameters in used.items()}
    with torch.backends.cudnn.flags(enabled=True, allow_tf32=False):
        times = {
            modality: {
                count: [1000 * seconds / count for seconds in timed(embed(count, modality), warmup, runs, device)]
                for count in batches
            }
            for modality in MODALITIES
        }
    scoring = count_values(module.scoring_parameters())
    return Cost((height, width), {**counts, "either": count_values(either), "scoring": scoring}, times)


def parameters_used(work: Callable[[], object]) -> list[nn.Parameter]:
    """The parameters that take part in ``work``, each once."""
    with _UsedParameters() as seen:
        work()
    return list(seen.found.values())


def count_values(parameters: Sequence[Tensor]) -> int:
    """Numbers in all of them."""
    return sum(parameter.numel() for parameter in parameters)


def timed(work: Callable[[], object], warmup: int, runs: int, device: torch.device) -> list[float]:
    """Seconds of each of ``runs`` runs, after ``warmup`` ones; the device is waited for."""

    def finish() -> None:
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


def machine(device: torch.device) -> str:
    """What ``device`` is, in words."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    described = Path("/proc/cpuinfo")
    lines = described.read_text(encoding="utf-8").splitlines() if described.is_file() else []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    name = names[0] if names else platform.processor() or platform.machine()
    return f"{name}, {torch.get_num_threads()} thread(s)"
