"""Which images a search leaves out because they come from the query's own place: of its camera, at about its time."""

from __future__ import annotations

import math
from collections.abc import Mapping

from crossreid.errors import ConfigError, DataError
from crossreid.evaluation import Embeddings
from crossreid.evaluation.embeddings import Cell
from crossreid.galleries.entries import check_columns
from crossreid.galleries.filters import Compared, Filter, Joined, Not
from crossreid.galleries.store import Store
from crossreid.settings.galleries import LONGEST_EXCLUSION


def exclusions_of(
    queries: Embeddings, store: Store, place: str, exclude_camera: bool, exclude_seconds: float | None
) -> list[Filter | None]:
    """For each query, a condition that keeps images of its own place out; None where nothing is kept out.

    Args:
        queries: with the columns ``camera`` and, with a window, ``time``.
        store: of the gallery.
        place: of the gallery, for messages.
        exclude_camera: leave out images of the query's own camera.
        exclude_seconds: of these only the ones within so many seconds of the query.

    Raises:
        ConfigError: a setting cannot be, or a column is missing.
        DataError: a column of the queries does not fit.
    """
    if not exclude_camera:
        if exclude_seconds is not None:
            raise ConfigError(
                "exclude_seconds says which images of the query's camera are left out: add exclude_camera."
            )
        return [None] * len(queries)
    needed = ["camera"]
    if exclude_seconds is not None:
        if not 0 <= exclude_seconds <= LONGEST_EXCLUSION:
            raise ConfigError(f"exclude_seconds is {exclude_seconds}: give 0 to {LONGEST_EXCLUSION:g}.")
        needed.append("time")
    known = store.columns()
    for name in needed:
        _check_column(name, queries, known, place)
    cameras = queries.columns["camera"]
    times = queries.columns.get("time", (None,) * len(queries))
    exclusions = []
    for camera, time in zip(cameras, times, strict=True):
        exclusions.append(_exclusion(camera, time, exclude_seconds))
    return exclusions


def _check_column(name: str, queries: Embeddings, known: Mapping[str, type], place: str) -> None:
    """Refuse a column that queries or gallery lack, or whose cells cannot be compared with the gallery's."""
    if name not in queries.columns or name not in known:
        raise ConfigError(f"Queries and gallery need a column {name} to leave out images of the query's own place.")
    cells = queries.columns[name]
    check_columns(known, {name: cells}, place)
    if any(isinstance(cell, float) and not math.isfinite(cell) for cell in cells):
        raise DataError(f"A query's {name} is nan or infinite: leave the cell empty where it is not known.")


def _exclusion(camera: Cell, time: Cell, seconds: float | None) -> Filter | None:
    """Not of this camera; or, with a window, not of this camera at about this time. None where the query's is unknown."""
    if camera is None:
        return None
    same_camera = Compared("camera", "=", camera)
    if seconds is None:
        return Not(same_camera)
    if not isinstance(time, int | float):
        return None
    since = Compared("time", ">=", time - seconds)
    until = Compared("time", "<=", time + seconds)
    return Not(Joined("AND", (same_camera, since, until)))
