"""mAP between each two cameras, against a loop over probes."""

import numpy as np

from crossreid.evaluation import Embeddings
from crossreid.evaluation.camera_pairs import camera_pairs


def test_each_cell_is_the_mean_of_its_probes_precisions() -> None:
    random = np.random.default_rng(3)
    count = 60
    pids = random.integers(0, 6, count)
    camids = random.choice([1, 2, 3], count)
    pids[camids == 3] %= 3  # some persons were not seen there
    features = random.normal(size=(count, 5)).astype(np.float32)
    infrared = camids == 3
    embeddings = Embeddings(
        {"main": features}, pids, camids, infrared, np.arange(count), np.arange(count), ("",) * count
    )
    pairs = camera_pairs(embeddings)
    assert pairs.cameras.tolist() == [1, 2, 3]
    assert pairs.infrared.tolist() == [False, False, True]
    unit = features / np.linalg.norm(features.astype(np.float64), axis=1, keepdims=True)
    for row, one in enumerate((1, 2, 3)):
        assert np.isnan(pairs.mean_ap[row, row])
        for column, other in enumerate((1, 2, 3)):
            if one == other:
                continue
            precisions = []
            for probe in np.flatnonzero(camids == one):
                gallery = np.flatnonzero(camids == other)
                ranked = gallery[np.argsort(-(unit[gallery] @ unit[probe]), kind="stable")]
                ranks = 1 + np.flatnonzero(pids[ranked] == pids[probe])
                if len(ranks):
                    precisions.append(np.mean(np.arange(1, len(ranks) + 1) / ranks))
            assert pairs.probes[row, column] == len(precisions)
            assert np.isclose(pairs.mean_ap[row, column], np.mean(precisions))
