"""Re-ranking against a dense NumPy version: seconds, peak memory and the largest difference, as JSON.

    python benchmarks/reranking.py [OUTPUT.json [DEVICE ...]]

The size of SYSU-MM01, all-search, multi-shot: 3,803 probes and 3,010 gallery images of 2,048 dimensions. The dense
version is written from the paper's definition with float32 N x N matrices, `argpartition` and one loop over images; it
shares no code with the package. Each run has a process of its own, with the same imports and the same features, so that
its peak is its own: memory is the process's largest resident size less that at the start of the call. Runs take turns, and
the fastest of each counts.
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
from importlib.metadata import version
from pathlib import Path

import numpy as np
import torch

from crossreid.evaluation import Embeddings, KReciprocal
from crossreid.runs.folder import git_revision, write_json

PROBES, GALLERY, DIMENSIONS, PEOPLE = 3803, 3010, 2048, 96
K1, K2, LAMBDA = 20, 6, 0.3
REPEATS = 3


def features() -> tuple[np.ndarray, np.ndarray]:
    """Probes and gallery: a direction a person, one a modality, and noise of an image's own strength."""
    generator = np.random.default_rng(0)
    people = generator.standard_normal((PEOPLE, DIMENSIONS))
    sets = []
    for count in (PROBES, GALLERY):
        strength = generator.uniform(0.5, 1.5, (count, 1))
        noise = strength * generator.standard_normal((count, DIMENSIONS))
        modality = 0.5 * generator.standard_normal(DIMENSIONS)
        sets.append((people[np.sort(generator.integers(0, PEOPLE, count))] + modality + noise).astype(np.float32))
    return sets[0], sets[1]


def as_embeddings(part: np.ndarray) -> Embeddings:
    zeros = np.zeros(len(part), np.int64)
    return Embeddings({"main": part}, zeros, zeros + 1, zeros > 0, np.arange(len(part)), zeros, ("",) * len(part))


def dense(query: np.ndarray, gallery: np.ndarray) -> np.ndarray:
    """Minus the re-ranked distance (Q, G), the paper's definition, an image counted among its own neighbours."""
    probes = len(query)
    points = np.concatenate([query, gallery])
    points /= np.linalg.norm(points, axis=1, keepdims=True)
    distance = 1 - points @ points.T
    np.fill_diagonal(distance, -1)  # an image heads its own list
    order = np.argpartition(distance, range(K1), axis=1)[:, :K1]
    np.fill_diagonal(distance, 0)

    def reciprocal(i: int, k: int) -> np.ndarray:
        near = order[i, :k]
        return near[(order[near, :k] == i).any(axis=1)]

    vectors = np.zeros_like(distance)
    for i in range(len(points)):
        whole = members = reciprocal(i, K1)
        for j in whole:
            half = reciprocal(j, K1 // 2)
            if 3 * np.isin(half, whole).sum() >= 2 * len(half):
                members = np.union1d(members, half)
        vectors[i, members] = np.exp(-distance[i, members])
    mean = np.empty_like(vectors)
    for i in range(len(points)):
        mean[i] = vectors[order[i, :K2]].mean(axis=0)
    total = mean.sum(axis=1)
    result = np.empty((probes, len(gallery)), np.float32)
    for i in range(probes):
        columns = np.flatnonzero(mean[i])
        minima = np.minimum(mean[i, columns], mean[probes:, columns]).sum(axis=1)
        jaccard = 1 - minima / (total[i] + total[probes:] - minima)
        result[i] = -(1 - LAMBDA) * jaccard - LAMBDA * distance[i, probes:]
    return result


def resident() -> float:
    """MiB now."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize() / 2**20


def measure(what: str, folder: Path) -> None:
    """One run in this process: its result goes to a file, its figures to standard output."""
    query, gallery = (np.load(folder / f"{name}.npy") for name in ("query", "gallery"))
    torch.ones(8, 8) @ torch.ones(8, 8)
    np.ones((8, 8)) @ np.ones((8, 8))
    if what == "dense":
        before, began, worked = resident(), time.perf_counter(), time.process_time()
        result = dense(query, gallery)
    else:
        scorer = KReciprocal(k1=K1, k2=K2, lambda_=LAMBDA, device=what)
        sets = as_embeddings(query), as_embeddings(gallery)
        if what != "cpu":
            torch.ones(8, device=what).sum().item()  # the device starts before the clock does
        before, began, worked = resident(), time.perf_counter(), time.process_time()
        result = scorer(*sets)
    seconds, cpu_seconds = time.perf_counter() - began, time.process_time() - worked
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10
    np.save(folder / f"{what}.npy", result)
    figures = {"seconds": seconds, "cpu_seconds": cpu_seconds, "memory_mib": peak - before, "process_peak_mib": peak}
    print(json.dumps({name: round(value, 2) for name, value in figures.items()}))


def run(what: str, folder: Path) -> dict[str, float]:
    """Figures of one process."""
    command = [sys.executable, __file__, "--measure", what, str(folder)]
    figures: dict[str, float] = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    return figures


def main(output: Path | None, devices: list[str]) -> None:
    figures: dict[str, object] = {
        "machine": f"{os.cpu_count()} cores, {platform.machine()}",
        "threads": torch.get_num_threads(),
        "load": round(os.getloadavg()[0], 2),
        "versions": {name: version(name) for name in ("torch", "numpy", "scipy", "crossreid")},
        "git": git_revision(),
        "images": PROBES + GALLERY,
        "dimensions": DIMENSIONS,
    }
    with tempfile.TemporaryDirectory() as place:
        for name, part in zip(("query", "gallery"), features(), strict=True):
            np.save(Path(place) / f"{name}.npy", part)
        runs = [{what: run(what, Path(place)) for what in ("dense", *devices)} for _ in range(REPEATS)]
        best = {what: min((one[what] for one in runs), key=lambda one: one["seconds"]) for what in ("dense", *devices)}
        expected = np.load(Path(place) / "dense.npy")
        for device in devices:
            own = best[device]
            for name in ("seconds", "cpu_seconds"):
                own[f"times_fewer_{name}"] = round(best["dense"][name] / own[name], 2)
            own["share_of_memory"] = round(own["memory_mib"] / best["dense"]["memory_mib"], 3)
            own["largest_difference"] = float(np.abs(np.load(Path(place) / f"{device}.npy") - expected).max())
    figures |= best
    print(json.dumps(figures, indent=2))
    if output:
        write_json(output, figures)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--measure"]:
        measure(sys.argv[2], Path(sys.argv[3]))
    else:
        main(Path(sys.argv[1]) if len(sys.argv) > 1 else None, sys.argv[2:] or ["cpu"])
