"""One embedding a track: the mean of its images' unit features."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from crossreid.errors import DataError
from crossreid.evaluation import Embeddings
from crossreid.evaluation.array_files import Array
from crossreid.evaluation.scorers import normalised


def averaged_tracks(embeddings: Embeddings) -> Embeddings:
    """The images of each track as one; images without a track stay as they are.

    A track is one camera's and one modality's: the same name elsewhere is another track. What else is known of it is that of
    its first image, and ``images`` says how many there were.

    Raises:
        DataError: there is no column ``track``.
    """
    if "track" not in embeddings.columns:
        raise DataError("tracks=average needs a manifest with a column track.")
    members: dict[Any, list[int]] = {}
    cameras = embeddings.columns.get("camera", (None,) * len(embeddings))
    for row, track in enumerate(embeddings.columns["track"]):
        key = ("image", row) if track is None else (track, cameras[row], bool(embeddings.infrared[row]))
        members.setdefault(key, []).append(row)
    groups = list(members.values())
    first = embeddings.select(np.array([rows[0] for rows in groups], dtype=np.int64))
    features = {name: _means(feature, groups) for name, feature in embeddings.features.items()}
    return replace(
        first,
        features=features,
        rows=np.arange(len(groups)),
        columns={**first.columns, "images": [len(rows) for rows in groups]},
        about={**first.about, "tracks": "average"},
    )


def _means(feature: Array, groups: list[list[int]]) -> Array:
    """(T, D) means of rows of (N, D), of unit length where the rows are."""
    means = np.stack([feature[rows].astype(np.float64).mean(axis=0) for rows in groups])
    lengths = np.linalg.norm(feature.astype(np.float64), axis=1)
    if np.allclose(lengths, 1, atol=1e-3):
        means = normalised(means)
    return np.asarray(means.astype(np.float32))
