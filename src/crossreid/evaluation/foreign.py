"""Embeddings that other people's models made: an .npz of plain arrays, scored like our own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from crossreid.data.records import ROLES
from crossreid.errors import DataError
from crossreid.evaluation.embeddings import SYSU_INFRARED_CAMERAS, Array, Embeddings, read_arrays

_LARGEST = 2**53
"""Whole numbers up to here are exact in every type that a file may hold."""
_REQUIRED = ("features", "pids", "camids", "frames")


def load_foreign(path: str | Path) -> Embeddings:
    """Read ``features`` (N, D), ``pids``, ``camids`` (1-based), ``frames`` (0-based) and, if there, ``infrared`` (N,).

    ``frames`` is the place of an image among that person's images in that camera and modality, in ascending file order.
    ``infrared`` is 1 or True where an image is infrared; without it the images are those of SYSU-MM01, with cameras 1 to
    6, of which 3 and 6 are infrared. Rows may be in any order. Features need not be normalised. ``roles``, if there, are
    places in :data:`~crossreid.data.records.ROLES`.

    Raises:
        DataError: an array is missing, lengths disagree, a value is no whole number, cameras or frames are out of
            range, features are not finite, or one (pid, camera, modality, frame) stands there twice.
    """
    path = Path(path)
    arrays = read_arrays(path)
    for name in _REQUIRED:
        if name not in arrays:
            raise DataError(f"{path} has no array {name!r}: it needs {', '.join(_REQUIRED)} and has {sorted(arrays)}.")
    pids = _whole_numbers(path, "pids", arrays["pids"])
    camids = _whole_numbers(path, "camids", arrays["camids"])
    frames = _whole_numbers(path, "frames", arrays["frames"])
    features = _real_numbers(path, arrays["features"])
    infrared = _infrared(path, arrays, camids)
    roles = _roles(path, arrays, len(pids))
    _check_shapes(path, arrays, features, (pids, camids, frames, infrared, roles))
    _check_ranges(path, pids, camids, frames, infrared)
    count = len(features)
    try:
        return Embeddings(
            features={"main": features},
            pids=pids,
            camids=camids,
            infrared=infrared,
            frames=frames,
            rows=np.arange(count),
            paths=("",) * count,
            roles=roles,
        )
    except DataError as error:
        raise DataError(f"{path}: {error}") from error


def _real_numbers(path: Path, features: Array) -> Array:
    """Features of any real type; whole numbers in float64, which holds large ones exactly, and not in float32."""
    if np.issubdtype(features.dtype, np.integer):
        return features.astype(np.float64)
    if not np.issubdtype(features.dtype, np.floating):
        raise DataError(f"'features' in {path} are of type {features.dtype}, not real numbers.")
    return features


def _whole_numbers(path: Path, name: str, values: Array) -> Array:
    """(N,) int64; floats are taken where they are whole."""
    if values.ndim != 1 or values.dtype.kind not in "iuf":
        raise DataError(f"{name!r} in {path} should be N whole numbers, not {values.dtype} of shape {values.shape}.")
    if values.dtype.kind == "f" and not (np.isfinite(values).all() and (values == np.rint(values)).all()):
        raise DataError(f"{name!r} in {path} has values that are no whole numbers.")
    if len(values) and (float(values.min()) < -_LARGEST or float(values.max()) > _LARGEST):
        raise DataError(f"{name!r} in {path} has values beyond {_LARGEST}, which are not told apart.")
    return values.astype(np.int64)


def _infrared(path: Path, arrays: Mapping[str, Array], camids: Array) -> Array:
    """(N,) bool, as the file has it, or by the cameras of SYSU-MM01."""
    if "infrared" in arrays:
        flags = arrays["infrared"]
        if flags.dtype == np.bool_:
            flags = flags.astype(np.int64)
        values = _whole_numbers(path, "infrared", flags)
        if not np.isin(values, (0, 1)).all():
            raise DataError(f"'infrared' in {path} should be 0 or 1, that is visible or infrared.")
        return np.asarray(values == 1)
    if len(camids) and (camids.min() < 1 or camids.max() > 6):
        raise DataError(
            f"'camids' in {path} run from {camids.min()} to {camids.max()}: SYSU-MM01 has cameras 1 to 6, and other sets "
            "need an array 'infrared'."
        )
    return np.isin(camids, SYSU_INFRARED_CAMERAS)


def _roles(path: Path, arrays: Mapping[str, Array], count: int) -> Array:
    """(N,) roles as the file has them; 0, which is any, where it has none."""
    if "roles" not in arrays:
        return np.zeros(count, dtype=np.int64)
    roles = _whole_numbers(path, "roles", arrays["roles"])
    if not np.isin(roles, range(len(ROLES))).all():
        raise DataError(f"'roles' in {path} should be 0 to {len(ROLES) - 1}, that is {', '.join(ROLES)}.")
    return roles


def _check_shapes(path: Path, arrays: Mapping[str, Array], features: Array, per_image: Sequence[Array]) -> None:
    """At least one image, features (N, D), and each of the others of length N."""
    if features.ndim == 2 and features.size and {len(features)} == set(map(len, per_image)):
        return
    shapes = []
    for name in (*_REQUIRED, "infrared", "roles"):
        if name in arrays:
            shapes.append(f"{name} {arrays[name].shape}")
    raise DataError(
        f"The arrays in {path} do not fit each other ({', '.join(shapes)}): features (N, D), the others (N,)."
    )


def _check_ranges(path: Path, pids: Array, camids: Array, frames: Array, infrared: Array) -> None:
    if camids.min() < 1:
        raise DataError(f"'camids' in {path} start at {camids.min()}: cameras count from 1.")
    if frames.min() < 0:
        raise DataError(f"'frames' in {path} has negative values: frames count from 0.")
    keys = np.stack([pids, camids, infrared, frames], axis=1)  # (N, 4)
    images, counts = np.unique(keys, axis=0, return_counts=True)
    repeated = images[counts > 1]
    if len(repeated):
        pid, camid, _, frame = repeated[0]
        raise DataError(
            f"{len(repeated)} images stand in {path} more than once, "
            f"for one the person {pid} in camera {camid}, frame {frame}."
        )
