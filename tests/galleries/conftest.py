"""Embeddings of people who are alike within a person, for galleries of every kind."""

from __future__ import annotations

import socket
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from crossreid.evaluation import Embeddings
from crossreid.galleries import Gallery

KINDS = ("memory", "npz", "lance", "milvus")


def make_people(count: int = 120, *, dimension: int = 16, seed: int = 0, first: int = 0, model: str = "a" * 64):
    """``count`` images of 12 persons in 4 cameras, half of them infrared, with times, tracks and zones."""
    rng = np.random.default_rng(seed)
    centres = np.random.default_rng(99).standard_normal((12, dimension))
    person = np.arange(count) % 12
    features = centres[person] + 0.6 * rng.standard_normal((count, dimension))
    features /= np.linalg.norm(features, axis=1, keepdims=True)
    camera = 1 + (np.arange(count) // 12) % 4
    zones = np.array(["north", "south", "it's east"])[np.arange(count) % 3].tolist()
    zones[::7] = [None] * len(zones[::7])
    return Embeddings(
        features={"main": features.astype(np.float32)},
        pids=person + 1,
        camids=camera,
        infrared=camera > 2,
        frames=np.zeros(count),
        rows=np.arange(count),
        paths=tuple(f"images/{first + place:05d}.jpg" for place in range(count)),
        columns={
            "camera": camera.tolist(),
            "time": [float(100 * place) for place in range(count)],
            "zone": zones,
        },
        about={"model": model, "method": "agw", "preprocessing": {"height": 64, "width": 32}, "transfer": False},
    )


@pytest.fixture(scope="session")
def milvus_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Milvus Lite as a server on this machine."""
    pytest.importorskip("pymilvus", reason="galleries on a server need the extra `milvus`")
    pytest.importorskip("milvus_lite", reason="the test's server is the package milvus-lite")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    folder = tmp_path_factory.mktemp("milvus")
    command = [sys.executable, "-m", "milvus_lite", "server", "--data-dir", str(folder), "--host", "127.0.0.1"]
    with (folder / "log.txt").open("w") as log:
        server = subprocess.Popen([*command, "--port", str(port)], stdout=log, stderr=log)
        deadline = time.monotonic() + 180
        while not answers(port):
            assert server.poll() is None, (folder / "log.txt").read_text()
            assert time.monotonic() < deadline, "the server does not answer"
            time.sleep(0.2)
        yield f"http://127.0.0.1:{port}"
        server.terminate()
        server.wait(30)


def answers(port: int) -> bool:
    """Somebody listens there."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


@pytest.fixture(params=KINDS)
def reopen(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[], Gallery]:
    """Opens one gallery of each kind, again and again."""
    if request.param == "memory":
        gallery = Gallery.open()
        return lambda: gallery
    if request.param == "npz":
        return lambda: Gallery.open(tmp_path / "street.npz")
    if request.param == "milvus":
        server = request.getfixturevalue("milvus_server")
        place = f"{server}/gallery_{uuid.uuid4().hex}"
        return lambda: Gallery.open(place)
    pytest.importorskip("lancedb", reason="galleries in folders need the extra `search`")
    return lambda: Gallery.open(tmp_path / "street.gallery")
