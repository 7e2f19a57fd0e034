"""Milliseconds of a training step of every method and phase, each as a multiple of two plain references in the same run.

    python benchmarks/steps.py OUTPUT.json [METHOD ...] [--scale small] [--rounds 5] [--precision bf16-mixed] ...

``bare network``: the torchvision ResNet of the method's settings, forward, cross-entropy, backward and SGD, on as many images
as a batch of the method holds, of the size that its network sees, in the same precision and memory format. ``bare passes``
(with ``--parts``): the method's own passes through its networks, done again one by one, and its optimizers (``parts.py``).
Steps and references take turns. Batches are random and lie on the device, so that the step alone is measured. A Markdown table
is written beside the JSON.
"""

from __future__ import annotations

import argparse
import statistics
import sys
from pathlib import Path
from typing import Any

import torch
from measuring import (
    Work,
    attached,
    bare_step,
    facts,
    measurement,
    method_settings_of,
    paired,
    phase_steps,
    random_batch,
    save,
    table,
    timed,
    trained_methods,
)
from parts import PARTS, optimizer_steps, passes_of, repeated

from crossreid.methods.base import CrossModalityModule
from crossreid.settings.run import TrainerConfig
from crossreid.training.kernels import compile_networks, use_kernels
from crossreid.training.loading import make_method


def settings_of(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("output", type=Path)
    parser.add_argument("methods", nargs="*", help="names; none for all")
    parser.add_argument("--scale", default="small", choices=("smoke", "small", "medium", "paper"))
    parser.add_argument(
        "--set", nargs="*", default=[], metavar="KEY=VALUE", help="settings of the methods, as in training"
    )
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--identities", type=int, default=56, help="classes")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--precision", default="32-true", choices=("32-true", "bf16-mixed"))
    parser.add_argument("--channels-last", action="store_true")
    parser.add_argument("--tf32", action="store_true", help="float32 products of a GPU in TF32")
    parser.add_argument("--compile", default="off", help="as trainer.compile")
    parser.add_argument("--optimizer-kernels", default="auto", choices=("auto", "loop", "foreach", "fused"))
    parser.add_argument("--clock", default="wall", choices=("wall", "cpu"), help="cpu: of this process")
    parser.add_argument("--parts", action="store_true", help="the step's parts besides")
    parser.add_argument("--give-memory-back", action="store_true", help="as trainer.keep_memory=false")
    return parser.parse_args(arguments)


def steps_of(name: str, chosen: argparse.Namespace) -> dict[str, Any]:
    """Measurements of a method, and with ``--parts`` its parts."""
    config = method_settings_of(name, chosen.scale, *chosen.set)
    reference = bare_step(
        config, chosen.identities, chosen.device, chosen.precision, channels_last=chosen.channels_last
    )
    module = make_method(config, chosen.identities, seed=0)
    module.optimizer_kernels = chosen.optimizer_kernels
    use_kernels(module, trainer_settings(chosen))
    compile_networks(module, trainer_settings(chosen))
    trainer = attached(module.to(chosen.device), chosen.precision)
    found: dict[str, Any] = {"measurements": {}, "parts": {}}
    for phase, step in phase_steps(module, trainer, random_batch(config, chosen.device)):
        label = f"{name}, {phase}"
        found["measurements"][label] = paired(
            step, reference, chosen.rounds, of="bare network", clock=chosen.clock, device=chosen.device
        )
        if chosen.parts:
            by_part, of_passes = parts_of(module, step, chosen)
            found["parts"][label] = by_part
            found["measurements"][f"{label}, its passes"] = of_passes
    return found


def trainer_settings(chosen: argparse.Namespace) -> TrainerConfig:
    """Formats and kernels."""
    settings = TrainerConfig(precision=chosen.precision, channels_last=chosen.channels_last)
    if chosen.tf32:
        settings.tf32 = True
    if chosen.compile != "off":
        settings.compile = chosen.compile
    return settings


def parts_of(
    module: CrossModalityModule, step: Work, chosen: argparse.Namespace
) -> tuple[dict[str, float], dict[str, Any]]:
    """Milliseconds of each part of a step, medians, and the step beside the sum of its passes and optimizers."""
    passes = passes_of(module, step)
    works = {part: repeated(module, passes[part], chosen.precision) for part in PARTS if passes[part]}
    works["optimizers"] = optimizer_steps(module, step)
    for work in works.values():
        work()
    times: dict[str, list[float]] = {name: [] for name in works}
    pairs = []
    for _ in range(chosen.rounds):
        whole = 1000 * timed(step, chosen.clock, chosen.device)
        for name, work in works.items():
            times[name].append(1000 * timed(work, chosen.clock, chosen.device))
        pairs.append((whole, sum(taken[-1] for taken in times.values())))
    found = measurement(pairs, of="bare passes and optimizers", unit="ms")
    medians = {name: round(statistics.median(taken), 2) for name, taken in times.items()}
    medians["losses and the rest"] = round(statistics.median(whole - bare for whole, bare in pairs), 2)
    return medians, found


def with_parts(content: dict[str, Any]) -> str:
    """Both tables as Markdown."""
    text = table(content)
    if not content["parts"]:
        return text
    columns = [*PARTS, "optimizers", "losses and the rest"]
    lines = [f"| ms | {' | '.join(columns)} |", "|---" * (1 + len(columns)) + "|"]
    for name, found in content["parts"].items():
        lines.append(f"| {name} | {' | '.join(str(found.get(column, '')) for column in columns)} |")
    return text + "\n" + "\n".join(lines) + "\n"


def main(arguments: list[str]) -> dict[str, Any]:
    chosen = settings_of(arguments)
    told = {key: value for key, value in vars(chosen).items() if key not in ("output", "methods")}
    content = facts(chosen.device, told) | {"parts": {}}
    for name in trained_methods(chosen.methods):
        try:
            found = steps_of(name, chosen)
        except torch.OutOfMemoryError as error:
            content.setdefault("problems", {})[name] = str(error)[:200]
            continue
        content["measurements"] |= found["measurements"]
        content["parts"] |= found["parts"]
        for label, one in found["measurements"].items():
            print(f"{label:40} {one['value']:>9} ms, {one['ratio']} of {one['of']}", flush=True)
        save(content, chosen.output, with_parts)
    return content


if __name__ == "__main__":
    main(sys.argv[1:])
