"""Memory of a training step of every method and phase, in MiB: predicted beside measured, kept whole beside recomputed.

    python benchmarks/memory.py OUTPUT.json [METHOD ...] [--scale small] [--paper] [--device cuda] [--predict-only]

What is counted are tensors: each storage that an operator of the step makes is counted from then to its end, with the
method, its gradients and its optimizers' states. A prediction counts the same on tensors that have shapes and no values
(torch's FakeTensor), so that a step at the paper's sizes takes seconds and no memory; what operators take inside (workspaces
of convolutions) is in neither. ``measured`` are real tensors at ``--scale``, and on a GPU what its allocator says at the peak.
``--paper`` adds predictions at ``scale=paper``, with and without ``model.recompute``; beside them stands what an H200
measured, where ``results/gpu/steps.json`` has it.
"""

from __future__ import annotations

import argparse
import gc
import json
import sys
import weakref
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from measuring import (
    attached,
    facts,
    method_settings_of,
    paired,
    phase_steps,
    random_batch,
    save,
    trained_methods,
)
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from crossreid.methods.base import CrossModalityModule
from crossreid.settings.method import MethodConfig
from crossreid.training.loading import make_method

CLASSES, MIB = 395, 2**20
ON_A_GPU = Path(__file__).parent / "results" / "gpu" / "steps.json"


class StorageMeter(TorchDispatchMode):
    """Bytes of all storages that operators make inside, now and at the peak.

    torch's own ``MemTracker`` sorts memory by kind, for which it hooks gradients of all parameters: it fails on players that
    take turns, where most parameters ask for none.
    """

    def __init__(self) -> None:
        super().__init__()
        self.sizes: dict[int, int] = {}
        self.now = 0
        self.peak = 0

    def __torch_dispatch__(self, operator: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        outputs = operator(*args, **(kwargs or {}))
        for tensor in tree_leaves(outputs):
            if isinstance(tensor, Tensor):
                self._count(tensor)
        return outputs

    def _count(self, tensor: Tensor) -> None:
        storage = tensor.untyped_storage()
        key = storage._cdata
        if key in self.sizes:
            return
        self.sizes[key] = storage.nbytes()
        self.now += storage.nbytes()
        self.peak = max(self.peak, self.now)
        weakref.finalize(storage, self._forget, key)

    def _forget(self, key: int) -> None:
        self.now -= self.sizes.pop(key)

    def begin(self) -> None:
        """Count the peak anew from here."""
        gc.collect()
        self.peak = self.now


def made(config: MethodConfig, device: str) -> CrossModalityModule:
    """A method on a device, ``meta`` for one without values."""
    if device != "meta":
        return make_method(config, CLASSES, seed=0).to(device)
    with torch.device("meta"):
        return make_method(config, CLASSES, seed=0)


def predicted(config: MethodConfig, precision: str = "32-true") -> dict[str, float]:
    """MiB at the peak of the second step of each phase, from shapes alone."""
    module = made(config, "meta")
    # Networks and images are fake, and the mode is left again: draws of the augmentation are real, and may be looked at.
    fake = FakeTensorMode(allow_non_fake_inputs=True)
    with StorageMeter() as meter:
        with fake:
            module.to_empty(device="cpu")
            batch = random_batch(config, "cpu")
        return dict(_peaks(module, batch, precision, meter))


def measured(config: MethodConfig, precision: str = "32-true") -> dict[str, float]:
    """The same of real tensors on this machine's CPU."""
    with StorageMeter() as meter:
        module = made(config, "cpu")
        return dict(_peaks(module, random_batch(config, "cpu"), precision, meter))


def _peaks(module: CrossModalityModule, batch: Any, precision: str, meter: StorageMeter) -> Iterator[tuple[str, float]]:
    trainer = attached(module, precision)
    for phase, step in phase_steps(module, trainer, batch):
        step()  # optimizers make their states
        meter.begin()
        step()
        yield phase, round(meter.peak / MIB, 1)


def measured_on_gpu(config: MethodConfig, precision: str, device: str) -> dict[str, float]:
    """What the allocator says at the peak."""
    peaks = {}
    module = made(config, device)
    trainer = attached(module, precision)
    for phase, step in phase_steps(module, trainer, random_batch(config, device)):
        step()
        torch.cuda.reset_peak_memory_stats(device)
        step()
        peaks[phase] = round(torch.cuda.max_memory_allocated(device) / MIB, 1)
    return peaks


def recomputed_part_sets(config: MethodConfig) -> list[list[str]]:
    """Nothing, what images are made by, all parts."""
    parts = list(config.recomputable)
    return [[], ["generators"], parts] if "generators" in parts else [[], parts]


def rows_of(
    name: str, scale: str, precision: str, *, measure: str = "", predict: bool = True, whole: bool = False
) -> Iterator[dict[str, Any]]:
    """A row for each set of recomputed parts and each phase.

    Args:
        measure: the device to measure on; empty for predictions alone.
        predict: predict, too, which takes seconds on a CPU.
        whole: with nothing recomputed alone.
    """
    for parts in [[]] if whole else recomputed_part_sets(method_settings_of(name, scale)):
        config = method_settings_of(name, scale, f"model.recompute=[{','.join(parts)}]")
        row = {"method": name, "scale": scale, "precision": precision, "recompute": parts, "images": images_of(config)}
        forecast = predicted(config, precision) if predict else {}
        actual: dict[str, float] = {}
        problem = ""
        if measure:
            try:
                actual = (
                    measured(config, precision) if measure == "cpu" else measured_on_gpu(config, precision, measure)
                )
            except torch.OutOfMemoryError:
                problem = "out of memory"
        for phase in config.active_phases():
            found = {**row, "phase": phase}
            if phase in forecast:
                found["predicted_mib"] = forecast[phase]
            if phase in actual:
                found["measured_mib"] = actual[phase]
            if problem:
                found["problem"] = problem
            yield found
        gc.collect()
        if measure.startswith("cuda"):
            torch.cuda.empty_cache()


def images_of(config: MethodConfig) -> str:
    """Images of a batch, by stream."""
    texts = []
    for name, stream in config.streams.items():
        texts.append(f"{name} {2 * stream.identities * stream.images} of {stream.height}x{stream.width}")
    return ", ".join(texts)


def time_of_recomputing(name: str, scale: str, rounds: int) -> dict[str, Any]:
    """A step with all parts recomputed beside a step that keeps everything, by phase."""
    steps = []
    for parts in ([], list(method_settings_of(name, scale).recomputable)):
        config = method_settings_of(name, scale, f"model.recompute=[{','.join(parts)}]")
        module = make_method(config, CLASSES, seed=0)
        steps.append(phase_steps(module, attached(module), random_batch(config, "cpu")))
    found = {}
    for (phase, plain), (_, recomputed) in zip(*steps, strict=True):
        found[f"{name}, {phase}, recomputed"] = paired(
            recomputed, plain, rounds, of="step that keeps everything", clock="cpu"
        )
    return found


def h200(row: dict[str, Any]) -> float | None:
    """MiB that an H200 needed for a row at the paper's sizes, before there was ``recompute``."""
    if row["scale"] != "paper" or row["recompute"] or not ON_A_GPU.is_file():
        return None
    methods = json.loads(ON_A_GPU.read_text(encoding="utf-8"))["methods"]
    there = methods.get(row["method"], {}).get(row["phase"], {}).get(row["precision"], {})
    return round(1024 * there["peak_gib"], 1) if "peak_gib" in there else None


def table(content: dict[str, Any]) -> str:
    """The rows as Markdown."""
    lines = ["| method, phase | batch | precision | recomputed | predicted MiB | measured MiB | on an H200 |"]
    lines.append("|---" * 7 + "|")
    for row in content["rows"]:
        cells = [
            f"{row['method']}, {row['phase']}",
            row["images"],
            row["precision"],
            ", ".join(row["recompute"]) or "nothing",
            row.get("predicted_mib", ""),
            row.get("measured_mib", row.get("problem", "")),
            row.get("h200_mib", ""),
        ]
        lines.append(f"| {' | '.join(map(str, cells))} |")
    lines.append("")
    lines.append("| | ms, recomputed | ms, kept | ratio | noise |")
    lines.append("|---|---|---|---|---|")
    for name, found in content["measurements"].items():
        lines.append(f"| {name} | {found['value']} | {found['reference']} | {found['ratio']} | {found['noise']} |")
    return "\n".join(lines) + "\n"


def main(arguments: list[str]) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("output", type=Path)
    parser.add_argument("methods", nargs="*", help="names; without names all; 'none' for none")
    parser.add_argument(
        "--scale", default="small", choices=("smoke", "small", "medium", "paper"), help="what is measured"
    )
    parser.add_argument("--precision", nargs="+", default=["32-true"], choices=("32-true", "bf16-mixed"))
    parser.add_argument("--device", default="cpu")
    parser.add_argument(
        "--paper", nargs="*", default=None, metavar="METHOD", help="predict these at scale=paper; without names all"
    )
    parser.add_argument("--time", nargs="*", default=[], metavar="METHOD", help="steps with and without, in turns")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--measure-only", action="store_true", help="no predictions, which take seconds each")
    parser.add_argument("--predict-only", action="store_true", help="nothing is measured: for sizes that need a GPU")
    parser.add_argument("--whole", action="store_true", help="with nothing recomputed alone")
    parser.add_argument("--add", action="store_true", help="to the rows that OUTPUT.json has")
    chosen = parser.parse_args(arguments)
    content = facts(chosen.device, {key: value for key, value in vars(chosen).items() if key != "output"})
    content["rows"] = []
    if chosen.add and chosen.output.is_file():
        before = json.loads(chosen.output.read_text(encoding="utf-8"))
        content["rows"] = before["rows"]
        content["measurements"] = before["measurements"]

    def keep(row: dict[str, Any]) -> None:
        if (there := h200(row)) is not None:
            row["h200_mib"] = there
        content["rows"].append(row)
        print(row, flush=True)
        save(content, chosen.output, table)

    measured_methods = trained_methods(chosen.methods) if "none" not in chosen.methods else []
    for name in measured_methods:
        for precision in chosen.precision:
            measure = "" if chosen.predict_only else chosen.device
            how = {"predict": not chosen.measure_only, "whole": chosen.whole}
            for row in rows_of(name, chosen.scale, precision, measure=measure, **how):
                keep(row)
    if chosen.paper is not None:
        for name in trained_methods(chosen.paper):
            for precision in chosen.precision:
                for row in rows_of(name, "paper", precision):
                    keep(row)
    for name in chosen.time:
        content["measurements"] |= time_of_recomputing(name, chosen.scale, chosen.rounds)
    save(content, chosen.output, table)


if __name__ == "__main__":
    main(sys.argv[1:])
