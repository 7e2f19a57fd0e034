"""Embeddings of a set of images: the value object that every protocol, figure and export works from.

Two files on disk: ``NAME.npz`` holds the arrays, ``NAME.json`` the paths, further columns and a description; nothing is
pickled. The .npz alone is also a valid file for :func:`crossreid.evaluation.load_foreign`.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO, cast

import numpy as np

from crossreid.data.records import MODALITIES, ROLES, Modality
from crossreid.errors import DataError, WriteError
from crossreid.evaluation.array_files import Array, read_arrays
from crossreid.files import write_atomically
from crossreid.untrusted import read_json

Cell = str | int | float | None
"""What a further column holds of an image; None where it is not known."""
MODALITY_FROM = "modality_from"
"""In what embeddings say of themselves: where the modality comes from, if the file did not tell it."""
CAMERAS_OF_SYSU = "cameras of SYSU-MM01"
QUERY_MODALITY = "query_modality"
SYSU_INFRARED_CAMERAS = (3, 6)
SYSU_VISIBLE_CAMERAS = (1, 2, 4, 5)
_FORMAT = "crossreid.embeddings"
_PER_IMAGE: dict[str, type[np.generic]] = {
    "pids": np.int64,
    "camids": np.int64,
    "infrared": np.bool_,
    "frames": np.int64,
    "rows": np.int64,
    "roles": np.int8,
}
_OPTIONAL = ("roles",)
"""Arrays that older files lack."""


@dataclass(frozen=True, eq=False)
class Embeddings:
    """Features of N images, and who, where and what each image is.

    Attributes:
        features: name -> (N, D) float32 (float64 is kept, other types become float32). ``"main"`` is always there. Our
            models give L2-normalised rows; other people's need not be.
        pids: (N,) identities, as the dataset numbers them.
        camids: (N,) cameras, 1-based.
        infrared: (N,) True where the image is infrared.
        frames: (N,) 0-based place among a person's images in a camera, ascending file order.
        rows: (N,) place of the image in its dataset's list of records.
        paths: N image files, empty strings where they are not known.
        roles: (N,) places in :data:`~crossreid.data.records.ROLES`: whether an image may query, be found, or both; by
            default all may do both.
        columns: name -> N further values, such as ``camera``, ``time`` (seconds) and ``track`` of images of one's own.
        about: where the features come from, as JSON has it: the model's digest and its preprocessing; empty where nobody
            noted it.

    Raises:
        DataError: lengths disagree, a feature is not (N, D) or not finite, there is no ``"main"``, a role is none, or a
            column holds something else than text and numbers.
    """

    features: Mapping[str, Array]
    pids: Array
    camids: Array
    infrared: Array
    frames: Array
    rows: Array
    paths: tuple[str, ...]
    roles: Array = None  # type: ignore[assignment] # an array once it is made
    columns: Mapping[str, Sequence[Cell]] = field(default_factory=dict)
    about: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        # the dataclass is frozen: this is the one way to put arrays of the right type in the place of what came
        features: dict[str, Array] = {}
        lengths: dict[str, int] = {}
        for name, feature in self.features.items():
            features[name] = _as_feature(name, feature)
            lengths[f"features[{name}]"] = len(feature)
        object.__setattr__(self, "features", features)
        if self.roles is None:
            object.__setattr__(self, "roles", np.zeros(len(self.pids)))
        for name, kind in _PER_IMAGE.items():
            array = np.asarray(getattr(self, name), dtype=kind)
            object.__setattr__(self, name, array)
            lengths[name] = len(array)
        object.__setattr__(self, "paths", tuple(self.paths))
        lengths["paths"] = len(self.paths)
        columns: dict[str, tuple[Cell, ...]] = {}
        for name, cells in self.columns.items():
            columns[name] = tuple(cells)
            lengths[f"columns[{name}]"] = len(columns[name])
        object.__setattr__(self, "columns", columns)
        _check_cells(columns)
        if "main" not in features:
            raise DataError(f"Embeddings need a feature named 'main'; these have {sorted(features) or 'none'}.")
        _check_lengths(lengths)
        if len(self.roles) and not 0 <= self.roles.min() <= self.roles.max() < len(ROLES):
            raise DataError(f"A role of an image is 0 to {len(ROLES) - 1} ({', '.join(ROLES)}).")

    def __len__(self) -> int:
        return len(self.pids)

    @property
    def modalities(self) -> tuple[Modality, ...]:
        """Modality of each of the N images by name."""
        return tuple(MODALITIES[int(flag)] for flag in self.infrared)

    def select(self, index: Array | slice) -> Embeddings:
        """The images that a boolean mask (N,), an integer index (M,) or a slice picks, in its order."""
        positions = _positions(index, len(self))  # the paths are a tuple, which takes neither mask nor array
        columns = {}
        for name, cells in self.columns.items():
            columns[name] = [cells[position] for position in positions]
        features = {}
        for name, feature in self.features.items():
            features[name] = feature[index]
        return Embeddings(
            features=features,
            pids=self.pids[index],
            camids=self.camids[index],
            infrared=self.infrared[index],
            frames=self.frames[index],
            rows=self.rows[index],
            paths=tuple(self.paths[position] for position in positions),
            roles=self.roles[index],
            columns=columns,
            about=self.about,
        )

    def save(self, path: str | Path) -> Path:
        """Write ``path`` (.npz) and the .json beside it; returns the path of the .npz.

        Cut off at any moment, what can be loaded is what was there before or what is saved now: the new description waits
        under a hidden name until the new arrays are there.

        Raises:
            WriteError: the disk is full, the place takes no files, or the .json there is of something else; what was there
                before is unchanged.
        """
        target = _npz_path(path)
        if not target.exists():  # with the arrays that a person named their description goes too
            _refuse_other_description(target.with_suffix(".json"))
        token = uuid.uuid4().hex  # in both files: tells whether they are of one save
        arrays: dict[str, Array] = {}
        widths: dict[str, int] = {}
        for name, feature in self.features.items():
            arrays[_array_name(name)] = feature
            widths[name] = feature.shape[1]
        for name in _PER_IMAGE:
            arrays[name] = getattr(self, name)
        arrays["token"] = np.array(token)
        description: dict[str, Any] = {
            "format": _FORMAT,
            "version": 1,
            "token": token,
            "count": len(self),
            "features": widths,
            "paths": list(self.paths),
        }
        if self.columns:
            description["columns"] = dict(self.columns)
        if self.about:
            description["about"] = dict(self.about)
        text = json.dumps(description, indent=1).encode()

        def write_arrays(stream: BinaryIO) -> None:
            np.savez(stream, **cast("dict[str, Any]", arrays))

        # The description first, under a hidden name: arrays without one cannot be loaded, and the old pair stays whole.
        following = _following(target)
        write_atomically(following, lambda stream: stream.write(text))
        try:
            write_atomically(target, write_arrays)  # from here on the description under the hidden name counts
        except Exception:
            following.unlink(missing_ok=True)
            raise
        following.replace(target.with_suffix(".json"))
        return target

    @classmethod
    def load(cls, path: str | Path) -> Embeddings:
        """Read what :meth:`save` wrote.

        Raises:
            DataError: one of the two files is missing or damaged, or they are not from the same save.
        """
        source = _npz_path(path)
        arrays = read_arrays(source)
        description = _read_description(source, str(arrays.get("token")))
        for name in (*_PER_IMAGE, "features", "token"):
            if name not in arrays and name not in _OPTIONAL:
                raise DataError(f"{source} is no file of saved embeddings: it has no array {name!r}.")
        if description.get("token") != str(arrays["token"]) or "paths" not in description:
            raise DataError(f"{source} and {source.with_suffix('.json').name} are not from the same save.")
        paths = description["paths"]
        if not isinstance(paths, list) or not all(isinstance(path, str) for path in paths):
            raise DataError(f"{source.with_suffix('.json')} does not list paths.")
        columns = description.get("columns", {})
        about = description.get("about", {})
        if not isinstance(about, dict) or not _are_columns(columns):
            raise DataError(f"{source.with_suffix('.json')} does not describe embeddings.")
        features: dict[str, Array] = {}
        for name, array in arrays.items():
            if name.startswith("features"):
                features[_feature_name(name)] = array
        try:
            return cls(
                features=features,
                pids=arrays["pids"],
                camids=arrays["camids"],
                infrared=arrays["infrared"],
                frames=arrays["frames"],
                rows=arrays["rows"],
                paths=tuple(paths),
                roles=arrays.get("roles"),  # type: ignore[arg-type] # None where there are none
                columns=columns,
                about=about,
            )
        except (TypeError, ValueError, OverflowError) as error:
            raise DataError(f"{source} holds arrays that are no embeddings ({error}).") from error


def _refuse_other_description(path: Path) -> None:
    """Raise :class:`WriteError` where a .json that nobody named would be lost: one that no embeddings have."""
    if not path.exists():
        return
    try:
        of_embeddings = read_json(path).get("format") == _FORMAT
    except DataError:
        of_embeddings = False
    if not of_embeddings:
        raise WriteError(f"'{path}' is there, and would be lost, as embeddings are two files: choose another name.")


def _positions(index: Array | slice, count: int) -> list[int]:
    """The places that a mask, an integer index or a slice picks of so many images."""
    if isinstance(index, np.ndarray) and index.dtype.kind in "iu":
        return list(index.tolist())
    return list(np.arange(count)[index].tolist())


def files_of(path: str | Path) -> list[Path]:
    """The two files that :meth:`Embeddings.save` writes."""
    target = _npz_path(path)
    return [target, target.with_suffix(".json")]


def _are_columns(content: object) -> bool:
    """What a description says of further columns is names with lists."""
    return isinstance(content, dict) and all(isinstance(cells, list) for cells in content.values())


def _following(path: Path) -> Path:
    """Where the description of a new .npz waits until that is in its place."""
    return path.with_name(f".{path.stem}.json.next")


def _read_description(source: Path, token: str) -> dict[str, Any]:
    """The description of an .npz: the .json beside it, or the one that still waits where a save was cut off."""
    following = _following(source)
    if following.is_file():
        description = read_json(following)
        if description.get("token") == token:
            return description
    path = source.with_suffix(".json")
    if not path.is_file():
        raise DataError(f"{path} is missing: saved embeddings are two files, an .npz and a .json.")
    return read_json(path)


def _as_feature(name: str, feature: Array) -> Array:
    """(N, D) float32, or float64 if it came so; its values finite."""
    array = np.asarray(feature)
    if array.dtype != np.float64:
        array = array.astype(np.float32, copy=False)
    if array.ndim != 2:
        raise DataError(f"Feature {name!r} should be an (N, D) matrix but has the shape {array.shape}.")
    finite = np.isfinite(array).all(axis=1)
    if not finite.all():
        row = int(np.argmin(finite))
        raise DataError(f"Feature {name!r} has NaN or infinite values in {(~finite).sum()} rows, first in row {row}.")
    return array


def _check_cells(columns: Mapping[str, Sequence[object]]) -> None:
    """Further columns hold what JSON can have in a cell."""
    for name, cells in columns.items():
        for cell in cells:
            if cell is not None and not isinstance(cell, str | int | float):
                raise DataError(
                    f"The column {name!r} of a set of embeddings holds something else than text and numbers."
                )


def _check_lengths(lengths: Mapping[str, int]) -> None:
    if len(set(lengths.values())) > 1:
        listing = ", ".join(f"{name} {length}" for name, length in lengths.items())
        raise DataError(f"The arrays of a set of embeddings have different lengths: {listing}.")


def _npz_path(path: str | Path) -> Path:
    path = Path(path)
    if path.suffix == ".npz":
        return path
    return path.with_name(path.name + ".npz")


def _array_name(feature: str) -> str:
    """``main`` is ``features`` on disk, as in other people's files."""
    return "features" if feature == "main" else f"features_{feature}"


def _feature_name(array: str) -> str:
    return "main" if array == "features" else array.removeprefix("features_")
