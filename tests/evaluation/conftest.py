"""Problems to score: small random ones, and the real layout of the SYSU-MM01 test set where its lists are at hand."""

import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parent))  # evaluation_reference: importlib mode has no other way to a helper

PROTOCOLS = Path(__file__).parents[3] / "shared" / "protocols" / "SYSU-MM01"


@pytest.fixture(scope="session")
def sysu_lists():
    """Folder of the dataset authors' lists, beside the repository."""
    if not (PROTOCOLS / "data_split" / "rand_perm_cam.mat").is_file():
        pytest.skip("the SYSU-MM01 lists (../shared/protocols/SYSU-MM01) are not here")
    return PROTOCOLS


def to_embeddings(data, order=None):
    from crossreid.evaluation import Embeddings

    n = len(data["pids"])
    order = np.arange(n) if order is None else order
    camids = data["camids"][order]
    return Embeddings(
        features={"main": data["features"][order]},
        pids=data["pids"][order],
        camids=camids,
        infrared=data["infrared"][order] if "infrared" in data else np.isin(camids, (3, 6)),
        frames=data["frames"][order],
        rows=order,
        paths=tuple(f"{i}.jpg" for i in order),
    )


def to_permutations(raw):
    from crossreid.evaluation import GalleryPermutations

    return GalleryPermutations("random.mat", {key: order.astype(np.int64) - 1 for key, order in raw.items()})


def people(seed, *, ids=8, present=0.7, most=6, dim=5, integers=False):
    """A small world: each person in some cameras with 1 to ``most`` images; and permutations as in the .mat file."""
    rng = np.random.default_rng(seed)
    raw, pids, camids, frames = {}, [], [], []
    for cam in range(1, 7):
        for pid in range(3, 3 + ids):
            if rng.random() < present:
                n = int(rng.integers(1, most + 1))
                raw[cam, pid] = np.stack([rng.permutation(n) + 1 for _ in range(10)]).astype(np.uint8)
                pids += [pid] * n
                camids += [cam] * n
                frames += range(n)
    if integers:  # few values, so that there are many ties
        features = rng.integers(0, 2, (len(pids), dim)).astype(np.float32)
    else:
        features = rng.standard_normal((len(pids), dim)).astype(np.float32)
    data = {"features": features, "pids": np.array(pids), "camids": np.array(camids), "frames": np.array(frames)}
    return data, raw


def two_modalities(seed, cameras, *, ids=9, most=4, present=0.6, dim=3):
    """A small world: each person in some of the (camera, infrared) pairs; whole numbers as features, so many ties."""
    rng = np.random.default_rng(seed)
    images = [
        (pid, camera, infrared, frame)
        for pid in range(2, 2 + ids)
        for camera, infrared in cameras
        if rng.random() < present
        for frame in range(int(rng.integers(1, most + 1)))
    ]
    data = dict(zip(("pids", "camids", "infrared", "frames"), np.array(images).T, strict=True))
    data["infrared"] = data["infrared"].astype(bool)
    return data | {"features": rng.integers(0, 2, (len(images), dim)).astype(np.float32)}


@pytest.fixture
def world():
    """The makers of small problems, by the names of their functions."""
    from types import SimpleNamespace

    makers = (people, two_modalities, to_embeddings, to_permutations)
    return SimpleNamespace(**{maker.__name__: maker for maker in makers})


def tied_features(pids, seed=3, dim=24):
    """(N, dim) of -1 and 1 that know a little about identity; their similarities are few whole numbers."""
    rng = np.random.default_rng(seed)
    centres = rng.choice((-1.0, 1.0), (int(pids.max()) + 1, dim))
    return (centres[pids] * np.where(rng.random((len(pids), dim)) < 0.3, -1, 1)).astype(np.float32)


def images_to_test(dataset):
    """A dataset's test images with such features, as arrays and as embeddings."""
    records = [dataset.records[row] for row in dataset.rows("test")]
    data = {
        name: np.array([getattr(r, name.removesuffix("s")) for r in records]) for name in ("pids", "camids", "frames")
    }
    data["infrared"] = np.array([r.modality == "infrared" for r in records])
    data["features"] = tied_features(data["pids"])
    return data, to_embeddings(data)


@pytest.fixture(scope="session")
def real_test(real_layout):
    """Test images of a real set (and split of `regdb`), by its names and counts, read from disk."""
    from functools import cache

    from crossreid.data.datasets import read_llcm, read_regdb, read_sysu_mm01

    readers = {"sysu_mm01": read_sysu_mm01, "regdb": read_regdb, "llcm": read_llcm}

    @cache
    def read(name, *split):
        return images_to_test(readers[name](real_layout(name), *split))

    return read


@pytest.fixture(scope="session")
def sysu_test_set(sysu_lists):
    """The real test layout with seeded random features that know a little about identity, rows shuffled."""
    import scipy.io

    cells = scipy.io.loadmat(sysu_lists / "data_split" / "rand_perm_cam.mat")["rand_perm_cam"]
    ids = [int(x) for x in (sysu_lists / "exp" / "test_id.txt").read_text().strip().split(",")]
    raw = {(c + 1, p): cells[c, 0][p - 1, 0] for c in range(6) for p in ids if p <= len(cells[c, 0])}
    raw = {key: order for key, order in raw.items() if order.shape[1]}
    images = np.array([(pid, cam, frame) for (cam, pid), o in raw.items() for frame in range(o.shape[1])])
    rng = np.random.default_rng(20)
    images = images[rng.permutation(len(images))]
    centres = rng.standard_normal((600, 64))
    features = 0.3 * centres[images[:, 0]] + rng.standard_normal((len(images), 64))
    data = {"features": features.astype(np.float32)}
    data |= dict(zip(("pids", "camids", "frames"), images.T, strict=True))
    return data, raw
