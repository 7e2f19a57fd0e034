"""Files as other codes write them: MATLAB 7.3 as MATLAB lays it out, a file a camera, lists of paths."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import scipy.io

CLASSES = {"float64": "double", "float32": "single", "bool": "logical"}
HEADER = b"MATLAB 7.3 MAT-file, Platform: GLNXA64, HDF5 schema 1.00 ."


def write_matlab_73(path: Path, variables: Mapping[str, Any]) -> Path:
    """Matrices are datasets transposed, with their class; a list is a (1, n) cell array of references below ``#refs#``."""
    import h5py

    with h5py.File(path, "w", userblock_size=512) as file:
        for name, value in variables.items():
            if not isinstance(value, list):
                _dataset(file, name, value)
                continue
            references = np.empty((len(value), 1), dtype=h5py.ref_dtype)
            for number, part in enumerate(value):
                references[number, 0] = _dataset(file.require_group("#refs#"), f"{name}{number}", part).ref
            file.create_dataset(name, data=references).attrs["MATLAB_class"] = np.bytes_("cell")
    with path.open("r+b") as stream:
        stream.write(HEADER.ljust(124) + b"\x00\x02IM")
    return path


def _dataset(place: Any, name: str, value: np.ndarray) -> Any:
    value = np.atleast_2d(value)
    kind = CLASSES.get(str(value.dtype), str(value.dtype))
    if value.size:
        dataset = place.create_dataset(name, data=value.T.astype(np.uint8) if kind == "logical" else value.T)
    else:
        dataset = place.create_dataset(name, data=np.array(value.shape, np.uint64))
        dataset.attrs["MATLAB_empty"] = np.uint8(1)
    dataset.attrs["MATLAB_class"] = np.bytes_(kind)
    return dataset


def write_cameras(folder: Path, data: Mapping[str, np.ndarray], *, version_73: bool = False) -> Path:
    """``theirs_cam1.mat`` ...: cell p has the features of person p, in the order of the frames."""
    folder.mkdir()
    most = int(data["pids"].max())
    for camera in sorted(set(data["camids"].tolist())):
        cells = []
        for pid in range(1, most + 1):
            rows = np.flatnonzero((data["pids"] == pid) & (data["camids"] == camera))
            cells.append(data["features"][rows[np.argsort(data["frames"][rows])]])
        path = folder / f"theirs_cam{camera}.mat"
        if version_73:
            write_matlab_73(path, {"feature": cells})
        else:
            scipy.io.savemat(path, {"feature": as_cells(cells)}, do_compression=True)
    return folder


def as_cells(parts: list[np.ndarray]) -> np.ndarray:
    """As SciPy takes a (1, n) cell array."""
    cells = np.empty((1, len(parts)), dtype=object)
    for number, part in enumerate(parts):
        cells[0, number] = part
    return cells


def write_listed(path: Path, data: Mapping[str, np.ndarray]) -> Path:
    """An .npy of features, and a .csv of who and where beside it."""
    np.save(path, data["features"])
    names = [name for name in ("pids", "camids", "frames", "infrared") if name in data]
    lines = [",".join(names)]
    for row in zip(*(data[name].astype(int) for name in names), strict=True):
        lines.append(",".join(map(str, row)))
    path.with_suffix(".csv").write_text("\n".join(lines) + "\n")
    return path
