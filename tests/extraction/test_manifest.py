"""Manifests: what is a number and what a name."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from crossreid.errors import DataError
from crossreid.extraction.labels import labels_of
from crossreid.extraction.manifest import read_manifest

ALIKE = {
    "underscores": ("1_11", "11_1"),
    "leading zeros": ("0001_2", "000_12"),
    "exponents": ("12e4", "120e3"),
    "fractions": ("1.10", "1.1"),
    "too many digits": ("12345678901234567890", "12345678901234567891"),
    "other digits": ("\N{ARABIC-INDIC DIGIT ONE}2", "12"),
    "signs": ("+12", "12"),
}
"""Two names each that Python reads as one number."""


def column_of(tmp_path: Path, column: str, *cells: str) -> list:
    """A column as a manifest with these cells has it."""
    path = tmp_path / "m.csv"
    path.write_text("\n".join([f"path,{column}", *(f"{row}.jpg,{cell}" for row, cell in enumerate(cells))]))
    return list(read_manifest(path).columns[column])


@pytest.mark.parametrize("column", ["person", "track", "camera", "id"])
@pytest.mark.parametrize("kind", ALIKE)
def test_names_that_look_like_one_number_stay_apart(tmp_path: Path, column: str, kind: str) -> None:
    cells = column_of(tmp_path, column, *ALIKE[kind])
    assert cells == list(ALIKE[kind])
    persons = labels_of({"person": cells}, np.zeros(2, dtype=bool)).pids
    assert len(set(persons.tolist())) == 2


def test_whole_numbers_are_numbers_whatever_their_zeros(tmp_path: Path) -> None:
    for column in ("person", "track", "camera", "id"):
        assert column_of(tmp_path, column, "0001", "1", "", "-2") == [1, 1, None, -2]
    for column in ("person", "track", "camera"):  # as tables write whole numbers of which some are not known
        assert column_of(tmp_path, column, "7.0", "12.0", "") == [7, 12, None]
    assert column_of(tmp_path, "person", ".0", "1") == [".0", "1"]
    assert column_of(tmp_path, "id", "7.0", "12.0") == ["7.0", "12.0"]


def test_further_columns_hold_decimal_numbers_alone(tmp_path: Path) -> None:
    assert column_of(tmp_path, "speed", "1.5", "-2e-1", ".5", "+3.") == [1.5, -0.2, 0.5, 3.0]
    for cells in (("1_11", "11_1"), ("nan", "1"), ("inf", "1"), ("0x1", "1"), ("1e999", "1"), ("1.", ".")):
        assert column_of(tmp_path, "speed", *cells) == list(cells)
    with pytest.raises(DataError, match="write seconds, or"):
        column_of(tmp_path, "time", "1_11")
