"""Layouts in which public codes write features, as the arrays of :func:`~crossreid.evaluation.load_foreign`.

* **A file a camera**, as the evaluation code of SYSU-MM01's authors reads it: ``NAME_cam1.mat`` to ``NAME_cam6.mat``, in each
  a cell array ``feature`` whose cell p has the (n, D) features of person p's n images, in ascending file order.
* **Queries and gallery**: ``query_feat``, ``query_label``, ``query_cam``, ``gall_feat``, ``gall_label``, ``gall_cam``, the
  names in the code of AGW and what came from it, or ``query_f``, ``gallery_f`` and so on, as person re-identification's older
  code has them; a person's images of a camera in ascending file order.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from crossreid.data.datasets.lists import list_entries, some
from crossreid.data.datasets.regdb import CAMERAS
from crossreid.data.records import ROLES
from crossreid.errors import ConfigError, DataError
from crossreid.evaluation.array_files import Array, concatenated
from crossreid.evaluation.embeddings import SYSU_INFRARED_CAMERAS, SYSU_VISIBLE_CAMERAS
from crossreid.evaluation.matlab import read_matlab

_QUERY_GALLERY = (("query", "gall", "_feat"), ("query", "gallery", "_f"))
"""Starts of names of both sides, and the end of that of features, for each of two ways to name arrays."""
_CAMERA_FILE = re.compile(r"(.*?)_?cam([1-6])\.mat", re.ASCII)
_FEATURE = "feature"
"""The variable of a camera's file; where it is not there, the only one counts."""


def is_query_gallery(arrays: Mapping[str, Array]) -> bool:
    """A file names queries and gallery."""
    return any(name.startswith("query_") for name in arrays)


def joined_query_gallery(path: Path, arrays: Mapping[str, Array], query_modality: str | None) -> dict[str, Array]:
    """Queries and gallery as one set of images with roles.

    Args:
        path: of the file, for messages.
        arrays: it.
        query_modality: of the queries, the gallery's is the other one; None where cameras say it, as in SYSU-MM01.

    Raises:
        ConfigError: nothing says which side is infrared.
        DataError: an array is missing, has another name, or does not fit the others.
    """
    query, gallery, features = _QUERY_GALLERY[0]
    if any(name.startswith("gallery_") for name in arrays):
        query, gallery, features = _QUERY_GALLERY[1]
    endings = [features, "_label"]
    if f"{query}_cam" in arrays or f"{gallery}_cam" in arrays:
        endings.append("_cam")
    names = []
    for side in (query, gallery):
        for ending in endings:
            names.append(side + ending)
    if set(names) != set(arrays):
        raise DataError(
            f"{path} has queries and gallery, and should hold {', '.join(names)}; it has {', '.join(sorted(arrays))}."
        )
    for side in (query, gallery):
        _check_side(path, side, arrays[side + features], arrays[f"{side}_label"], arrays.get(f"{side}_cam"))
    if query_modality is None and not _cameras_say_it(arrays.get(f"{query}_cam"), arrays.get(f"{gallery}_cam")):
        raise ConfigError(
            f"Nothing says which images in {path} are infrared: set query_modality to visible or infrared."
        )
    modalities: dict[str, str | None] = {query: query_modality, gallery: _OTHER.get(query_modality or "")}
    parts = []
    for side, modality in modalities.items():
        camids = arrays.get(f"{side}_cam")
        parts.append(_side(side, arrays[side + features], arrays[f"{side}_label"], camids, modality))
    _check_widths(path, parts[0]["features"], parts[1]["features"])
    return concatenated(parts)


def _check_side(path: Path, side: str, features: Array, pids: Array, camids: Array | None) -> None:
    """Raise :class:`DataError` where the arrays of the queries or of the gallery do not fit each other, or are empty."""
    shapes = [f"features {np.shape(features)}", f"labels {np.shape(pids)}"]
    fit = np.ndim(features) == 2 and np.ndim(pids) == 1 and len(features) == len(pids)
    if camids is not None:
        shapes.append(f"cameras {np.shape(camids)}")
        fit = fit and np.shape(camids) == np.shape(pids)
    if not fit:
        raise DataError(
            f"Features (N, D), labels and cameras (N,) of the {side} in {path} do not fit each other ({', '.join(shapes)})."
        )
    if not len(pids):
        raise DataError(f"The {side} in {path} has no images.")
    for name, numbers in (("labels", pids), ("cameras", camids)):
        if numbers is not None and (numbers.dtype.kind not in "iuf" or not np.all(numbers == np.rint(numbers))):
            raise DataError(f"The {name} of the {side} in {path} should be whole numbers.")


def _cameras_say_it(query: Array | None, gallery: Array | None) -> bool:
    """Cameras are SYSU-MM01's, all of one modality among the queries and all of the other one in the gallery.

    LLCM's cameras see in both modalities, RegDB's two have numbers of visible ones in SYSU-MM01: by those nothing is known.
    """
    if query is None or gallery is None:
        return False
    infrared, visible = set(SYSU_INFRARED_CAMERAS), set(SYSU_VISIBLE_CAMERAS)
    sides = [set(np.unique(camids).tolist()) for camids in (query, gallery)]
    return (sides[0] <= infrared and sides[1] <= visible) or (sides[0] <= visible and sides[1] <= infrared)


_OTHER = {"visible": "infrared", "infrared": "visible"}


def _side(side: str, features: Array, pids: Array, camids: Array | None, modality: str | None) -> dict[str, Array]:
    """The queries or the gallery; without cameras RegDB's two, without a modality the one that SYSU-MM01's cameras have."""
    if camids is None:
        camera = CAMERAS["visible"]
        if modality == "infrared":
            camera = CAMERAS["infrared"]
        camids = np.full(np.shape(pids), camera)
    infrared = np.isin(camids, SYSU_INFRARED_CAMERAS)
    if modality is not None:
        infrared = np.full(len(pids), modality == "infrared")
    role = ROLES.index("gallery")
    if side == "query":
        role = ROLES.index("query")
    return {
        "features": features,
        "pids": pids,
        "camids": camids,
        "infrared": infrared,
        "frames": places_of_persons(pids, camids),
        "roles": np.full(len(pids), role),
    }


def _check_widths(path: Path, query: Array, gallery: Array) -> None:
    if query.shape[1] != gallery.shape[1]:
        raise DataError(
            f"The features of queries {query.shape} and gallery {gallery.shape} in {path} should be (N, D) with one D."
        )


def places_of_persons(pids: Array, camids: Array) -> Array:
    """(N,) 0-based place of each image among those of its person in its camera, in the order in which they stand."""
    count: dict[tuple[object, object], int] = {}
    frames = []
    for person in zip(pids.tolist(), camids.tolist(), strict=True):
        frames.append(count.get(person, 0))
        count[person] = frames[-1] + 1
    return np.array(frames, dtype=np.int64)


def camera_files(folder: Path) -> dict[int, Path]:
    """Camera -> its .mat file; empty where a folder has none.

    Raises:
        DataError: it has the files of two sets of features.
    """
    files: dict[int, Path] = {}
    prefixes: dict[str, None] = {}
    for path in list_entries(folder):
        match = _CAMERA_FILE.fullmatch(path.name)
        if match is not None:
            files[int(match[2])] = path
            prefixes[match[1]] = None
    if len(prefixes) > 1:
        raise DataError(f"'{folder}' holds the features of {some(prefixes)}: put each set into a folder of its own.")
    return files


def joined_cameras(files: Mapping[int, Path]) -> dict[str, Array]:
    """The features of several cameras of SYSU-MM01 as one set of images.

    Raises:
        DataError: a file is damaged, or has no cell array of matrices of one width.
    """
    features: list[Array] = []
    images: list[tuple[int, int, int]] = []  # pid, camera, frame
    for camera, path in sorted(files.items()):
        # Cell p is of person p in every camera, so that persons without an image have an empty one.
        for pid, of_person in enumerate(_persons(path), start=1):
            if not of_person.size:  # a camera that never saw the person
                continue
            features.append(of_person)
            for frame in range(len(of_person)):
                images.append((pid, camera, frame))
    if not images:
        raise DataError(f"The files beside '{next(iter(files.values()))}' hold no features.")
    widths = {of_person.shape[1] for of_person in features}
    if len(widths) > 1:
        raise DataError(
            f"The features beside '{next(iter(files.values()))}' have different lengths ({some(sorted(widths))})."
        )
    pids, camids, frames = np.array(images, dtype=np.int64).T
    return {"features": np.concatenate(features), "pids": pids, "camids": camids, "frames": frames}


def _persons(path: Path) -> list[Array]:
    """The cells of a camera's file, one a person."""
    variables = read_matlab(path)
    name = _FEATURE
    if name not in variables and len(variables) == 1:
        name = next(iter(variables))
    cells = variables.get(name)
    if not isinstance(cells, list) or any(isinstance(cell, list) for cell in cells):
        raise DataError(
            f"{path} has no cell array '{_FEATURE}' with the (n, D) features of a person's n images in each cell; it has "
            f"{', '.join(sorted(variables)) or 'nothing'}."
        )
    return [np.asarray(cell) for cell in cells]
