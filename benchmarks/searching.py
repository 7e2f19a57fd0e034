"""Galleries in folders beside exact search with NumPy and FAISS, in one run.

python benchmarks/searching.py --gallery 100000 1000000 --output benchmarks/results/searching.json

Its processes import what a user's `index` and `search` do: no torch, and none of training's settings for memory.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import resource
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from importlib.metadata import version
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np

from crossreid.evaluation import Embeddings
from crossreid.galleries import Gallery

DIMENSION, IMAGES_OF_A_PERSON = 512, 20
ADDED_AT_ONCE = 65_536


def timed(work: Callable[[], object]) -> float:
    """Seconds of one call."""
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def people(start: int, count: int, noise: float) -> Embeddings:
    """Unit vectors clustered like persons; ``noise`` 0.65 gives cosines of about 0.84 to the person's centre."""
    rng = np.random.default_rng(start)
    person = (start + np.arange(count)) // IMAGES_OF_A_PERSON
    centres = centres_of(np.unique(person))
    vectors = centres[person - person[0]]
    vectors += np.float32(noise) * rng.standard_normal((count, DIMENSION), dtype=np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    camera = 1 + (np.arange(count) % 6)
    return Embeddings(
        features={"main": vectors},
        pids=person + 1,
        camids=camera,
        infrared=camera > 3,
        frames=np.zeros(count),
        rows=np.arange(count),
        paths=tuple(f"{start + place:08d}.jpg" for place in range(count)),
        columns={"camera": camera.tolist()},
        about={"model": "0" * 64},
    )


def centres_of(persons: np.ndarray) -> np.ndarray:
    """Directions (P, D) of persons, each drawn by its number."""
    return np.stack(
        [np.random.default_rng(10**6 + int(p)).standard_normal(DIMENSION, dtype=np.float32) for p in persons]
    )


def queries_of(count: int, noise: float) -> Embeddings:
    """A thousand further images of persons of the gallery."""
    rng = np.random.default_rng(7)
    chosen = rng.integers(0, max(1, count // IMAGES_OF_A_PERSON), 1000)
    asked = centres_of(chosen)
    asked += np.float32(noise) * rng.standard_normal(asked.shape, dtype=np.float32)
    asked /= np.linalg.norm(asked, axis=1, keepdims=True)
    return Embeddings(**{**vars(people(0, 1000, noise)), "features": {"main": asked}})


def added(count: int, noise: float, folder: Path) -> dict[str, Any]:
    """Add, in a process of its own, which makes the images too."""
    Gallery.open(folder / "first").add(people(0, 100, noise))  # imports the library
    place = Gallery.open(folder / "g")
    load = os.getloadavg()[0]
    adding = 0.0
    for start in range(0, count, ADDED_AT_ONCE):
        part = people(start, min(ADDED_AT_ONCE, count - start), noise)
        adding += timed(lambda part=part: place.add(part))
    return {
        "images": count,
        "noise": noise,
        "load_adding": load,
        "adding_s": round(adding, 1),
        "adding_peak_gib": peak(),
    }


def built(count: int, noise: float, folder: Path) -> dict[str, Any]:
    """Build the index and measure its recall, in a process of its own."""
    place = Gallery.open(folder / "g")
    load = os.getloadavg()[0]
    begun = os.times()
    building = timed(place.build)
    ended = os.times()
    return {
        "load_building": load,
        "building_s": round(building, 1),
        "building_cpu_s": round(ended.user - begun.user + ended.system - begun.system, 1),
        "building_peak_gib": peak(),
        "index": place.info()["index"],
    }


def searched(count: int, noise: float, folder: Path) -> dict[str, Any]:
    """Search, in a process of its own."""
    place = Gallery.open(folder / "g")
    queries = queries_of(count, noise)
    place.search(queries.select(slice(20)), 10)
    load = os.getloadavg()[0]
    single = [timed(lambda i=i: place.search(queries.select(slice(i, i + 1)), 10)) for i in range(200)]
    filtered = []
    for i in range(100):
        one = queries.select(slice(i, i + 1))
        filtered.append(timed(lambda one=one: place.search(one, 10, filter="camera != 3")))
    ratios, whole = [], []
    for turn in range(5):  # paired, in alternation: the machine's other work changes by the minute
        alone = [
            timed(lambda i=i: place.search(queries.select(slice(i, i + 1)), 10))
            for i in range(40 * turn, 40 * turn + 40)
        ]
        whole.append(timed(lambda: place.search(queries, 10)))
        ratios.append(statistics.mean(alone) * 1000 / whole[-1])
    hits = place.search(queries, 10)
    return {
        "load_searching": load,
        "median_ms": milliseconds(single),
        "p99_ms": round(1000 * float(np.quantile(single, 0.99)), 1),
        "filtered_median_ms": milliseconds(filtered),
        "thousand_at_once_ms_each": round(statistics.median(whole), 2),
        "one_by_one_over_at_once": round(statistics.median(ratios), 1),
        "searching_peak_gib": peak(),
        "found": [list(entries.paths) for entries in hits.lists],
    }


def compared(count: int, noise: float, found: list[list[str]]) -> dict[str, Any]:
    """Recall, and exact search with NumPy and FAISS, in a process of its own."""
    matrix = np.empty((count, DIMENSION), dtype=np.float32)
    for start in range(0, count, ADDED_AT_ONCE):
        part = people(start, min(ADDED_AT_ONCE, count - start), noise).features["main"]
        matrix[start : start + len(part)] = part
    vectors = queries_of(count, noise).features["main"]
    shares = []
    for start in range(0, len(vectors), 50):
        similarity = vectors[start : start + 50] @ matrix.T
        for row, truth in enumerate(np.argpartition(-similarity, 10, axis=1)[:, :10]):
            shares.append(len(set(found[start + row]) & {f"{place:08d}.jpg" for place in truth}) / 10)
    result: dict[str, Any] = {"recall_at_10": round(float(np.mean(shares)), 4)}
    numpy = [timed(lambda i=i: np.argpartition(-(matrix @ vectors[i]), 10)) for i in range(30)]
    result["numpy_median_ms"] = milliseconds(numpy)
    try:
        import faiss  # noqa: PLC0415 - not needed otherwise
    except ImportError:
        return result
    flat = faiss.IndexFlatIP(DIMENSION)
    flat.add(matrix)
    result["faiss"] = faiss.__version__
    result["faiss_flat_median_ms"] = milliseconds(
        [timed(lambda i=i: flat.search(vectors[i : i + 1], 10)) for i in range(30)]
    )
    result["faiss_flat_thousand_at_once_ms_each"] = round(timed(lambda: flat.search(vectors, 10)), 2)
    return result


def milliseconds(seconds: list[float]) -> float:
    """The median."""
    return round(1000 * statistics.median(seconds), 1)


def peak() -> float:
    """Largest resident memory of this process so far, GiB."""
    return round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20, 2)


def gallery(count: int, noise: float, folder: Path) -> dict[str, Any]:
    """Adding, building, searching a folder of LanceDB; exact search in NumPy and FAISS beside it."""
    result: dict[str, Any] = {}
    for work in (added, built, searched):
        with ProcessPoolExecutor(1, get_context("spawn")) as process:
            result |= process.submit(work, count, noise, folder).result()
    with ProcessPoolExecutor(1, get_context("spawn")) as process:
        result |= process.submit(compared, count, noise, result.pop("found")).result()
    return result


def processor() -> str:
    """Its name, where the system says it."""
    lines = Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").is_file() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--gallery", type=int, nargs="*", default=[100_000])
    parser.add_argument("--noise", type=float, default=0.65)
    parser.add_argument("--output", type=Path)
    told = parser.parse_args()
    result: dict[str, Any] = {
        "command": " ".join(["python", *sys.argv]),
        "machine": platform.machine(),
        "cores": os.cpu_count(),
        "processor": processor(),
        "numpy": np.__version__,
        "lancedb": version("lancedb"),
    }
    result["galleries"] = []
    for count in told.gallery:
        with tempfile.TemporaryDirectory() as folder:
            result["galleries"].append(gallery(count, told.noise, Path(folder)))
    text = json.dumps(result, indent=2)
    print(text)
    if told.output:
        told.output.write_text(text + "\n")


if __name__ == "__main__":
    main()
