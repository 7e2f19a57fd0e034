"""Speed of everything on this machine: JSON and a Markdown table, each measurement beside a named plain reference.

    python benchmarks/bench.py OUTPUT.json [--quick] [--only steps waiting ...]       (`make bench`: benchmarks/cpu.json)

Sections: ``steps`` (every method and phase beside the bare network and beside its own bare passes, and its parts),
``waiting`` (for input, beside the whole step), ``extraction`` (beside the bare forward), ``scoring`` (beside one query at a
time), ``reranking`` (beside dense NumPy), ``start_up`` (beside importing torch and Lightning), ``people`` (drawing beside
decoding). ``compare.py`` says what changed between two files by more than their noise. ``--quick`` looks at whether
everything runs, in a minute or two.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import extracting
import measuring
import pytorch_lightning as pl
import reranking
import scoring
import steps
from measuring import facts, measurement, paired, save

from crossreid.data.cache import open_cache
from crossreid.data.datamodule import ReIDDataModule
from crossreid.data.datasets import read_sysu_mm01
from crossreid.data.synthetic import SyntheticPeople, write_sysu_layout
from crossreid.settings.compose import compose, run_config
from crossreid.training.loading import make_method
from crossreid.training.trainer import make_trainer

Section = Callable[[Path, bool], dict[str, Any]]


def bench_steps(folder: Path, quick: bool) -> dict[str, Any]:
    """Every method and phase, with its parts."""
    chosen = ["--scale", "smoke", "--rounds", "2"] if quick else ["--scale", "small", "--rounds", "5"]
    names = ["onestream", "aligngan"] if quick else []
    content = steps.main([str(folder / "steps.json"), *names, *chosen, "--parts"])
    return {"measurements": content["measurements"], "parts": content["parts"]}


class Waiting(pl.Callback):
    """Seconds of each iteration, and of it those that the loop waited for its batch."""

    def __init__(self) -> None:
        self.waits: list[float] = []
        self.wholes: list[float] = []
        self._asked = 0.0

    def watch(self, loader: Any) -> Any:
        """A loader whose batches are handed on, with the time that each took to come."""
        return _Watched(loader, self.waits)

    def on_train_batch_start(self, *_: object) -> None:
        now = time.perf_counter()
        if self._asked:
            self.wholes.append(now - self._asked)
        self._asked = now


class _Watched:
    def __init__(self, loader: Any, waits: list[float]) -> None:
        self.loader, self.waits = loader, waits

    def __len__(self) -> int:
        return len(self.loader)

    def __iter__(self) -> Iterator[Any]:
        batches = iter(self.loader)
        while True:
            began = time.perf_counter()
            batch = next(batches, None)
            if batch is None:
                return
            self.waits.append(time.perf_counter() - began)
            yield batch


class WatchedData(ReIDDataModule):
    """The data module with a watched loader."""

    waiting: Waiting

    def train_dataloader(self) -> Any:
        return self.waiting.watch(super().train_dataloader())


def bench_waiting(folder: Path, quick: bool) -> dict[str, Any]:
    """Waiting for batches as a share of iterations, with a thread that gathers ahead and without."""
    scale = "smoke" if quick else "small"
    measurements = {}
    for threads in (1, 0):
        overrides = [f"scale={scale}", "model=agw", f"data.threads={threads}", "model.epochs=2"]
        waits, wholes = waited(folder, overrides)
        name = f"waiting for input, AGW, {scale}, {threads} thread(s) ahead"
        pairs = [(1000 * wait, 1000 * whole) for wait, whole in zip(waits[1:], wholes[1:], strict=False)]
        measurements[name] = measurement(pairs, of="iteration", unit="ms")
    return {"measurements": measurements}


def waited(folder: Path, overrides: list[str]) -> tuple[list[float], list[float]]:
    """Seconds that iterations of a real run waited for their batches, and took."""
    own = [f"data.root={folder / 'people'}", f"data.cache={folder / 'cache'}", "trainer=cpu", "trainer.progress=false"]
    config = run_config(compose("train", ["data=sysu_mm01", "data.counts=any", *overrides, *own]))
    data = WatchedData.for_method(config.data, config.model, progress=False)
    data.waiting = Waiting()
    data.prepare_data()
    method = config.model.with_epoch(data.iterations_per_epoch)
    module = make_method(method, data.num_identities, seed=0)
    module.log_every = 10**9
    trainer = make_trainer(config.trainer, method, len(module.OPTIMIZERS), folder, (), [data.waiting])
    trainer.fit(module, data)
    return data.waiting.waits, data.waiting.wholes


def bench_extraction(folder: Path, quick: bool) -> dict[str, Any]:
    """The extractor beside the bare forward, both from decoded images."""
    large = ["model.backbone.name=resnet50", "model.backbone.size=[288,144]"]
    large += ["model.streams.identity.height=288", "model.streams.identity.width=144"]
    train(folder, *([] if quick else large))
    found = extracting.extraction(str(folder / "run"), 64 if quick else 256, 2 if quick else 5)
    return {"measurements": {f"extraction, {found['images']} images of {found['size']}": found["measurement"]}}


def train(folder: Path, *overrides: str) -> None:
    """A smoke run, for its checkpoint."""
    subprocess.run([sys.executable, *smoke_command(folder), *overrides], check=True, capture_output=True)


def smoke_command(folder: Path) -> list[str]:
    """A smoke run of the one-stream baseline in ``folder / run``."""
    command = ["-m", "crossreid.train", "scale=smoke", "model=onestream", "trainer=cpu", "trainer.progress=false"]
    command += [f"data.root={folder / 'smoke'}", f"data.cache={folder / 'cache'}", "overwrite=true"]
    return [*command, f"run_dir={folder / 'run'}"]


def bench_scoring(folder: Path, quick: bool) -> dict[str, Any]:
    """The real test set's size."""
    measurements = scoring.scoring(people=8, every=20, rounds=2) if quick else scoring.scoring(96, 40, 3)
    return {"measurements": measurements}


def bench_reranking(folder: Path, quick: bool) -> dict[str, Any]:
    """A part of the real test set; ``reranking.py`` measures the whole of it, and memory."""
    probes, gallery = (120, 80) if quick else (1268, 1003)
    query, there = (part[:count] for part, count in zip(reranking.features(), (probes, gallery), strict=True))
    scorer = reranking.KReciprocal(k1=reranking.K1, k2=reranking.K2, lambda_=reranking.LAMBDA, device="cpu")
    sets = reranking.as_embeddings(query), reranking.as_embeddings(there)
    found = paired(
        partial(scorer, *sets), partial(reranking.dense, query, there), 2 if quick else 3, of="dense NumPy", clock="cpu"
    )
    return {"measurements": {f"re-ranking, {probes} + {gallery} images": found}}


def bench_start_up(folder: Path, quick: bool) -> dict[str, Any]:
    """CPU seconds from the start of Python, beside those of torch and Lightning alone."""
    reference = ["-c", "import torch, pytorch_lightning"]
    commands = {"import crossreid": ["-c", "import crossreid"], "train --help": ["-m", "crossreid.train", "--help"]}
    if not quick:
        train(folder)  # draws the people
        commands["smoke run, people there"] = smoke_command(folder)
    pairs: dict[str, list[tuple[float, float]]] = {name: [] for name in commands}
    for _ in range(1 if quick else 3):
        beside = children_seconds(reference)
        for name, command in commands.items():
            pairs[name].append((children_seconds(command), beside))
    measurements = {}
    for name, found in pairs.items():
        measurements[f"start-up, {name}"] = measurement(found, of="import torch, pytorch_lightning", unit="CPU s")
    return {"measurements": measurements}


def children_seconds(command: list[str]) -> float:
    """CPU seconds of a Python of its own."""
    before = os.times()
    subprocess.run([sys.executable, *command], check=True, capture_output=True)
    after = os.times()
    return after.children_user - before.children_user + after.children_system - before.children_system


def bench_people(folder: Path, quick: bool) -> dict[str, Any]:
    """Drawing and decoding people, an image each."""
    pairs = []
    for number in range(1 if quick else 3):
        root = folder / f"people{number}"
        people = SyntheticPeople(train_ids=4, val_ids=2, test_ids=4, frames=2 if quick else 6)
        drawing = measuring.timed(partial(write_sysu_layout, root, people, workers=1), "cpu")
        dataset = read_sysu_mm01(root, None)
        decode = partial(
            open_cache, dataset.records, root, folder / f"cache{number}", (people.height, people.width), progress=False
        )
        decoding = measuring.timed(decode, "cpu")
        count = len(dataset.records)
        pairs.append((1000 * drawing / count, 1000 * decoding / count))
    name = f"drawing an image of {people.height}x{people.width}"
    return {"measurements": {name: measurement(pairs, of="decoding it", unit="CPU ms")}}


SECTIONS: dict[str, Section] = {
    "people": bench_people,
    "steps": bench_steps,
    "waiting": bench_waiting,
    "extraction": bench_extraction,
    "scoring": bench_scoring,
    "reranking": bench_reranking,
    "start_up": bench_start_up,
}


def main(arguments: list[str]) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("output", type=Path)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--only", nargs="+", choices=SECTIONS, default=list(SECTIONS), help="sections")
    chosen = parser.parse_args(arguments)
    content = facts("cpu", {"quick": chosen.quick, "load": round(os.getloadavg()[0], 2)}) | {"parts": {}}
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        if "waiting" in chosen.only:
            people = SyntheticPeople(train_ids=12, val_ids=2, test_ids=4, frames=2 if chosen.quick else 6)
            write_sysu_layout(folder / "people", people, workers=1 if chosen.quick else os.cpu_count() or 1)
        for name in chosen.only:
            print(f"== {name}", flush=True)
            found = SECTIONS[name](folder, chosen.quick)
            content["measurements"] |= found["measurements"]
            content["parts"] |= found.get("parts", {})
            save(content, chosen.output, steps.with_parts)
    print(chosen.output.with_suffix(".md").read_text(encoding="utf-8"))


if __name__ == "__main__":
    main(sys.argv[1:])
