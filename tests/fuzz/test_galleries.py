"""Filters, manifests, lists of pairs, calibrations and galleries that nobody would write, or that a disk has damaged."""

from __future__ import annotations

import json
import shutil
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from crossreid.evaluation import Embeddings
from crossreid.evaluation.calibration import Calibration
from crossreid.extraction.manifest import Manifest, read_manifest
from crossreid.galleries import Gallery
from crossreid.galleries.filters import parse_filter
from crossreid.settings.calibration import CalibrationSettings
from crossreid.studies.calibration import calibrate_embeddings
from crossreid.studies.calibration.pair_list import LabelledPairs, read_pairs
from fuzz.oracle import PLAIN, TEXTS, cases, damaged, ends_well, untouched

COLUMNS: dict[str, list[Any]] = {
    "camera": [1, 2, 3, None, 3, 6],
    "time": [0.0, 10.5, None, 3600.0, -5.0, 7200.0],
    "zone": ["north", "it's", None, "south", "", "north"],
}
KINDS = {"camera": float, "time": float, "zone": str}
SIGNS = {
    "=": lambda one, other: one == other,
    "==": lambda one, other: one == other,
    "!=": lambda one, other: one != other,
    "<": lambda one, other: one < other,
    "<=": lambda one, other: one <= other,
    ">": lambda one, other: one > other,
    ">=": lambda one, other: one >= other,
}
SEVERAL = [
    "",
    " ",
    "(",
    ")",
    "and",
    "or",
    "not",
    "in",
    "camera",
    "zone",
    "time",
    "=",
    "!=",
    "<",
    ",",
    "3",
    "-1e9",
    "'a'",
    '"',
]


@st.composite
def conditions(draw: st.DrawFn, depth: int = 0) -> tuple[str, Any]:
    """A filter, and what it means in Python for a row."""
    kind = draw(st.sampled_from(["compare", "in", *(["not", "and", "or"] if depth < 3 else [])]))
    if kind == "compare":
        name = draw(st.sampled_from(sorted(COLUMNS)))
        sign = draw(st.sampled_from(sorted(SIGNS)))
        value = draw(st.sampled_from(["north", "it's", "", "m"] if name == "zone" else [1, 3, 6, -5, 10.5, 3600]))
        text = "'" + value.replace("'", "''") + "'" if isinstance(value, str) else repr(value)

        def holds(row: int) -> bool:
            cell = COLUMNS[name][row]
            return cell is not None and SIGNS[sign](cell, value)

        return f"{name} {sign} {text}", holds
    if kind == "in":
        values = draw(st.lists(st.sampled_from([1, 2, 3, 6]), min_size=1, max_size=3))
        return f"camera in ({', '.join(map(str, values))})", lambda row: COLUMNS["camera"][row] in values
    one, first = draw(conditions(depth + 1))
    if kind == "not":
        return f"not ({one})", lambda row: not first(row)
    other, second = draw(conditions(depth + 1))
    if kind == "and":
        return f"({one}) and ({other})", lambda row: first(row) and second(row)
    return f"({one}) OR ({other})", lambda row: first(row) or second(row)


@cases(300)
@given(condition=conditions())
def test_filters_mean_what_python_means(condition: tuple[str, Any]) -> None:
    text, holds = condition
    parsed, refused = ends_well(lambda: parse_filter(text, KINDS))
    assert not refused, (text, refused)
    assert parsed.mask(COLUMNS).tolist() == [holds(row) for row in range(6)], text
    assert parsed.sql()
    assert parsed.milvus()


@cases(300)
@given(
    text=st.one_of(
        st.lists(st.sampled_from(SEVERAL), max_size=12).map(" ".join), st.text(max_size=40), st.sampled_from(TEXTS)
    )
)
def test_odd_filters_are_refused_in_a_sentence_or_choose(text: str) -> None:
    parsed, refused = ends_well(lambda: parse_filter(text, KINDS), seconds=10)
    assert refused or parsed.mask(COLUMNS).shape == (6,)


MANIFEST = b"path,modality,camera,time,x,y,width,height\n"
MANIFEST += b"a.jpg,visible,1,2025-11-03T22:14:05,1,2,3,4\nb.jpg,infrared,2,5,1,2,3,4\n"
PAIRS = b"first,second,same\na.jpg,b.jpg,yes\nb.jpg,c.jpg,no\nd.jpg,a.jpg,different\n"


@cases(200)
@given(
    content=st.one_of(
        damaged(MANIFEST),
        st.binary(max_size=80),
        st.text(max_size=80).map(lambda text: text.encode("utf-8", "replace")),
    )
)
def test_odd_manifests_are_refused_in_a_sentence_or_read(content: bytes) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "theirs.csv"
        path.write_bytes(content)
        with untouched(Path(folder)):
            manifest, refused = ends_well(lambda: read_manifest(path), seconds=10)
    if not refused:
        assert isinstance(manifest, Manifest)
        assert {len(cells) for cells in manifest.columns.values()} <= {len(manifest.paths)}
        assert len(manifest.boxes) == len(manifest.frames) == len(manifest.paths)


@cases(200)
@given(content=st.one_of(damaged(PAIRS), st.binary(max_size=80)))
def test_odd_lists_of_pairs_are_refused_in_a_sentence_or_read(content: bytes) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "theirs.csv"
        path.write_bytes(content)
        pairs, refused = ends_well(lambda: read_pairs(path), seconds=10)
    if not refused:
        assert isinstance(pairs, LabelledPairs)
        assert len(pairs.first) == len(pairs.second) > 0
        assert pairs.persons.min() >= 1


def people(count: int = 60) -> Embeddings:
    rng = np.random.default_rng(0)
    person = np.arange(count) % 15
    features = rng.standard_normal((15, 8))[person] + 0.5 * rng.standard_normal((count, 8))
    camera = 1 + np.arange(count) // 15 % 4
    return Embeddings(
        {"main": features.astype(np.float32)},
        person + 1,
        camera,
        camera > 2,
        np.zeros(count),
        np.arange(count),
        tuple(f"{row}.jpg" for row in range(count)),
        columns={"camera": camera.tolist()},
        about={"model": "a" * 64, "method": "agw", "preprocessing": {"height": 64}},
    )


@pytest.fixture(scope="module")
def calibration() -> dict[str, Any]:
    """A whole one, as JSON has it."""
    settings = CalibrationSettings(bootstrap=100)
    return json.loads(json.dumps(calibrate_embeddings(people(600), settings, {}).plain()))


def _replaced(content: Any, path: list[int], value: Any) -> Any:
    """JSON with the part at a path (the n-th of each group or list) replaced."""
    if not path or not isinstance(content, dict | list) or not content:
        return value
    if isinstance(content, dict):
        key = sorted(content)[path[0] % len(content)]
        return {**content, key: _replaced(content[key], path[1:], value)}
    place = path[0] % len(content)
    return [*content[:place], _replaced(content[place], path[1:], value), *content[place + 1 :]]


@cases(150)
@given(path=st.lists(st.integers(0, 12), min_size=1, max_size=6), value=PLAIN)
def test_odd_calibrations_are_refused_in_a_sentence_or_used(calibration, path: list[int], value: Any) -> None:
    content = _replaced(calibration, path, value)

    def use() -> Calibration:
        read = Calibration.from_plain(content, "theirs.json")
        for pair in read.pairs:
            rates = read.rates(pair)
            assert all(isinstance(read.threshold(pair, rate), int | float) for rate in rates)
            assert np.isfinite(read.probability(pair, np.array([-1.0, 0.3, 1.0]))).all()
        json.dumps(read.compact().plain())
        return read

    ends_well(use, seconds=10)


@pytest.fixture(scope="module", params=["street.npz", "street.gallery"])
def whole(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A gallery on disk that is fine."""
    if request.param.endswith(".gallery"):
        pytest.importorskip("lancedb", reason="galleries in folders need the extra `search`")
    place = tmp_path_factory.mktemp("whole") / request.param
    Gallery.open(place).add(people())
    return place


@cases(25)
@given(data=st.data())
def test_damaged_galleries_are_refused_in_a_sentence_or_searched(whole: Path, data: st.DataObject) -> None:
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder) / "g" / whole.name
        shutil.copytree(whole.parent, place.parent)
        files = sorted(path for path in place.parent.rglob("*") if path.is_file() and path.stat().st_size)
        victim = data.draw(st.sampled_from(files))
        victim.write_bytes(data.draw(damaged(victim.read_bytes())))
        queries = people(3)

        def search() -> Any:
            return Gallery.open(place).search(queries, 5, filter="camera != 2")

        hits, refused = ends_well(search, seconds=30)
        if not refused:
            assert len(hits) == 3
            assert all(len(found) <= 5 for found in hits.lists)


def test_the_whole_ones_are_fine(whole: Path, calibration) -> None:
    """The fuzzer's own files are right before it damages them."""
    assert len(Gallery.open(whole).search(people(3), 5).lists[0]) == 5
    assert Calibration.from_plain(calibration, "ours").pairs
