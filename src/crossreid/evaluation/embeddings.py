"""Embeddings of a set of images: the value object that every protocol, figure and export works from.

Two files on disk: ``NAME.npz`` holds the arrays, ``NAME.json`` the paths and a description; nothing is pickled. The
.npz alone is also a valid file for :func:`crossreid.evaluation.load_foreign`.
"""

from __future__ import annotations

import json
import uuid
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, cast

import numpy as np
from numpy.typing import NDArray

from crossreid.data.records import MODALITIES, Modality
from crossreid.errors import DataError
from crossreid.files import write_atomically

Array = NDArray[Any]
SYSU_INFRARED_CAMERAS = (3, 6)
_PER_IMAGE: dict[str, type[np.generic]] = {
    "pids": np.int64,
    "camids": np.int64,
    "infrared": np.bool_,
    "frames": np.int64,
    "rows": np.int64,
}


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

    Raises:
        DataError: lengths disagree, a feature is not (N, D) or not finite, or there is no ``"main"``.
    """

    features: Mapping[str, Array]
    pids: Array
    camids: Array
    infrared: Array
    frames: Array
    rows: Array
    paths: tuple[str, ...]

    def __post_init__(self) -> None:
        object.__setattr__(self, "features", {name: _as_feature(name, f) for name, f in self.features.items()})
        for name, kind in _PER_IMAGE.items():
            object.__setattr__(self, name, np.asarray(getattr(self, name), dtype=kind))
        object.__setattr__(self, "paths", tuple(self.paths))
        if "main" not in self.features:
            raise DataError(f"Embeddings need a feature named 'main'; these have {sorted(self.features) or 'none'}.")
        lengths = {name: len(getattr(self, name)) for name in (*_PER_IMAGE, "paths")}
        _check_lengths({**{f"features[{n}]": len(f) for n, f in self.features.items()}, **lengths})

    def __len__(self) -> int:
        return len(self.pids)

    @property
    def modalities(self) -> tuple[Modality, ...]:
        """Modality of each of the N images by name."""
        return tuple(MODALITIES[int(flag)] for flag in self.infrared)

    def select(self, index: Array | slice) -> Embeddings:
        """The images that a boolean mask (N,), an integer index (M,) or a slice picks, in its order."""
        chosen = np.arange(len(self))[index]
        return Embeddings(
            features={name: feature[index] for name, feature in self.features.items()},
            paths=tuple(self.paths[i] for i in chosen),
            **{name: getattr(self, name)[index] for name in _PER_IMAGE},
        )

    def save(self, path: str | Path) -> Path:
        """Write ``path`` (.npz) and the .json beside it, each whole or not at all; returns the path of the .npz."""
        target = _npz_path(path)
        token = uuid.uuid4().hex
        arrays = {_array_name(name): feature for name, feature in self.features.items()}
        arrays |= {name: getattr(self, name) for name in _PER_IMAGE} | {"token": np.array(token)}
        description = {
            "format": "crossreid.embeddings",
            "version": 1,
            "token": token,
            "count": len(self),
            "features": {name: feature.shape[1] for name, feature in self.features.items()},
            "paths": list(self.paths),
        }
        text = json.dumps(description, indent=1).encode()

        def write_arrays(stream: BinaryIO) -> None:
            np.savez(stream, **cast("dict[str, Any]", arrays))

        write_atomically(target, write_arrays)
        write_atomically(target.with_suffix(".json"), lambda stream: stream.write(text))
        return target

    @classmethod
    def load(cls, path: str | Path) -> Embeddings:
        """Read what :meth:`save` wrote.

        Raises:
            DataError: one of the two files is missing or damaged, or they are not from the same save.
        """
        source = _npz_path(path)
        arrays, description = read_arrays(source), _read_description(source.with_suffix(".json"))
        missing = [name for name in (*_PER_IMAGE, "features", "token") if name not in arrays]
        if missing:
            raise DataError(f"{source} is no file of saved embeddings: it has no array {missing[0]!r}.")
        if description.get("token") != str(arrays["token"]) or "paths" not in description:
            raise DataError(f"{source} and {source.with_suffix('.json').name} are not from the same save.")
        features = {_feature_name(key): value for key, value in arrays.items() if key.startswith("features")}
        return cls(features=features, paths=tuple(description["paths"]), **{name: arrays[name] for name in _PER_IMAGE})


def read_arrays(path: Path) -> dict[str, Array]:
    """All arrays of an .npz file; :class:`DataError` in one sentence where that cannot be done."""
    try:
        archive = np.load(path, allow_pickle=False)
        if not isinstance(archive, np.lib.npyio.NpzFile):
            raise DataError(f"{path} is a single array, not an .npz file of named arrays.")
        with archive:
            return {name: archive[name] for name in archive.files}
    except FileNotFoundError:
        raise DataError(f"There is no embeddings file {path}.") from None
    except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
        raise DataError(f"{path} cannot be read as an .npz file of plain arrays ({error}).") from error


def _read_description(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text())
    except FileNotFoundError:
        raise DataError(f"{path} is missing: saved embeddings are two files, an .npz and a .json.") from None
    except ValueError as error:
        raise DataError(f"{path} is not JSON ({error}).") from error
    return content if isinstance(content, dict) else {}


def _as_feature(name: str, feature: Array) -> Array:
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


def _check_lengths(lengths: Mapping[str, int]) -> None:
    if len(set(lengths.values())) > 1:
        told = ", ".join(f"{name} {length}" for name, length in lengths.items())
        raise DataError(f"The arrays of a set of embeddings have different lengths: {told}.")


def _npz_path(path: str | Path) -> Path:
    path = Path(path)
    return path if path.suffix == ".npz" else path.with_name(path.name + ".npz")


def _array_name(feature: str) -> str:
    return "features" if feature == "main" else f"features_{feature}"


def _feature_name(array: str) -> str:
    return "main" if array == "features" else array.removeprefix("features_")
