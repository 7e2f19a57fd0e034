"""Time and memory of cm-SSFT's scoring at the size of SYSU-MM01's all-search test, as JSON.

    python benchmarks/transfer.py [OUTPUT.json]

Random features of 3,803 queries and 3,010 gallery images (multi-shot) or 301 (single-shot), 2,048 numbers each, shared
and specific. All queries: one trial. Single queries: one query, from the difference of two samples, without what is done
once a trial. Seconds are those of the clock and, since a machine may be busy with other things, of the processor, summed
over threads. The peak is that of the whole process, torch and features included, after the all-queries trial of 3,010.
"""

from __future__ import annotations

import json
import resource
import sys
import time
from importlib.metadata import version
from pathlib import Path

import numpy as np
import torch

from crossreid.evaluation import Embeddings
from crossreid.methods.cmssft.config import SEGMENTS
from crossreid.methods.cmssft.networks import TransferNetwork
from crossreid.methods.cmssft.scoring import Transfer
from crossreid.runs.folder import git_revision, write_json

QUERIES, GALLERIES, DIM, SAMPLES = 3803, {"multi": 3010, "single": 301}, 2048, (4, 68)


def images(count: int, *, infrared: bool) -> Embeddings:
    generator = np.random.default_rng(infrared)
    features = {name: generator.normal(size=(count, DIM)).astype(np.float32) for name in ("main", "specific")}
    features["lengths"] = np.full((count, 2), DIM**0.5, np.float32)
    rows = np.arange(count)
    return Embeddings(features, rows, rows, np.full(count, infrared), rows, rows, ("",) * count)


def peak_gib() -> float:
    return round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20, 2)


def seconds(scorer: Transfer, query: Embeddings, gallery: Embeddings) -> np.ndarray:
    """(2,) of the clock and of the processor."""
    began = np.array([time.perf_counter(), time.process_time()])
    scores = scorer(query, gallery)
    taken = np.array([time.perf_counter(), time.process_time()]) - began
    assert scores.shape == (len(query), len(gallery))
    assert np.isfinite(scores).all()
    return taken


def rate(scorer: Transfer, query: Embeddings, gallery: Embeddings) -> np.ndarray:
    """(2,) seconds a query."""
    few, many = (seconds(scorer, query.select(slice(0, count)), gallery) for count in SAMPLES)
    return (many - few) / (SAMPLES[1] - SAMPLES[0])


def told(taken: np.ndarray) -> dict[str, float]:
    return {"clock": float(f"{taken[0]:.3g}"), "processor": float(f"{taken[1]:.3g}")}


def main(output: Path | None) -> None:
    device = "cuda" if torch.cuda.is_available() else "cpu"
    torch.manual_seed(0)
    network = TransferNetwork(DIM, DIM, 395, segments=SEGMENTS, k=4, neck="bnneck", neck_dim=DIM)
    query = images(QUERIES, infrared=True)
    galleries = {name: images(count, infrared=False) for name, count in GALLERIES.items()}
    before = peak_gib()
    everyone = Transfer(network, group=None, device=device)
    figures: dict[str, object] = {
        "device": torch.cuda.get_device_name() if device == "cuda" else f"cpu, {torch.get_num_threads()} thread(s)",
        "versions": {name: version(name) for name in ("torch", "numpy", "crossreid")},
        "git": git_revision(),
        "dimensions": DIM,
        "process_gib_before": before,
    }
    all_queries = {"multi": told(seconds(everyone, query, galleries["multi"]))}
    figures["process_peak_gib"] = peak_gib()
    all_queries["single"] = told(seconds(everyone, query, galleries["single"]))
    figures["all_queries_seconds_a_trial"] = all_queries
    one = Transfer(network, group=1, device=device)
    figures["single_query_seconds_a_query"] = {
        name: told(rate(one, query, gallery)) for name, gallery in galleries.items()
    }
    print(json.dumps(figures, indent=2))
    if output:
        write_json(output, figures)


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else None)
