"""Which cameras are hard to match: mean AP of the probes of each camera in the images of each other one."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from crossreid.evaluation.array_files import Array
from crossreid.evaluation.embeddings import Embeddings
from crossreid.evaluation.metrics import score_probes
from crossreid.evaluation.scorers import Cosine, Scorer, similarities


@dataclass(frozen=True, eq=False)
class CameraPairs:
    """Retrieval between each two of C cameras; the gallery is every image of a camera, and nothing is drawn.

    Attributes:
        cameras: (C,) ascending.
        infrared: (C,) bool, what a camera takes.
        mean_ap: (C, C) in [0, 1], row: camera of the probes, column: camera of the gallery; NaN on the diagonal, where a
            probe would find its own neighbours in time, and where no probe has a true match.
        probes: (C, C) how many probes have a true match.
    """

    cameras: Array
    infrared: Array
    mean_ap: Array
    probes: Array


def camera_pairs(embeddings: Embeddings, scorer: Scorer | None = None) -> CameraPairs:
    """Score every camera against every other one.

    Args:
        embeddings: N images.
        scorer: similarities, by default the cosine of ``main``.
    """
    if scorer is None:
        scorer = Cosine()
    cameras = np.unique(embeddings.camids)
    count = len(cameras)
    # What is not scored stays NaN: the diagonal, and cameras that share no person.
    mean_ap = np.full((count, count), np.nan)
    valid = np.zeros((count, count), np.int64)
    images = [embeddings.select(embeddings.camids == camera) for camera in cameras]
    for row, probes in enumerate(images):
        for column, gallery in enumerate(images):
            if row == column:
                continue
            similarity = similarities(scorer, probes, gallery)
            # Nothing is removed: two different cameras hold no image twice.
            nothing = np.zeros(similarity.shape, np.bool_)
            scores = score_probes(similarity, probes.pids, gallery.pids, nothing)
            valid[row, column] = scores.valid.sum()
            if scores.valid.any():
                mean_ap[row, column] = scores.mean_ap
    infrared = np.array([bool(of_camera.infrared.any()) for of_camera in images])
    return CameraPairs(cameras, infrared, mean_ap, valid)
