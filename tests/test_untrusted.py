"""Files that other people made: bounded, and nothing in them is obeyed."""

import json
import os
import zipfile
from pathlib import Path

import pytest

from crossreid.errors import DataError
from crossreid.untrusted import archive_members, fits, read_json, read_yaml

LAUGHS = "a: &a [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{name}: &{name} [{', '.join([f'*{before}'] * 9)}]\n" for before, name in zip("abcdefgh", "bcdefghi", strict=True)
)
"""Nine levels of nine: a billion entries where they are expanded."""


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (LAUGHS, "aliases"),
        ("a: " + "[" * 5000, "nested more than 40"),
        ("a: " + "[" * 60 + "]" * 60, "nested more than 40"),
        ("a: !!python/object/apply:os.system ['touch pwned']", "could not determine a constructor"),
        ("a: 1" + "0" * 5000, "cannot be read"),
        ("- 1", "holds no settings"),
        ("1: x", "holds no settings"),
        ("a: [", "cannot be read"),
        ("a: " + "x" * (5 * 2**20), "more than 4 MiB"),
    ],
)
def test_a_hostile_yaml_is_one_sentence(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "config.yaml"
    path.write_text(text)
    with pytest.raises(DataError, match=message) as caught:
        read_yaml(path)
    assert len(str(caught.value)) < 500
    assert not (tmp_path / "pwned").exists()


def test_text_of_a_yaml_is_taken_literally(tmp_path: Path) -> None:
    path = tmp_path / "config.yaml"
    path.write_text("_target_: evil.Thing\nsecret: ${oc.env:SECRET}\n")
    assert read_yaml(path) == {"_target_": "evil.Thing", "secret": "${oc.env:SECRET}"}


@pytest.mark.parametrize("raw", [b"", b"{", b"[1]", b"\xff\xfe{}", b"[" * 100_000, b'{"a":' * 50 + b"1" + b"}" * 50])
def test_a_hostile_json_is_one_sentence(tmp_path: Path, raw: bytes) -> None:
    path = tmp_path / "run.json"
    path.write_bytes(raw)
    with pytest.raises(DataError):
        read_json(path)


def test_numbers_that_are_none_are_not_known(tmp_path: Path) -> None:
    path = tmp_path / "run.json"
    path.write_text('{"a": NaN, "b": -Infinity, "c": 1e999, "d": 0.5}')
    assert read_json(path) == {"a": None, "b": None, "c": None, "d": 0.5}


def test_a_pipe_is_no_file(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "run.json")  # reading it would wait for ever
    with pytest.raises(DataError, match="it is no file"):
        read_json(tmp_path / "run.json")


def test_an_archive_that_unpacks_without_bound_is_refused_before_it_is_unpacked(tmp_path: Path) -> None:
    bomb = tmp_path / "bomb.npz"
    with (
        zipfile.ZipFile(bomb, "w", zipfile.ZIP_DEFLATED) as archive,
        archive.open("x.npy", "w", force_zip64=True) as part,
    ):
        zeros = bytes(2**24)
        for _ in range(80):
            part.write(zeros)
    with pytest.raises(DataError, match="would unpack to"):
        archive_members(bomb)
    small = tmp_path / "small.zip"
    with zipfile.ZipFile(small, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("x", bytes(10_000))
    assert [member.size for member in archive_members(small)] == [10_000]
    with pytest.raises(DataError, match="unpack to more"):
        archive_members(small, stored_only=True)
    (tmp_path / "none.zip").write_text(json.dumps({}))
    with pytest.raises(DataError, match="cannot be read"):
        archive_members(tmp_path / "none.zip")


def test_shapes_that_overflow_do_not_fit() -> None:
    assert fits((3, 4), 8, 96)
    assert not fits((3, 4), 8, 95)
    assert not fits((2**40, 2**40), 8, 2**30)
    assert not fits((-1, 4), 8, 2**30)
    assert fits((), 8, 8)
