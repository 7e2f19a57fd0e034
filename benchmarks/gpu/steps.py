"""Milliseconds of a training step and peak memory of every method and phase at the paper's sizes, beside the bare network.

usage: python benchmarks/gpu/steps.py OUTPUT.json [DEVICE] [SCALE] [STEPS]

Batches are random and lie on the device, so that the step alone is measured; steps are timed together, so that nothing
waits for the device between them.
"""

from __future__ import annotations

import gc
import json
import logging
import sys
import time
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
import torchvision

from crossreid.data.batches import PairedBatch, TrainingBatch
from crossreid.settings.compose import compose, run_config
from crossreid.settings.method import MethodConfig
from crossreid.settings.registry import built_in_methods
from crossreid.training.environment import machine
from crossreid.training.loading import make_method

WARMUP, IDENTITIES, EPOCH = 4, 395, 696


class RandomBatches(pl.LightningDataModule):
    """One random batch of a method's streams, again and again."""

    iterations_per_epoch = EPOCH

    def __init__(self, config: MethodConfig, device: torch.device, steps: int) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(0)
        self.batch: TrainingBatch = {}
        for name, stream in config.streams.items():
            pids = torch.arange(stream.identities).repeat_interleave(stream.images)
            shape = (len(pids), 3, stream.height, stream.width)
            visible, infrared = (torch.rand(shape, generator=generator).to(device) for _ in range(2))
            self.batch[name] = PairedBatch(visible, infrared, pids.to(device), 0)
        self.steps = steps

    def train_dataloader(self) -> Any:
        return _Repeated(self.batch, self.steps)


class _Repeated:
    def __init__(self, batch: TrainingBatch, count: int) -> None:
        self.batch, self.count = batch, count

    def __len__(self) -> int:
        return self.count

    def __iter__(self) -> Iterator[TrainingBatch]:
        return (self.batch for _ in range(self.count))


class Clock(pl.Callback):
    """Seconds between the end of the warm-up and the end of the last step."""

    def __init__(self, device: torch.device, steps: int) -> None:
        self.device, self.steps, self.seconds = device, steps, 0.0
        self.count = 0

    def _now(self) -> float:
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)
        return time.perf_counter()

    def on_train_batch_end(self, *args: Any, **kwargs: Any) -> None:
        self.count += 1
        if self.count == WARMUP:
            self.began = self._now()
        elif self.count == WARMUP + self.steps:
            self.seconds = self._now() - self.began


def measure(config: MethodConfig, phase: str, precision: str, device: torch.device, steps: int) -> dict[str, Any]:
    """One method in one phase."""
    config = config.with_epoch(EPOCH)
    module = make_method(config, IDENTITIES, seed=0)
    module.log_every = 10
    for name, length in config.active_phases().items():
        if name == phase:
            break
        module.iteration += length
    clock = Clock(device, steps)
    trainer = pl.Trainer(
        accelerator="gpu" if device.type == "cuda" else "cpu",
        devices=1,
        precision=precision,
        max_epochs=1,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        use_distributed_sampler=False,
        callbacks=[clock],
    )
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
    trainer.fit(module, RandomBatches(config, device, WARMUP + steps))
    if not clock.seconds:
        return {"problem": "training ended before the last step: take a larger scale"}
    found: dict[str, Any] = {"milliseconds": round(1000 * clock.seconds / steps, 2)}
    if device.type == "cuda":
        found["peak_gib"] = round(torch.cuda.max_memory_allocated(device) / 2**30, 2)
    return found


def bare_network(device: torch.device, precision: str, steps: int, channels_last: bool) -> float:
    """Milliseconds of forward, backward and SGD of a ResNet-50 on 64 images of 288x144: the floor of `strong` and its kind."""
    layout = torch.channels_last if channels_last else torch.contiguous_format
    network = torchvision.models.resnet50(num_classes=IDENTITIES).to(device, memory_format=layout)
    optimizer = torch.optim.SGD(network.parameters(), lr=0.01, momentum=0.9)
    images = torch.rand(64, 3, 288, 144, device=device).to(memory_format=layout)
    labels = torch.randint(IDENTITIES, (64,), device=device)
    for step in range(WARMUP + steps):
        if step == WARMUP:
            torch.cuda.synchronize(device)
            began = time.perf_counter()
        with torch.autocast(device.type, dtype=torch.bfloat16, enabled=precision == "bf16-mixed"):
            loss = torch.nn.functional.cross_entropy(network(images), labels)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
    torch.cuda.synchronize(device)
    return round(1000 * (time.perf_counter() - began) / steps, 2)


def main() -> None:
    output = Path(sys.argv[1])
    device = torch.device(sys.argv[2] if len(sys.argv) > 2 else "cuda")
    scale = sys.argv[3] if len(sys.argv) > 3 else "paper"
    steps = int(sys.argv[4]) if len(sys.argv) > 4 else 12
    logging.getLogger("pytorch_lightning.utilities.rank_zero").setLevel(logging.ERROR)
    warnings.filterwarnings("ignore")
    content: dict[str, Any] = {"machine": machine(device), "torch": torch.__version__, "scale": scale, "steps": steps}
    if device.type == "cuda":
        content["bare_resnet50_64x288x144"] = {
            f"{precision}{' channels_last' if last else ''}": bare_network(device, precision, steps, last)
            for precision in ("32-true", "bf16-mixed")
            for last in (False, True)
        }
    content["methods"] = {}
    for name in built_in_methods():
        config = run_config(compose("train", [f"model={name}", f"scale={scale}"])).model
        phases = list(config.with_epoch(EPOCH).active_phases()) if config.trains else []
        for phase in phases:
            for precision in ("bf16-mixed", "32-true") if device.type == "cuda" else ("32-true",):
                try:
                    found = measure(config, phase, precision, device, steps)
                except torch.OutOfMemoryError:
                    found = {"problem": "out of memory"}
                content["methods"].setdefault(name, {}).setdefault(phase, {})[precision] = found
                print(f"{name:12} {phase:12} {precision:12} {found}")
                gc.collect()
                torch.cuda.empty_cache()
                output.write_text(json.dumps(content, indent=2) + "\n")


if __name__ == "__main__":
    main()
