"""Latency and throughput of a method in PyTorch (float32, bfloat16), as a program of torch.export, and in ONNX Runtime.

    python benchmarks/exported.py OUTPUT.json [METHOD ...] [--size 288 144] [--rounds 7] [--batches 1 32]

Weights are random: they do not change the time. All ways take the same uint8 images and take turns; what is kept of each is the
median over the rounds, and of the ratios to PyTorch's float32 of the same round. A Markdown table is written beside the JSON.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch

import crossreid
from crossreid.console import quiet
from crossreid.data.transforms import to_float
from crossreid.extraction.exported import ExportedNetwork
from crossreid.methods.base import CrossModalityModule
from crossreid.runs.folder import git_revision, write_json
from crossreid.settings.compose import compose, run_config
from crossreid.training.environment import machine
from crossreid.training.loading import make_method

Way = Callable[[np.ndarray], Any]
REFERENCE = "PyTorch, float32"
_TOO_SLOW = 5
"""What takes so many times as long in the first round (bfloat16 on a processor without it) is not measured again."""


def checkpoint_of(method: str, size: tuple[int, int], folder: Path) -> tuple[Path, int]:
    """A checkpoint with random weights; its parameters."""
    config = run_config(compose("train", [f"model={method}", "scale=paper", "data=sysu_mm01", "data.root=."]))
    for part in vars(config.model).values():
        if hasattr(part, "weights"):
            part.weights = "random"
    if getattr(config.model, "iterations_per_epoch", 1) is None:
        config.model.iterations_per_epoch = 1
    for stream in config.model.streams.values():
        stream.height, stream.width = size
    module = make_method(config.model, 395, 0)
    saved: dict[str, Any] = {"state_dict": module.state_dict(), "optimizer_states": [], "loops": {}}
    module.on_save_checkpoint(saved)
    saved["crossreid"]["phase"] = next(iter(config.model.active_phases()), "")
    path = folder / f"{method}.ckpt"
    torch.save(saved, path)
    return path, sum(parameter.numel() for parameter in module.parameters())


def ways_of(path: Path, folder: Path, *, bfloat16: bool) -> dict[str, Way]:
    """Name -> what embeds (B, H, W, 3) uint8 of visible images."""
    module = crossreid.load(path, device="cpu")
    programs = {}
    for kind, name in (("torch", "torch.export"), ("onnx", "ONNX Runtime, float32")):
        exported = crossreid.export(path, folder / f"{path.stem}.{kind}", kind)
        network = ExportedNetwork(exported, "cpu", trust=True)
        programs[name] = lambda pixels, network=network: network.embed(pixels, "visible")()
    ways: dict[str, Way] = {REFERENCE: lambda pixels: by_torch(module, pixels, None)}
    if bfloat16:
        ways["PyTorch, bfloat16"] = lambda pixels: by_torch(module, pixels, torch.bfloat16)
    return ways | programs


def by_torch(module: CrossModalityModule[Any], pixels: np.ndarray, kind: torch.dtype | None) -> Any:
    images = to_float(torch.from_numpy(pixels).permute(0, 3, 1, 2))
    with torch.inference_mode(), torch.autocast("cpu", dtype=kind, enabled=kind is not None):
        return module.embed(images, "visible")["main"].float().numpy()


def measured(
    ways: dict[str, Way], size: tuple[int, int], batch: int, rounds: int, clock: Callable[[], float]
) -> dict[str, dict[str, float]]:
    """Name -> milliseconds of a batch, images a second, and the share of PyTorch's time."""
    pixels = np.random.default_rng(0).integers(0, 256, (batch, *size, 3), dtype=np.uint8)
    for way in ways.values():
        way(pixels)
    times: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(rounds):
        for name, way in ways.items():
            if times[name] and times[name][0] > _TOO_SLOW * times[REFERENCE][0]:
                continue
            begun = clock()
            way(pixels)
            times[name].append(clock() - begun)
    result = {}
    for name, seconds in times.items():
        middle = statistics.median(seconds)
        shares = [own / other for own, other in zip(seconds, times[REFERENCE], strict=False)]
        result[name] = {
            "milliseconds": round(1000 * middle, 1),
            "images_per_second": round(batch / middle, 1),
            "share_of_time": round(statistics.median(shares), 3),
        }
    return result


def table(results: dict[str, Any], batches: list[int]) -> str:
    heads = [f"{batch} image{'s' * (batch > 1)}, ms (share)" for batch in batches]
    lines = [f"| method | way | {' | '.join(heads)} | images/s |", "|---|---|" + "---:|" * (len(batches) + 1)]
    for method, entry in results.items():
        for name in entry["batches"][str(batches[0])]:
            cells = [entry["batches"][str(batch)][name] for batch in batches]
            times = [f"{cell['milliseconds']} ({cell['share_of_time']:.2f})" for cell in cells]
            lines.append(f"| {method} | {name} | {' | '.join(times)} | {cells[-1]['images_per_second']} |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("output", type=Path)
    parser.add_argument("methods", nargs="*", default=["onestream", "agw", "aligngan"])
    parser.add_argument("--size", nargs=2, type=int, default=[288, 144])
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument(
        "--clock", default="wall", choices=("wall", "cpu"), help="cpu: of this process, where others use the machine"
    )
    parser.add_argument("--batches", nargs="+", type=int, default=[1, 32])
    parser.add_argument(
        "--no-bfloat16", action="store_true", help="for processors that have none: it takes minutes a batch there"
    )
    arguments = parser.parse_args()
    quiet()
    size = (arguments.size[0], arguments.size[1])
    clock = time.perf_counter if arguments.clock == "wall" else time.process_time
    results: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as folder:
        for method in arguments.methods or ["onestream", "agw", "aligngan"]:
            path, parameters = checkpoint_of(method, size, Path(folder))
            ways = ways_of(path, Path(folder), bfloat16=not arguments.no_bfloat16)
            batches = {}
            for batch in arguments.batches:
                batches[str(batch)] = measured(ways, size, batch, arguments.rounds, clock)
            results[method] = {"parameters": parameters, "batches": batches}
    content = {
        "command": f"python benchmarks/exported.py {' '.join(sys.argv[1:])}",
        "size": list(size),
        "rounds": arguments.rounds,
        "clock": arguments.clock,
        "machine": machine(torch.device("cpu")),
        "torch": torch.__version__,
        "onnxruntime": __import__("onnxruntime").__version__,
        "commit": git_revision(),
        "methods": results,
    }
    write_json(arguments.output, content)
    arguments.output.with_suffix(".md").write_text(table(results, arguments.batches) + "\n", encoding="utf-8")
    print(table(results, arguments.batches))


if __name__ == "__main__":
    main()
