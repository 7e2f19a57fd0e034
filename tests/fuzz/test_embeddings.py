"""Files of embeddings with bytes flipped, arrays removed, of other types, shapes and values, through ``score``."""

from __future__ import annotations

import io
import tempfile
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.io
from hypothesis import given
from hypothesis import strategies as st

import crossreid
from crossreid.evaluation import GalleryPermutations
from crossreid.runs.results import RunResults
from foreign_files import as_cells, write_matlab_73
from fuzz.oracle import cases, damaged, ends_well, untouched

SETTINGS: dict[str, dict[str, Any]] = {
    "sysu_mm01": {"trials": 2, "draw": "seeded"},
    "regdb": {"split": 1},
    "llcm": {"trials": 2},
    "all_pairs": {},
}


def arrays() -> dict[str, np.ndarray]:
    """Four persons in cameras 1, 2 (visible) and 3, 6 (infrared), two images each."""
    places = [(pid, camid, frame) for pid in range(1, 5) for camid in (1, 2, 3, 6) for frame in range(2)]
    pids, camids, frames = np.array(places).T
    rng = np.random.default_rng(0)
    features = rng.standard_normal((len(pids), 6)).astype(np.float32)
    return {"features": features, "pids": pids, "camids": camids, "frames": frames, "infrared": np.isin(camids, (3, 6))}


def saved(content: dict[str, np.ndarray], compressed: bool = False) -> bytes:
    """As a file."""
    stream = io.BytesIO()
    (np.savez_compressed if compressed else np.savez)(stream, **content)
    return stream.getvalue()


VALUES = [0, -1, 1, 2**31, 2**53 + 1, 2**62, -(2**62), np.nan, np.inf, 1e308, 1e-320, 0.5]
DTYPES = [
    "int8",
    "uint8",
    "uint64",
    "int64",
    "float16",
    "float32",
    "float64",
    "complex64",
    "bool",
    "U8",
    "S4",
    "O",
    "M8[s]",
]


@st.composite
def others(draw: st.DrawFn) -> bytes:
    """A file whose arrays are others."""
    content = arrays()
    for _ in range(draw(st.integers(1, 3))):
        name = draw(st.sampled_from(sorted(content))) if content else "features"
        array = content.get(name, np.zeros(3))
        how = draw(
            st.sampled_from(["remove", "rename", "type", "shape", "value", "value", "all", "length", "byte order"])
        )
        with np.errstate(all="ignore"):
            content = _changed(draw, content, name, array, how)
    return saved(content, draw(st.booleans()))


def _changed(
    draw: st.DrawFn, content: dict[str, np.ndarray], name: str, array: np.ndarray, how: str
) -> dict[str, np.ndarray]:
    if how == "remove":
        content.pop(name, None)
    elif how == "rename":
        content[draw(st.sampled_from(["x", "Features", "a/b", "../up", "é"]))] = content.pop(name, array)
    elif how == "type":
        try:
            content[name] = array.astype(draw(st.sampled_from(DTYPES)))
        except (TypeError, ValueError, OverflowError):  # numpy has no such conversion
            content.pop(name, None)
    elif how == "shape":
        content[name] = draw(
            st.sampled_from([array[None], array[..., None], array.reshape(-1), array.reshape(-1)[:0], np.array(3)])
        )
    elif how in ("value", "all"):
        return _with_value(draw, content, name, how)
    elif how == "length":
        content[name] = np.concatenate([array, array[:1]]) if array.ndim else array
    elif how == "byte order" and array.dtype.kind in "iuf":
        content[name] = array.astype(array.dtype.newbyteorder(">"))
    return content


def _with_value(draw: st.DrawFn, content: dict[str, np.ndarray], name: str, how: str) -> dict[str, np.ndarray]:
    """An odd number in one place of an array, or in all of it."""
    array = content.get(name)
    if array is None or array.dtype.kind not in "iufb" or not array.size:
        return content
    value = draw(st.sampled_from(VALUES))
    odd = array.astype(np.float64 if isinstance(value, float) else array.dtype, copy=True)
    row = draw(st.integers(0, odd.size - 1))
    try:
        odd.reshape(-1)[slice(None) if how == "all" else row] = value
    except OverflowError:  # the type does not hold it
        return content
    return {**content, name: odd}


@cases(200)
@given(
    content=st.one_of(others(), st.booleans().flatmap(lambda packed: damaged(saved(arrays(), packed)))),
    protocol=st.sampled_from(sorted(SETTINGS)),
)
def test_odd_embeddings_are_refused_in_a_sentence_or_scored(content: bytes, protocol: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "theirs.npz"
        path.write_bytes(content)
        with untouched(Path(folder)):
            results, refused = ends_well(lambda: scored(path, protocol), seconds=20)
        assert refused or results.rows


@cache
def whole_matlab(kind: str) -> bytes:
    """The arrays as a MATLAB file: of version 5, 5 compressed or 7.3."""
    content = {name: array.astype(np.uint8) if array.dtype == bool else array for name, array in arrays().items()}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "theirs.mat"
        if kind == "7.3":
            write_matlab_73(path, content)
        else:
            scipy.io.savemat(path, content, do_compression=kind == "compressed")
        return path.read_bytes()


@pytest.mark.parametrize("kind", ["5", "compressed", "7.3"])
@cases(100)
@given(data=st.data())
def test_damaged_matlab_files_are_refused_in_a_sentence_or_scored(kind: str, data: st.DataObject) -> None:
    if kind == "7.3":
        pytest.importorskip("h5py")
    content = data.draw(damaged(whole_matlab(kind)))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "theirs.mat"
        path.write_bytes(content)
        with untouched(Path(folder)):
            results, refused = ends_well(lambda: scored(path, "all_pairs"), seconds=20)
        assert refused or results.rows


@cache
def whole_permutations(packed: bool) -> bytes:
    """A small rand_perm_cam.mat: two cameras, three persons, two trials."""
    people = as_cells([np.array([[2, 1], [1, 2]], np.uint8)] * 3)
    stream = io.BytesIO()
    scipy.io.savemat(stream, {"rand_perm_cam": as_cells([people, people])}, do_compression=packed)
    return stream.getvalue()


@pytest.mark.parametrize("packed", [False, True])
@cases(100)
@given(data=st.data())
def test_damaged_permutations_are_refused_in_a_sentence_or_are_permutations(packed: bool, data: st.DataObject) -> None:
    content = data.draw(damaged(whole_permutations(packed)))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "rand_perm_cam.mat"
        path.write_bytes(content)
        read, refused = ends_well(lambda: GalleryPermutations.from_mat(path), seconds=20)
        if refused:
            return
        for order in read.orders.values():
            assert (np.sort(order, axis=1) == np.arange(order.shape[1])).all()


def scored(path: Path, protocol: str) -> RunResults:
    """Score it; every number that comes out is a fraction."""
    results = crossreid.score(path, protocol, **SETTINGS[protocol])
    repr(results)
    for row in results.rows:
        for result in row.results.values():
            for value in (result.rank(1), result.mean_ap, result.mean_inp):
                assert ((value >= 0) & (value <= 1)).all()
    return results


def test_whole_embeddings_are_scored(tmp_path: Path) -> None:
    """The fuzzer's own file is fine before it damages it."""
    path = tmp_path / "theirs.npz"
    path.write_bytes(saved(arrays()))
    for protocol in SETTINGS:
        results, refused = ends_well(lambda protocol=protocol: scored(path, protocol))
        assert not refused
        assert results.rows
