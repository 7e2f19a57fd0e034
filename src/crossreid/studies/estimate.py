"""Hours and memory that a training will take, by figures that were measured: nothing is guessed where there is none."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from crossreid.settings.method import MethodConfig
from crossreid.settings.run import RunConfig

STEPS = "steps.json"
MEMORY = "memory.json"
SECONDS = "training_seconds.json"
_IN_THE_REPOSITORY = {STEPS: "gpu/steps.json", MEMORY: MEMORY, SECONDS: SECONDS}
_SECONDS_AN_HOUR = 3600.0
_MIB_A_GIB = 1024.0


@dataclass(frozen=True)
class MeasuredValue:
    """Something measured.

    Attributes:
        value: of it; None where there is no figure.
        source: where it comes from, in a few words; of no figure, why there is none.
    """

    value: float | None
    source: str


@dataclass(frozen=True)
class Estimate:
    """What one training will take.

    Attributes:
        iterations: of all phases.
        hours: of training; reading, scoring and drawing come on top.
        memory: at the peak of a step, in GiB.
    """

    iterations: int
    hours: MeasuredValue
    memory: MeasuredValue


def estimate(config: RunConfig) -> Estimate:
    """What one training will take.

    Args:
        config: of the run, ``model.iterations_per_epoch`` known.
    """
    model = config.model
    if not model.trains:
        nothing = MeasuredValue(0.0, "nothing is trained")
        return Estimate(0, nothing, nothing)
    return Estimate(model.iterations, _hours(config), _memory(config))


def measured(name: str) -> dict[str, Any]:
    """A file of measurements: inside an installed wheel, or in the repository."""
    package = Path(__file__).resolve().parents[1]
    path = package / "measured" / name
    if not path.is_file():
        path = package.parents[1] / "benchmarks" / "results" / _IN_THE_REPOSITORY[name]
    return _read(path)


@cache
def _read(path: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return content


def _hours(config: RunConfig) -> MeasuredValue:
    """Seconds an iteration of each phase, measured with the same batches, times its iterations."""
    phases = config.model.active_phases()
    if config.scale == "paper":
        return _hours_on_a_gpu(config, phases)
    if config.scale == "small" and config.data.embedded:
        return _hours_on_a_cpu(config, phases)
    return MeasuredValue(None, f"no steps were measured at scale={config.scale} with data={config.data.name}")


def _hours_on_a_gpu(config: RunConfig, phases: Mapping[str, int]) -> MeasuredValue:
    content = measured(STEPS)
    model = config.model
    if not _batches_of_paper(model):
        return MeasuredValue(None, "steps were measured with the batches of preset=paper alone")
    steps = content["methods"].get(model.name, {})
    seconds = 0.0
    for phase, iterations in phases.items():
        step = steps.get(phase, {}).get(config.trainer.precision)
        if step is None:
            return MeasuredValue(None, f"no step of its phase {phase} was measured in {config.trainer.precision}")
        seconds += iterations * step["milliseconds"] / 1000
    # In what the run may differ from what was measured all the same, which the reader has to know.
    source = f"{content['machine']}, {config.trainer.precision}"
    if config.preset != "paper":
        source += ", with the networks of preset=paper"
    if config.row not in (None, f"{model.name}/full"):
        source += ", of the full method"
    if model.recompute:
        source += f", at least: measured without recomputing {', '.join(model.recompute)}"
    return MeasuredValue(seconds / _SECONDS_AN_HOUR, source)


def _hours_on_a_cpu(config: RunConfig, phases: Mapping[str, int]) -> MeasuredValue:
    content = measured(SECONDS)
    row = content["rows"].get(config.label, {}).get("seconds_an_iteration", {})
    seconds = 0.0
    for phase, iterations in phases.items():
        if phase not in row:
            return MeasuredValue(None, "no steps of this row were measured")
        seconds += iterations * row[phase]
    return MeasuredValue(seconds / _SECONDS_AN_HOUR, content["machine"])


def _memory(config: RunConfig) -> MeasuredValue:
    """Measured on a GPU, else predicted from the shapes of tensors; of the phase that takes most."""
    model = config.model
    phases = list(model.active_phases())
    if config.scale == "paper" and not model.recompute and _batches_of_paper(model):
        content = measured(STEPS)
        steps = content["methods"].get(model.name, {})
        peaks = []
        for phase in phases:
            step = steps.get(phase, {}).get(config.trainer.precision, {})
            peaks.append(step.get("peak_gib"))
        if None not in peaks:
            return MeasuredValue(max(peaks), content["machine"])
    predicted = _predicted(config, phases)
    if predicted is not None:
        return MeasuredValue(predicted, "predicted from shapes (benchmarks/memory.py)")
    return MeasuredValue(None, "not measured")


def _predicted(config: RunConfig, phases: Sequence[str]) -> float | None:
    """GiB; None where a phase was not predicted with these batches and recomputed parts."""
    model = config.model
    mib: dict[str, float] = {}
    for row in measured(MEMORY)["rows"]:
        same_batches = row["method"] == model.name and row["images"] == images_of(model)
        same_way = row["recompute"] == model.recompute and row["precision"] == config.trainer.precision
        if same_batches and same_way and row["scale"] == config.scale:
            mib[row["phase"]] = float(row.get("predicted_mib", 0.0))
    of_phases = [mib.get(phase, 0.0) for phase in phases]  # 0 stands for nothing predicted
    if not all(of_phases):
        return None
    return max(of_phases) / _MIB_A_GIB


def images_of(config: MethodConfig) -> str:
    """Images of a batch, by stream, in the words of the measurements."""
    texts = []
    for name, stream in config.streams.items():
        images = 2 * stream.identities * stream.images  # so many of each modality
        texts.append(f"{name} {images} of {stream.height}x{stream.width}")
    return ", ".join(texts)


def _batches_of_paper(model: MethodConfig) -> bool:
    """The batches, the image sizes and the encoder are those of the method's own settings, which were measured."""
    own = type(model)()
    return images_of(model) == images_of(own) and _encoder(model) == _encoder(own)


def _encoder(model: MethodConfig) -> tuple[object, ...]:
    """What decides the time and memory of an encoder; initial weights do not."""
    backbone = getattr(model, "backbone", None)
    if backbone is None:
        return ()
    return backbone.name, list(backbone.size), backbone.last_stride
