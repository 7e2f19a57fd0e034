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
        key: tuple[Any, ...] = (track, cameras[row], bool(embeddings.infrared[row]))
        if track is None:
            key = ("image", row)  # two parts, so that it is no track's
        members.setdefault(key, []).append(row)
    groups = list(members.values())
    first_rows = [rows[0] for rows in groups]
    first = embeddings.select(np.array(first_rows, dtype=np.int64))
    features = {name: _means(feature, groups) for name, feature in embeddings.features.items()}
    counts = [len(rows) for rows in groups]
    return replace(
        first,
        features=features,
        rows=np.arange(len(groups)),
        columns={**first.columns, "images": counts},
        about={**first.about, "tracks": "average"},
    )


def _means(feature: Array, groups: list[list[int]]) -> Array:
    """(T, D) means of rows of (N, D), of unit length where the rows are."""
    exact = feature.astype(np.float64)
    means = np.stack([exact[rows].mean(axis=0) for rows in groups])
    lengths = np.linalg.norm(exact, axis=1)
    if np.allclose(lengths, 1, atol=1e-3):
        means = normalised(means)
    return np.asarray(means.astype(np.float32))
