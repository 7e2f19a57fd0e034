"""What the benchmarks share: measurements in pairs, facts on the machine, methods ready for a step, and the bare network.

A measurement is a dictionary with ``value`` and ``reference`` (medians, in ``unit``), ``of`` (what the reference is), ``ratio``
(the median of value / reference, each pair taken one behind the other) and ``noise`` (half the distance of its quartiles).
The smaller a ratio, the faster. ``compare.py`` takes any file with ``measurements``: name -> such a dictionary.
"""

from __future__ import annotations

import contextlib
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from crossreid import keep_memory

if "--give-memory-back" not in sys.argv:
    keep_memory()  # before torch is imported

import pytorch_lightning as pl
import torch
import torchvision

from crossreid.data.batches import PairedBatch, TrainingBatch
from crossreid.methods.base import CrossModalityModule
from crossreid.runs.folder import git_revision, write_json
from crossreid.settings.compose import compose, run_config
from crossreid.settings.method import MethodConfig
from crossreid.settings.registry import built_in_methods
from crossreid.training.environment import machine

EPOCH = 100
"""Iterations of an epoch, which only the lengths of phases depend on."""

Work = Callable[[], object]
Measurement = dict[str, Any]


# ---------------------------------------------------------------- time


def timed(work: Work, clock: str = "wall", device: str = "cpu") -> float:
    """Seconds of one call, the device's work included.

    Args:
        work: what is timed.
        clock: ``wall``, or ``cpu`` for the time of this process, where others use the machine.
        device: what it runs on.
    """
    wait = torch.cuda.synchronize if device.startswith("cuda") else contextlib.nullcontext
    now = time.process_time if clock == "cpu" else time.perf_counter
    wait()
    began = now()
    work()
    wait()
    return now() - began


def paired(
    work: Work, reference: Work, rounds: int, *, of: str, clock: str = "wall", device: str = "cpu", warm: bool = True
) -> Measurement:
    """Milliseconds of two things that take turns."""
    if warm:  # the first calls take memory, make optimizers' states, start kernels
        work()
        reference()
    pairs = []
    for _ in range(rounds):
        pairs.append((1000 * timed(work, clock, device), 1000 * timed(reference, clock, device)))
    return measurement(pairs, of=of, unit="ms")


def measurement(pairs: list[tuple[float, float]], *, of: str, unit: str) -> Measurement:
    """Of (value, reference) pairs; see the module's text."""
    values, references = zip(*pairs, strict=True)
    ratios = [value / reference for value, reference in pairs]
    noise = 0.0
    if len(ratios) > 1:
        lower, _, upper = statistics.quantiles(ratios, n=4, method="inclusive")
        noise = (upper - lower) / 2
    return {
        "value": _rounded(statistics.median(values)),
        "reference": _rounded(statistics.median(references)),
        "unit": unit,
        "of": of,
        "ratio": _rounded(statistics.median(ratios)),
        "noise": _rounded(noise),
    }


def _rounded(number: float) -> float:
    return float(f"{number:.4g}")


# ---------------------------------------------------------------- files


def facts(device: str = "cpu", settings: dict[str, Any] | None = None) -> dict[str, Any]:
    """Machine, versions, command and settings; measurements are to be added."""
    return {
        "machine": machine(torch.device(device)),
        "threads": torch.get_num_threads(),
        "versions": {
            name: _version(name) for name in ("torch", "torchvision", "pytorch-lightning", "numpy", "crossreid")
        },
        "git": git_revision(),
        "command": " ".join(["python", *sys.argv]),
        "settings": settings or {},
        "measurements": {},
    }


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:  # a source tree that is not installed
        return ""


def table(content: dict[str, Any]) -> str:
    """The measurements as Markdown."""
    lines = ["| | ours | reference | unit | reference is | ratio | noise |", "|---|---|---|---|---|---|---|"]
    for name, found in content["measurements"].items():
        cells = [found[key] for key in ("value", "reference", "unit", "of", "ratio", "noise")]
        lines.append(f"| {name} | {' | '.join(map(str, cells))} |")
    return "\n".join(lines) + "\n"


def save(content: dict[str, Any], output: Path | None, markdown: Callable[[dict[str, Any]], str] = table) -> None:
    """As JSON, and as Markdown beside it; only printed without an ``output``."""
    if output is None:
        print(markdown(content))
        return
    output.parent.mkdir(parents=True, exist_ok=True)
    write_json(output, content)
    output.with_suffix(".md").write_text(markdown(content), encoding="utf-8")


# ---------------------------------------------------------------- methods


def trained_methods(names: list[str] | None = None) -> list[str]:
    """Those of the names that are trained; of all methods without names."""
    return [name for name in names or built_in_methods() if method_settings_of(name, "smoke").trains]


def method_settings_of(name: str, scale: str, *overrides: str) -> MethodConfig:
    """A method's settings, with an epoch of :data:`EPOCH` iterations."""
    return run_config(compose("train", [f"model={name}", f"scale={scale}", *overrides])).model.with_epoch(EPOCH)


def random_batch(config: MethodConfig, device: torch.device | str) -> TrainingBatch:
    """Random images in a method's streams."""
    generator = torch.Generator().manual_seed(0)
    batch: TrainingBatch = {}
    for name, stream in config.streams.items():
        pids = torch.arange(stream.identities).repeat_interleave(stream.images)
        shape = (len(pids), 3, stream.height, stream.width)
        visible, infrared = (torch.rand(shape, generator=generator).to(device) for _ in range(2))
        batch[name] = PairedBatch(visible, infrared, pids.to(device), 0)
    return batch


def attached(module: CrossModalityModule, precision: str = "32-true") -> pl.Trainer:
    """A trainer that gives a method its optimizers, and never runs."""
    trainer = pl.Trainer(
        accelerator="gpu" if module.device.type == "cuda" else "cpu",
        devices=1,
        precision=precision,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    module.recompute_parts()
    trainer.strategy.connect(module)
    trainer.strategy._lightning_module = module
    module.trainer = trainer
    trainer.strategy.setup_optimizers(trainer)
    return trainer


def phase_steps(module: CrossModalityModule, trainer: pl.Trainer, batch: TrainingBatch) -> Iterator[tuple[str, Work]]:
    """The training step of each phase; take one step before the next is asked for."""
    module.log_every = 10**9
    done = 0
    for phase, length in module.config.active_phases().items():
        module.iteration = done + 1  # not one that is logged
        module.begin_phase(phase)

        def step() -> None:
            module.losses = {}
            with trainer.precision_plugin.train_step_context():
                module.training_step(batch)

        yield phase, step
        done += length


def bare_step(config: MethodConfig, classes: int, device: str, precision: str, *, channels_last: bool) -> Work:
    """The reference: torchvision's ResNet of a method, forward, cross-entropy, backward and SGD, on as many images."""
    layout = torch.channels_last if channels_last else torch.contiguous_format
    backbone = config.backbone
    network = torchvision.models.get_model(backbone.name, weights=None, num_classes=classes)
    if backbone.last_stride == 1:
        for layer in network.layer4[0].modules():
            if isinstance(layer, torch.nn.Conv2d) and layer.stride == (2, 2):
                layer.stride = (1, 1)
    network.to(device, memory_format=layout)
    optimizer = torch.optim.SGD(network.parameters(), lr=0.01, momentum=0.9)
    stream = config.streams["identity"]
    count = 2 * stream.identities * stream.images
    images = torch.rand(count, 3, *backbone.size, device=device).to(memory_format=layout)
    labels = torch.randint(classes, (count,), device=device)

    def step() -> None:
        with torch.autocast(torch.device(device).type, torch.bfloat16, enabled=precision == "bf16-mixed"):
            loss = torch.nn.functional.cross_entropy(network(images).float(), labels)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()

    return step
