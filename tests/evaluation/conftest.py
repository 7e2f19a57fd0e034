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
    """The images of arrays in another order of rows; without an array ``infrared`` they are those of SYSU-MM01."""
    from crossreid.evaluation import Embeddings

    if order is None:
        order = np.arange(len(data["pids"]))
    infrared = data.get("infrared", np.isin(data["camids"], (3, 6)))
    return Embeddings(
        features={"main": data["features"][order]},
        pids=data["pids"][order],
        camids=data["camids"][order],
        infrared=infrared[order],
        frames=data["frames"][order],
        rows=order,
        paths=tuple(f"{row}.jpg" for row in order),
    )


def to_permutations(raw):
    """The official draw from permutations of 1..n, as they stand in the .mat file."""
    from crossreid.evaluation import GalleryPermutations

    return GalleryPermutations("random.mat", {person: order.astype(np.int64) - 1 for person, order in raw.items()})


def people(seed, *, ids=8, present=0.7, most=6, dim=5, integers=False):
    """A small world: each person in some cameras with 1 to ``most`` images; and permutations as in the .mat file."""
    rng = np.random.default_rng(seed)
    raw = {}
    images = []
    for camera in range(1, 7):
        for pid in range(3, 3 + ids):
            if rng.random() < present:
                count = int(rng.integers(1, most + 1))
                trials = [rng.permutation(count) + 1 for _ in range(10)]
                raw[camera, pid] = np.stack(trials).astype(np.uint8)
                images += [(pid, camera, frame) for frame in range(count)]
    pids, camids, frames = np.array(images).T
    if integers:  # few values, so that there are many ties
        features = rng.integers(0, 2, (len(pids), dim)).astype(np.float32)
    else:
        features = rng.standard_normal((len(pids), dim)).astype(np.float32)
    return {"features": features, "pids": pids, "camids": camids, "frames": frames}, raw


def two_modalities(seed, cameras, *, ids=9, most=4, present=0.6, dim=3):
    """A small world: each person in some of the (camera, infrared) pairs; whole numbers as features, so many ties."""
    rng = np.random.default_rng(seed)
    images = []
    for pid in range(2, 2 + ids):
        for camera, infrared in cameras:
            if rng.random() < present:
                count = int(rng.integers(1, most + 1))
                images += [(pid, camera, infrared, frame) for frame in range(count)]
    pids, camids, infrared, frames = np.array(images).T
    return {
        "features": rng.integers(0, 2, (len(images), dim)).astype(np.float32),
        "pids": pids,
        "camids": camids,
        "infrared": infrared.astype(bool),
        "frames": frames,
    }


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
    flips = np.where(rng.random((len(pids), dim)) < 0.3, -1, 1)
    return (centres[pids] * flips).astype(np.float32)


def images_to_test(dataset):
    """A dataset's test images with such features, as arrays and as embeddings."""
    records = [dataset.records[row] for row in dataset.rows("test")]
    data = {
        "pids": np.array([record.pid for record in records]),
        "camids": np.array([record.camid for record in records]),
        "frames": np.array([record.frame for record in records]),
        "infrared": np.array([record.modality == "infrared" for record in records]),
    }
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
    ids = (sysu_lists / "exp" / "test_id.txt").read_text().strip().split(",")
    raw = {}
    images = []
    for camera in range(1, 7):
        people_in_camera = cells[camera - 1, 0]
        for pid in map(int, ids):
            if pid > len(people_in_camera):
                continue
            order = people_in_camera[pid - 1, 0]  # (10, n); n is 0 where the camera has no image of the person
            count = order.shape[1]
            if count:
                raw[camera, pid] = order
                images += [(pid, camera, frame) for frame in range(count)]
    rng = np.random.default_rng(20)
    pids, camids, frames = np.array(images)[rng.permutation(len(images))].T
    centres = rng.standard_normal((600, 64))
    features = 0.3 * centres[pids] + rng.standard_normal((len(pids), 64))
    return {"features": features.astype(np.float32), "pids": pids, "camids": camids, "frames": frames}, raw
