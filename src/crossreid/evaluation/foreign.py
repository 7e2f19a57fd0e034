"""Embeddings that other people's models made, in files of plain arrays, scored like our own.

Files are read by :mod:`.foreign_files`, the layouts of public codes are understood by :mod:`.public_layouts`; here their
arrays are checked.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path

import numpy as np

from crossreid.console import notice
from crossreid.data.datasets.lists import kind_of, list_entries, read_ids, some
from crossreid.data.records import ROLES
from crossreid.errors import ConfigError, DataError
from crossreid.evaluation.array_files import Array, concatenated
from crossreid.evaluation.embeddings import (
    CAMERAS_OF_SYSU,
    MODALITY_FROM,
    QUERY_MODALITY,
    SYSU_INFRARED_CAMERAS,
    SYSU_VISIBLE_CAMERAS,
    Embeddings,
)
from crossreid.evaluation.foreign_files import LISTS, named_arrays
from crossreid.evaluation.matlab import read_matlab
from crossreid.evaluation.public_layouts import (
    camera_files,
    is_query_gallery,
    joined_cameras,
    joined_query_gallery,
)
from crossreid.settings.foreign import ForeignConfig
from crossreid.untrusted import read_json

_LARGEST = 2**53
"""Whole numbers up to here are exact in every type that a file may hold."""
_REQUIRED = ("features", "pids", "camids", "frames")
_OPTIONAL = ("infrared", "roles")
_OURS = ("rows", "token")
"""Further arrays of what :meth:`Embeddings.save` wrote, besides other features."""


@dataclass(frozen=True)
class Reading:
    """What files of embeddings do not say themselves.

    Attributes:
        query_modality: of files with queries and gallery: which side is infrared; None where cameras say it.
        persons: the identities that are taken; None for all.
        of_several: it is said of several files, of which ``query_modality`` goes to those with queries and gallery.
    """

    query_modality: str | None = None
    persons: Collection[int] | None = None
    of_several: bool = False

    @classmethod
    def of(cls, config: ForeignConfig, *, of_several: bool = False) -> Reading:
        """What settings say.

        Raises:
            DataError: the list of persons cannot be read.
        """
        persons = None
        if config.test_ids is not None:
            persons = read_persons(Path(config.test_ids))
        return cls(config.query_modality, persons, of_several)


def load_foreign(path: str | Path, reading: Reading | None = None) -> Embeddings:
    """Read ``features`` (N, D), ``pids``, ``camids`` (1-based), ``frames`` (0-based) and, if there, ``infrared`` (N,).

    ``frames`` is the place of an image among that person's images in that camera and modality, in ascending file order.
    ``infrared`` is 1 or True where an image is infrared; without it the images are those of SYSU-MM01, with cameras 1 to
    6, of which 3 and 6 are infrared, and protocols for other images refuse them. Rows may be in any order. Features need not
    be normalised. ``roles``, if there, are places in :data:`~crossreid.data.records.ROLES`.

    Args:
        path: an .npz or .mat (version 5, or 7.3 with h5py) of these arrays; a .parquet of these columns; an .npy of features
            with a .csv of the other columns, or a .txt of image paths, beside it; a folder of such .npy files; or one of
            the layouts of :mod:`.public_layouts`.
        reading: what the file does not say.

    Raises:
        ConfigError: a package is missing, or what is said of the file does not suit it.
        DataError: an array is missing or has another name, lengths disagree, a value is no whole number, cameras or frames
            are out of range, features are not finite, or one (pid, camera, modality, frame) stands there twice.
    """
    path = Path(path)
    reading = reading or Reading()
    arrays, modality_from = _arrays_at(path, reading)
    about = {}
    if modality_from is not None:
        about[MODALITY_FROM] = modality_from
    _check_names(path, arrays)
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
        embeddings = Embeddings(
            features={"main": features},
            pids=pids,
            camids=camids,
            infrared=infrared,
            frames=frames,
            rows=np.arange(count),
            paths=("",) * count,
            roles=roles,
            about=about,
        )
    except DataError as error:
        raise DataError(f"{path}: {error}") from error
    return _of_persons(path, embeddings, reading.persons)


def foreign_files(path: Path) -> list[Path]:
    """The files that :func:`load_foreign` may read for a path."""
    files = [path]
    if path.is_dir():
        for entry in list_entries(path):
            if entry.is_file():
                files.append(entry)
        return files
    beside: Sequence[str] = (".json",)  # of embeddings that this package saved
    if path.suffix == ".npy":
        beside = LISTS
    for ending in beside:
        files.append(path.with_suffix(ending))
    return files


def read_persons(path: Path) -> frozenset[int]:
    """Identities of a list: text with commas (``exp/test_id.txt``) or a .mat with one matrix (``test_id.mat``).

    Raises:
        DataError: it is missing, or holds something else.
    """
    if path.suffix != ".mat":
        return read_ids(path)
    matrices = list(read_matlab(path).values())
    if len(matrices) != 1 or isinstance(matrices[0], list):
        raise DataError(f"'{path}' should hold one matrix of persons' numbers, as test_id.mat does.")
    return frozenset(_whole_numbers(path, "persons", matrices[0].ravel()).tolist())


def _arrays_at(path: Path, reading: Reading) -> tuple[Mapping[str, Array], str | None]:
    """The arrays of a file or folder, whatever its layout; and what tells their modality, None where they do themselves."""
    cameras: Mapping[int, Path] = {}
    if kind_of(path) == "folder":
        cameras = camera_files(path)
    if cameras:
        absent = sorted({*SYSU_INFRARED_CAMERAS, *SYSU_VISIBLE_CAMERAS} - set(cameras))
        if absent:
            notice(f"Warning: '{path}' has no file of camera {some(absent)}: nothing of it is scored.")
        arrays = joined_cameras(cameras)
    elif kind_of(path) == "folder":
        arrays = _joined_files(path)
    else:
        arrays = named_arrays(path)
        if is_query_gallery(arrays):
            modality_from = CAMERAS_OF_SYSU
            if reading.query_modality is not None:
                modality_from = QUERY_MODALITY
            return joined_query_gallery(path, arrays, reading.query_modality), modality_from
    if reading.query_modality is not None and not reading.of_several:
        raise ConfigError(f"query_modality is of files with queries and gallery, and {path} is none: leave it out.")
    if "infrared" in arrays:
        return arrays, _noted_modality(path, arrays)
    return arrays, CAMERAS_OF_SYSU


def _noted_modality(path: Path, arrays: Mapping[str, Array]) -> str | None:
    """What :meth:`Embeddings.save` noted beside its arrays of where the modality came from; None where it did not."""
    if "token" not in arrays:
        return None
    try:
        description = read_json(path.with_suffix(".json"))
    except DataError:  # the arrays alone are a file like any other
        return None
    about = description.get("about")
    if description.get("token") != str(arrays["token"]) or not isinstance(about, Mapping):
        return None
    noted = about.get(MODALITY_FROM)
    return noted if isinstance(noted, str) else None


def _joined_files(folder: Path) -> dict[str, Array]:
    """The .npy files of a folder, each with its list, one after the other."""
    files = [path for path in list_entries(folder) if path.suffix == ".npy"]
    if not files:
        raise DataError(
            f"'{folder}' holds neither NAME_cam1.mat to NAME_cam6.mat nor .npy files: name a file of embeddings, or a folder "
            "of such files."
        )
    parts = [named_arrays(path) for path in files]
    for path, part in zip(files, parts, strict=True):
        if set(part) != set(parts[0]) or part["features"].shape[1:] != parts[0]["features"].shape[1:]:
            raise DataError(
                f"'{path}' and '{files[0]}' have features of different lengths, or lists of different columns."
            )
    return concatenated(parts)


def _check_names(path: Path, arrays: Mapping[str, Array]) -> None:
    """All that must be there is there, and nothing that might be a slip of the pen for something else."""
    known = (*_REQUIRED, *_OPTIONAL)
    for name in _REQUIRED:
        if name not in arrays:
            raise DataError(
                f"{path} has no array {name!r}: it needs {', '.join(_REQUIRED)} and has {some(sorted(arrays))}."
            )
    for name in arrays:
        if name in (*known, *_OURS) or name.startswith("features_"):
            continue
        guess = get_close_matches(name, known, n=1)
        meant = "."
        if guess:
            meant = f"; is {guess[0]} meant?"
        raise DataError(f"{path} has an array {name!r}, which is none of {', '.join(known)}{meant}")


def _of_persons(path: Path, embeddings: Embeddings, persons: Collection[int] | None) -> Embeddings:
    """The images of some persons."""
    if persons is None:
        return embeddings
    absent = sorted(set(persons) - set(embeddings.pids.tolist()))
    if absent:
        raise DataError(f"{path} has no image of the persons {some(absent)}, which test_ids lists.")
    return embeddings.select(np.isin(embeddings.pids, list(persons)))


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
    # MATLAB keeps whole numbers as floats
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
    # A frame is a place among a person's images, so the same one twice means that frames are something else.
    images, counts = np.unique(keys, axis=0, return_counts=True)
    repeated = images[counts > 1]
    if len(repeated):
        pid, camid, _, frame = repeated[0]
        raise DataError(
            f"{len(repeated)} images stand in {path} more than once, "
            f"for one the person {pid} in camera {camid}, frame {frame}."
        )
