"""Speed of data, training and scoring on this machine, as JSON.

    python benchmarks/bench.py [OUTPUT.json]          (`make bench` writes benchmarks/cpu.json)

Measured: people drawn a second, images decoded a second, batches loaded a second, AlignGAN iterations a second by phase
at `scale=small`; start-up as CPU seconds beside those of importing torch and Lightning; and the four SYSU-MM01 settings on
random features of the real test size (some 10,578 x 2,048) beside a plain evaluator that takes one probe at a time.
"""

from __future__ import annotations

import json
import os
import platform
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pytorch_lightning as pl
import torch

from crossreid.data.cache import open_cache
from crossreid.data.datamodule import ReIDDataModule
from crossreid.data.datasets import read_sysu_mm01
from crossreid.data.synthetic import SyntheticPeople, write_sysu_layout
from crossreid.evaluation import Embeddings, SysuMM01Protocol, score_sysu
from crossreid.evaluation.sysu import GALLERY_CAMERAS
from crossreid.runs.folder import git_revision, write_json
from crossreid.settings.compose import compose, run_config
from crossreid.training.loading import make_method
from crossreid.training.trainer import make_trainer


def timed(work: Callable[[], object]) -> float:
    """Seconds that ``work`` takes."""
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def timed_by_processor(work: Callable[[], object]) -> tuple[float, float]:
    """Seconds that ``work`` takes, and seconds that processors spend on it, which others on the machine hardly change."""
    used = time.process_time()
    seconds = timed(work)
    return seconds, time.process_time() - used


class PhaseClock(pl.Callback):
    """Seconds from the start of an iteration to the start of the next, loading included, by phase."""

    def __init__(self) -> None:
        self.seconds: dict[str, list[float]] = {}
        self._before: tuple[str, float] | None = None

    def on_train_batch_start(self, trainer: pl.Trainer, module: pl.LightningModule, *_: object) -> None:
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        now = time.perf_counter()
        if self._before is not None:
            self.seconds.setdefault(self._before[0], []).append(now - self._before[1])
        self._before = str(module.phase), now

    def rates(self) -> dict[str, float]:
        """Iterations a second by phase, from the median."""
        return {phase: round(1 / float(np.median(times[1:])), 3) for phase, times in self.seconds.items()}


def bench_drawing(root: Path, people: SyntheticPeople) -> float:
    """Images drawn a second with a process for each core, start of the processes included."""
    seconds = timed(lambda: write_sysu_layout(root, people, workers=os.cpu_count() or 1))
    return len(read_sysu_mm01(root, None).records) / seconds


def bench_data(folder: Path) -> dict[str, float]:
    small = bench_drawing(folder / "people", SyntheticPeople(train_ids=40, val_ids=4, test_ids=12, frames=6))
    large = SyntheticPeople(train_ids=20, val_ids=2, test_ids=6, frames=6, height=288, width=144)
    drawn = {
        "drawn_per_s_128x64": round(small, 1),
        "drawn_per_s_288x144": round(bench_drawing(folder / "large", large), 1),
    }
    dataset = read_sysu_mm01(folder / "people", None)
    count = len(dataset.records)
    decoding = timed(lambda: open_cache(dataset.records, dataset.root, folder / "cache", (128, 64), progress=False))
    return {"images": count, **drawn, "decoded_per_s": round(count / decoding, 1)}


def bench_training(folder: Path, *overrides: str) -> dict[str, object]:
    own = [f"data.root={folder / 'people'}", f"data.cache={folder / 'cache'}", "data.counts=any"]
    config = run_config(compose("train", ["data=sysu_mm01", "scale=small", *own, *overrides]))
    data = ReIDDataModule.for_method(config.data, config.model, progress=False)
    data.prepare_data()
    method = config.model.with_epoch(data.iterations_per_epoch)
    module = make_method(method, data.num_identities, seed=0)
    clock = PhaseClock()
    trainer = make_trainer(config.trainer, method, len(module.OPTIMIZERS), folder, (), [clock])
    if torch.cuda.is_available():
        torch.cuda.reset_peak_memory_stats()
    module.log_every = 10**9
    trainer.fit(module, data)
    figures: dict[str, object] = {"overrides": list(overrides), "iterations_per_s": clock.rates()}
    figures["precision"] = config.trainer.precision
    if torch.cuda.is_available():
        figures["peak_gpu_memory_gib"] = round(torch.cuda.max_memory_allocated() / 2**30, 2)
    return figures


def sysu_sized(people: int = 96, frames: int = 20) -> Embeddings:
    """Random features of the real test set's size, everybody in every camera."""
    pids, camids, kept = np.meshgrid(np.arange(1, people + 1), np.arange(1, 7), np.arange(frames), indexing="ij")
    pids, camids, kept = pids.ravel(), camids.ravel(), kept.ravel()
    features = np.random.default_rng(0).normal(size=(len(pids), 2048)).astype(np.float32)
    infrared = np.isin(camids, (3, 6))
    return Embeddings({"main": features}, pids, camids, infrared, kept, np.arange(len(pids)), ("",) * len(pids))


class QueryByQuery:
    """The plain reference: one trial, each probe by itself, as the protocol is written down. Making one normalises."""

    def __init__(self, embeddings: Embeddings, protocol: SysuMM01Protocol) -> None:
        self.probes = embeddings.select(protocol.queries(embeddings))
        self.gallery = embeddings.select(protocol.gallery(embeddings, 0))
        self.unit_probes = self._unit(self.probes.features["main"])
        self.unit_gallery = self._unit(self.gallery.features["main"])

    @staticmethod
    def _unit(features: np.ndarray) -> np.ndarray:
        exact = features.astype(np.float64)
        return exact / np.linalg.norm(exact, axis=1, keepdims=True)

    def score(self, every: int) -> None:
        """Every so-manieth probe."""
        place = np.array([0, 1, 2, 2, 4, 5, 6])  # of each camera
        gallery_pids = self.gallery.pids.tolist()
        for q in range(0, len(self.probes), every):
            similarity = (self.unit_gallery @ self.unit_probes[q]).tolist()
            counts = np.flatnonzero(place[self.gallery.camids] != place[self.probes.camids[q]]).tolist()
            ranked = sorted(counts, key=lambda g: -similarity[g])
            listed: list[int] = []
            match_ranks: list[int] = []
            for rank, g in enumerate(ranked, start=1):
                pid = gallery_pids[g]
                if not match_ranks and pid not in listed:
                    listed.append(pid)
                if pid == self.probes.pids[q]:
                    match_ranks.append(rank)
            if match_ranks:
                sum(i / rank for i, rank in enumerate(match_ranks, start=1)) / len(match_ranks)


def bench_scoring(every: int = 40) -> dict[str, float]:
    """All four settings, ten trials each; the reference is one trial of each on some of the probes, times what is left out."""
    embeddings = sysu_sized()
    seconds, cpu_seconds = timed_by_processor(lambda: score_sysu(embeddings, draw="seeded"))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    reference, reference_cpu = 0.0, 0.0
    for mode in GALLERY_CAMERAS:
        for shots in (1, 10):
            protocol = SysuMM01Protocol(mode, shots, draw="seeded")
            one_trial = partial(QueryByQuery, embeddings, protocol)
            wall, used = timed_by_processor(one_trial)
            some_wall, some_used = timed_by_processor(partial(one_trial().score, every))
            reference += protocol.trials * (wall + every * some_wall)
            reference_cpu += protocol.trials * (used + every * some_used)
    return {
        "images": len(embeddings),
        "dimensions": 2048,
        "seconds": round(seconds, 1),
        "cpu_seconds": round(cpu_seconds, 1),
        "per_query_reference_seconds": round(reference, 1),
        "times_faster": round(reference / seconds, 1),
        "times_fewer_cpu_seconds": round(reference_cpu / cpu_seconds, 1),
        "process_peak_gib": round(peak, 2),
    }


def bench_start_up(folder: Path, repeats: int = 3) -> dict[str, object]:
    """CPU seconds from the start of Python, beside that of torch and Lightning alone; medians of runs that take turns."""
    smoke = ["-m", "crossreid.train", "scale=smoke", "model=baseline", "trainer=cpu", "trainer.progress=false"]
    own = [
        f"data.root={folder / 'smoke'}",
        f"data.cache={folder / 'cache'}",
        "overwrite=true",
        f"run_dir={folder / 'run'}",
    ]
    commands = {
        "import torch, pytorch_lightning": ["-c", "import torch, pytorch_lightning"],
        "import crossreid": ["-c", "import crossreid"],
        "train --help": ["-m", "crossreid.train", "--help"],
        "train scale=smoke, people there": [*smoke, *own],
    }
    subprocess.run([sys.executable, *smoke, *own], check=True, capture_output=True)  # draws the people
    seconds: dict[str, list[float]] = {name: [] for name in commands}
    for _ in range(repeats):
        for name, command in commands.items():
            before = os.times()
            subprocess.run([sys.executable, *command], check=True, capture_output=True)
            after = os.times()
            used = after.children_user - before.children_user + after.children_system - before.children_system
            seconds[name].append(used)
    medians = {name: float(np.median(times)) for name, times in seconds.items()}
    reference = medians["import torch, pytorch_lightning"]
    return {
        name: {"cpu_s": round(time, 2), "of_reference": round(time / reference, 2)} for name, time in medians.items()
    }


def cpu_name() -> str:
    names = [
        line.split(":")[1].strip() for line in Path("/proc/cpuinfo").read_text().splitlines() if "model name" in line
    ]
    return f"{len(names)} x {names[0]}" if names else platform.processor()


def main(output: Path | None, *overrides: str) -> None:
    figures: dict[str, object] = {
        "machine": cpu_name(),
        "gpu": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
        "versions": {
            name: version(name) for name in ("torch", "torchvision", "pytorch-lightning", "numpy", "crossreid")
        },
        "git": git_revision(),
    }
    with tempfile.TemporaryDirectory() as place:
        figures["data"] = bench_data(Path(place))
        small = ["model.phases={feature: 20, pixel: 20, joint: 20}", "model.iterations_per_epoch=20"]
        figures["aligngan"] = bench_training(Path(place), *(overrides or small))
        if not overrides:
            figures["start_up"] = bench_start_up(Path(place))
    if not overrides:
        figures["scoring"] = bench_scoring()
    print(json.dumps(figures, indent=2))
    if output:
        write_json(output, figures)


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else None, *sys.argv[2:])
