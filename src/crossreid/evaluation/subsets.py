"""Which images of a set of embeddings: those of a modality, and those of each person in each camera."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from crossreid.data.records import Modality
from crossreid.errors import DataError
from crossreid.evaluation.embeddings import Array, Embeddings

PersonInCamera = tuple[int, int]
"""(camera, pid)."""


def images_of(embeddings: Embeddings, modality: Modality, ids: Sequence[int] | None = None) -> Array:
    """Places of all images of a modality (and of these identities), by camera, identity and frame.

    Raises:
        DataError: there is none.
    """
    wanted = embeddings.infrared == (modality == "infrared")
    if ids is not None:
        wanted &= np.isin(embeddings.pids, ids)
    if not wanted.any():
        raise DataError(f"There are no {modality} images among the embeddings.")
    return _in_order(embeddings, np.flatnonzero(wanted))


def images_by_person(
    embeddings: Embeddings,
    cameras: Sequence[int] | None,
    ids: Sequence[int] | None,
    modality: Modality | None = None,
) -> dict[PersonInCamera, Array]:
    """Places in ``embeddings`` of each (camera, pid)'s images, by ascending frame; cameras, then pids ascend.

    ``None`` takes all cameras, identities or modalities.
    """
    wanted = np.ones(len(embeddings), dtype=np.bool_)
    if cameras is not None:
        wanted &= np.isin(embeddings.camids, cameras)
    if ids is not None:
        wanted &= np.isin(embeddings.pids, ids)
    if modality is not None:
        wanted &= embeddings.infrared == (modality == "infrared")
    places = _in_order(embeddings, np.flatnonzero(wanted))
    if not len(places):
        return {}
    people = np.stack([embeddings.camids[places], embeddings.pids[places]], axis=1)
    starts = np.flatnonzero(np.any(people[1:] != people[:-1], axis=1)) + 1
    firsts = people[np.concatenate([[0], starts])]
    return {(int(c), int(p)): group for (c, p), group in zip(firsts, np.split(places, starts), strict=True)}


def _in_order(embeddings: Embeddings, places: Array) -> Array:
    keys = (embeddings.rows, embeddings.frames, embeddings.pids, embeddings.camids)
    return np.asarray(places[np.lexsort([key[places] for key in keys])])
