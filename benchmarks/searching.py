"""Extraction beside the bare network, and galleries beside exact search with NumPy and FAISS, in one run.

python benchmarks/searching.py RUN --images 1024 --gallery 100000 --output benchmarks/results/searching.json
"""

from __future__ import annotations

import argparse
import json
import platform
import resource
import statistics
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import torch
from measuring import paired, timed

from crossreid.data.transforms import to_float
from crossreid.evaluation import Embeddings
from crossreid.extraction import Extractor
from crossreid.galleries import Gallery

DIMENSION, IMAGES_OF_A_PERSON = 512, 20
ADDED_AT_ONCE = 65_536


def extraction(run: str, count: int, repeats: int) -> dict[str, Any]:
    """Images a second from decoded images, through the extractor and through the bare network, in alternation."""
    extract = Extractor(run, batch_size=64)
    height, width = extract.size
    pixels = np.random.default_rng(0).integers(0, 256, (count, height, width, 3), dtype=np.uint8)

    def bare() -> None:
        for start in range(0, count, 64):
            part = torch.from_numpy(pixels[start : start + 64]).to(extract.module.device).permute(0, 3, 1, 2)
            with torch.inference_mode():
                extract.module.embed(to_float(part), "visible")["main"].cpu()

    extract(pixels[:64], modality="visible")
    found = paired(lambda: extract(pixels, modality="visible"), bare, repeats, of="bare forward")
    return {
        "method": extract.about["method"],
        "size": "x".join(map(str, extract.size)),
        "images": count,
        "images_per_second": round(1000 * count / found["value"], 1),
        "share_of_the_bare_network": round(1 / found["ratio"], 3),
        "measurement": found,
    }


def people(start: int, count: int, noise: float) -> Embeddings:
    """Unit vectors clustered like persons; ``noise`` 0.65 gives cosines of about 0.84 to the person's centre."""
    rng = np.random.default_rng(start)
    person = (start + np.arange(count)) // IMAGES_OF_A_PERSON
    centres = np.stack([np.random.default_rng(10**6 + int(p)).standard_normal(DIMENSION) for p in np.unique(person)])
    vectors = centres[person - person[0]] + noise * rng.standard_normal((count, DIMENSION))
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    camera = 1 + (np.arange(count) % 6)
    return Embeddings(
        features={"main": vectors.astype(np.float32)},
        pids=person + 1,
        camids=camera,
        infrared=camera > 3,
        frames=np.zeros(count),
        rows=np.arange(count),
        paths=tuple(f"{start + place:08d}.jpg" for place in range(count)),
        columns={"camera": camera.tolist()},
        about={"model": "0" * 64},
    )


def gallery(count: int, noise: float, folder: Path) -> dict[str, Any]:
    """Adding, building, searching a folder of LanceDB; exact search in NumPy and FAISS beside it."""
    Gallery.open(folder / "first").add(people(0, 100, noise))  # imports the library
    place = Gallery.open(folder / "g")
    parts = []
    adding = 0.0
    for start in range(0, count, ADDED_AT_ONCE):
        part = people(start, min(ADDED_AT_ONCE, count - start), noise)
        adding += timed(lambda part=part: place.add(part))
        parts.append(part.features["main"])
    building = timed(place.build)
    index = place.info()["index"]
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    rng = np.random.default_rng(7)
    chosen = rng.integers(0, max(1, count // IMAGES_OF_A_PERSON), 1000)
    centres = np.stack([np.random.default_rng(10**6 + int(p)).standard_normal(DIMENSION) for p in chosen])
    asked = centres + noise * rng.standard_normal(centres.shape)
    asked /= np.linalg.norm(asked, axis=1, keepdims=True)
    queries = Embeddings(**{**vars(people(0, 1000, noise)), "features": {"main": asked.astype(np.float32)}})
    matrix = np.concatenate(parts)
    vectors = queries.features["main"]
    result: dict[str, Any] = {
        "images": count,
        "noise": noise,
        "adding_s": round(adding, 1),
        "building_s": round(building, 1),
        "peak_gib_with_the_data": round(memory, 2),
        "index": index,
    }
    place.search(queries.select(slice(20)), 10)
    single = [timed(lambda i=i: place.search(queries.select(slice(i, i + 1)), 10)) for i in range(200)]
    filtered = []
    for i in range(100):
        one = queries.select(slice(i, i + 1))
        filtered.append(timed(lambda one=one: place.search(one, 10, filter="camera != 3")))
    whole = timed(lambda: place.search(queries, 10))
    hits = place.search(queries.select(slice(200)), 10)
    exact = [np.argpartition(-(matrix @ vector), 10)[:10] for vector in vectors[:200]]
    shares = []
    for found, truth in zip(hits.lists, exact, strict=True):
        shares.append(len(set(found.paths) & {f"{row:08d}.jpg" for row in truth}) / 10)
    result |= {
        "recall_at_10": round(float(np.mean(shares)), 4),
        "median_ms": round(1000 * statistics.median(single), 1),
        "p99_ms": round(1000 * float(np.quantile(single, 0.99)), 1),
        "filtered_median_ms": round(1000 * statistics.median(filtered), 1),
        "thousand_at_once_ms_each": round(whole, 2),
        "numpy_median_ms": round(
            1000 * statistics.median(timed(lambda i=i: np.argpartition(-(matrix @ vectors[i]), 10)) for i in range(30)),
            1,
        ),
    }
    try:
        import faiss  # noqa: PLC0415 - not needed otherwise
    except ImportError:
        return result
    flat = faiss.IndexFlatIP(DIMENSION)
    flat.add(matrix)
    result["faiss_flat_median_ms"] = round(
        1000 * statistics.median(timed(lambda i=i: flat.search(vectors[i : i + 1], 10)) for i in range(30)), 1
    )
    return result


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("run", nargs="?")
    parser.add_argument("--images", type=int, default=1024)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--gallery", type=int, nargs="*", default=[100_000])
    parser.add_argument("--noise", type=float, default=0.65)
    parser.add_argument("--output", type=Path)
    told = parser.parse_args()
    result: dict[str, Any] = {
        "machine": platform.machine(),
        "cores": torch.get_num_threads(),
        "torch": torch.__version__,
    }
    if told.run:
        result["extraction"] = extraction(told.run, told.images, told.repeats)
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
