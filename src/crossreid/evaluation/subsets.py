"""Which images of a set of embeddings: those of a modality, and those of each person in each camera."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from crossreid.data.records import ROLES, Modality
from crossreid.errors import DataError
from crossreid.evaluation.array_files import Array
from crossreid.evaluation.embeddings import Embeddings

PersonInCamera = tuple[int, int]
"""(camera, pid)."""


def as_ids(ids: Sequence[int] | None) -> tuple[int, ...] | None:
    """Identities as plain numbers; None, which takes all, stays None."""
    if ids is None:
        return None
    return tuple(map(int, ids))


def may_query(embeddings: Embeddings, *, fixed: bool = False) -> Array:
    """(N,) bool, True where an image may be a probe: no distractor, and with ``fixed`` queries none of the gallery's."""
    never_query = [ROLES.index("distractor")]
    if fixed:
        never_query.append(ROLES.index("gallery"))
    return ~np.isin(embeddings.roles, never_query)


def may_be_found(embeddings: Embeddings, *, fixed: bool = False) -> Array:
    """(N,) bool, True where an image may be in a gallery: any, but with ``fixed`` queries none of those."""
    if not fixed:
        return np.ones(len(embeddings), dtype=np.bool_)
    return np.asarray(embeddings.roles != ROLES.index("query"))


def images_of(
    embeddings: Embeddings, modality: Modality, ids: Sequence[int] | None = None, among: Array | None = None
) -> Array:
    """Places of all images of a modality (of these identities, among those of a mask), by camera, identity and frame.

    Raises:
        DataError: there is none.
    """
    mask = embeddings.infrared == (modality == "infrared")
    if not mask.any():
        raise DataError(f"There are no {modality} images among the embeddings.")
    if ids is not None:
        mask &= np.isin(embeddings.pids, ids)
    if among is not None:
        mask &= among
    if not mask.any():
        raise DataError(f"None of the {modality} images among the embeddings can take this part in the test.")
    return _in_order(embeddings, np.flatnonzero(mask))


def images_by_person(
    embeddings: Embeddings,
    cameras: Sequence[int] | None,
    ids: Sequence[int] | None,
    modality: Modality | None = None,
    among: Array | None = None,
) -> dict[PersonInCamera, Array]:
    """Places in ``embeddings`` of each (camera, pid)'s images, by ascending frame; cameras, then pids ascend.

    ``None`` takes all cameras, identities, modalities or images.
    """
    # Each limit that is given takes away; what is None takes nothing.
    mask = np.ones(len(embeddings), dtype=np.bool_)
    if cameras is not None:
        mask &= np.isin(embeddings.camids, cameras)
    if ids is not None:
        mask &= np.isin(embeddings.pids, ids)
    if modality is not None:
        mask &= embeddings.infrared == (modality == "infrared")
    if among is not None:
        mask &= among
    places = _in_order(embeddings, np.flatnonzero(mask))
    if not len(places):
        return {}
    camids = embeddings.camids[places]
    pids = embeddings.pids[places]
    # images of one person in one camera stand side by side: a group ends where one of the two changes
    changes = (camids[1:] != camids[:-1]) | (pids[1:] != pids[:-1])
    groups = np.split(places, np.flatnonzero(changes) + 1)
    people: dict[PersonInCamera, Array] = {}
    for group in groups:
        camera = int(embeddings.camids[group[0]])
        pid = int(embeddings.pids[group[0]])
        people[camera, pid] = group
    return people


def refuse_one_draw(key: str, embeddings: Embeddings, people: Mapping[PersonInCamera, Array]) -> None:
    """Refuse images that were drawn already, where a protocol draws from all images of each person and camera.

    The codes of AGW and DEEN hold one trial's gallery at a time: an image a person and camera, apart from the queries.

    Args:
        key: of the protocol, for the message.
        embeddings: with their roles.
        people: (camera, pid) -> places of the images that are drawn from.

    Raises:
        DataError: they are there to be found alone, and one for each person and camera.
    """
    places = np.concatenate(list(people.values()))
    # Roles tell a drawn gallery from a small set with one image a person, which may be scored.
    if len(places) == len(people) and np.all(embeddings.roles[places] == ROLES.index("gallery")):
        raise DataError(
            f"{key}: the gallery has one image of each person in each camera, as a single trial draws it; the protocol draws "
            "itself: save the features of all images of the gallery's cameras."
        )


def _in_order(embeddings: Embeddings, places: Array) -> Array:
    """The places by camera, identity, frame and row."""
    rows = embeddings.rows[places]
    frames = embeddings.frames[places]
    pids = embeddings.pids[places]
    camids = embeddings.camids[places]
    order = np.lexsort((rows, frames, pids, camids))  # the first key to sort by stands last
    return np.asarray(places[order])
