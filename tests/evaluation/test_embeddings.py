import json
from pathlib import Path

import numpy as np
import pytest

from crossreid.errors import DataError, WriteError
from crossreid.evaluation import Embeddings, load_foreign


def make(n=5, **changes):
    rng = np.random.default_rng(0)
    fields = {
        "features": {"main": rng.standard_normal((n, 4)).astype(np.float32), "shared": np.ones((n, 2))},
        "pids": np.arange(n) + 10,
        "camids": np.arange(n) % 6 + 1,
        "infrared": np.arange(n) % 2 == 0,
        "frames": np.zeros(n, int),
        "rows": np.arange(n)[::-1],
        "paths": tuple(f"folder/é {i}.jpg" for i in range(n)),
    }
    return Embeddings(**{**fields, **changes})


def same(a, b):
    assert a.features.keys() == b.features.keys()
    for name in a.features:
        np.testing.assert_array_equal(a.features[name], b.features[name])
        assert a.features[name].dtype == b.features[name].dtype
    for name in ("pids", "camids", "infrared", "frames", "rows"):
        np.testing.assert_array_equal(getattr(a, name), getattr(b, name))
        assert getattr(a, name).dtype == getattr(b, name).dtype
    assert a.paths == b.paths


def test_what_is_saved_is_what_is_loaded(tmp_path):
    embeddings = make()
    written = embeddings.save(tmp_path / "deep" / "test")
    assert written == tmp_path / "deep" / "test.npz"
    same(Embeddings.load(written), embeddings)
    same(Embeddings.load(tmp_path / "deep" / "test"), embeddings)
    assert sorted(p.name for p in written.parent.iterdir()) == ["test.json", "test.npz"]  # nothing temporary is left
    assert json.loads(written.with_suffix(".json").read_text())["features"] == {"main": 4, "shared": 2}
    with np.load(written, allow_pickle=False) as archive:  # nothing is pickled
        assert "features" in archive.files


def test_the_npz_alone_is_a_valid_foreign_file(tmp_path):
    foreign = load_foreign(make().save(tmp_path / "a.npz"))
    np.testing.assert_array_equal(foreign.features["main"], make().features["main"])


def test_a_failed_save_leaves_the_old_file(tmp_path, monkeypatch):
    make(3).save(tmp_path / "a.npz")

    def full_disk(*_args, **_arrays):
        raise OSError("no space left")

    monkeypatch.setattr(np, "savez", full_disk)
    with pytest.raises(WriteError, match="no space"):
        make(5).save(tmp_path / "a.npz")
    assert len(Embeddings.load(tmp_path / "a.npz")) == 3
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.json", "a.npz"]


def test_a_json_of_something_else_is_not_written_over(tmp_path):
    (tmp_path / "a.json").write_text('{"thesis": 1}')
    with pytest.raises(WriteError, match=r"a\.json' is there, and would be lost, as embeddings are two files"):
        make(5).save(tmp_path / "a.npz")
    assert [path.name for path in tmp_path.iterdir()] == ["a.json"]
    (tmp_path / "a.json").unlink()
    for count in (3, 5):  # those of embeddings are
        make(count).save(tmp_path / "a.npz")
    (tmp_path / "a.npz").unlink()
    make(4).save(tmp_path / "a.npz")
    assert len(Embeddings.load(tmp_path / "a.npz")) == 4


def test_select_by_mask_index_and_slice():
    embeddings = make()
    mask = np.array([True, False, True, False, False])
    same(embeddings.select(mask), embeddings.select(np.array([0, 2])))
    picked = embeddings.select(np.array([4, 0, 4]))
    assert picked.pids.tolist() == [14, 10, 14]
    assert picked.paths == ("folder/é 4.jpg", "folder/é 0.jpg", "folder/é 4.jpg")
    assert len(embeddings.select(slice(1, 3))) == 2
    assert len(embeddings.select(np.zeros(5, bool))) == 0


def test_modalities_and_types():
    embeddings = make(2, features={"main": np.ones((2, 3), np.float16)})
    assert embeddings.modalities == ("infrared", "visible")
    assert embeddings.features["main"].dtype == np.float32


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"pids": np.arange(4)}, "different lengths: .*pids 4"),
        ({"paths": ()}, "different lengths: .*paths 0"),
        ({"features": {"other": np.ones((5, 2))}}, "need a feature named 'main'"),
        ({"features": {"main": np.ones(5)}}, "should be an"),
        ({"features": {"main": np.array([[0.0], [0], [np.nan], [0], [np.inf]])}}, "in 2 rows, first in row 2"),
    ],
)
def test_bad_fields_are_named_in_one_sentence(changes, message):
    with pytest.raises(DataError, match=message):
        make(**changes)


def test_damaged_files_are_named(tmp_path):
    with pytest.raises(DataError, match="no embeddings file"):
        Embeddings.load(tmp_path / "nothing.npz")
    written = make().save(tmp_path / "a.npz")
    description = written.with_suffix(".json").read_text()
    written.with_suffix(".json").unlink()
    with pytest.raises(DataError, match=r"a\.json is missing"):
        Embeddings.load(written)
    written.with_suffix(".json").write_text("{")
    with pytest.raises(DataError, match=r"a\.json' cannot be read"):
        Embeddings.load(written)
    make().save(written)
    written.with_suffix(".json").write_text(description)
    with pytest.raises(DataError, match="not from the same save"):
        Embeddings.load(written)
    written.write_bytes(written.read_bytes()[:200])
    with pytest.raises(DataError, match="cannot be read"):
        Embeddings.load(written)
    np.savez(written, pids=np.arange(3))
    with pytest.raises(DataError, match="no array 'camids'"):
        Embeddings.load(written)


class Killed(BaseException):
    """As a process that is killed: nothing after it runs."""


@pytest.mark.parametrize(("moment", "loaded"), [("arrays", 1.0), ("description", 2.0)])
def test_a_save_that_is_cut_off_leaves_the_old_or_the_new(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, moment: str, loaded: float
) -> None:
    path = tmp_path / "a.npz"

    def kill(*args: object, **kwargs: object) -> None:
        raise Killed

    make(features={"main": np.full((5, 2), 1.0)}).save(path)
    with monkeypatch.context() as patch, pytest.raises(Killed):
        patch.setattr(*{"arrays": (np, "savez", kill), "description": (Path, "replace", kill)}[moment])
        make(features={"main": np.full((5, 2), 2.0)}).save(path)
    assert (Embeddings.load(path).features["main"] == loaded).all()
    make(features={"main": np.full((5, 2), 3.0)}).save(path)
    assert (Embeddings.load(path).features["main"] == 3.0).all()
    assert sorted(file.name for file in tmp_path.iterdir()) == ["a.json", "a.npz"]


def test_a_save_that_fails_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*args: object, **kwargs: object) -> None:
        raise OSError("no space left")

    monkeypatch.setattr(np, "savez", fail)
    with pytest.raises(WriteError):
        make().save(tmp_path / "a.npz")
    assert not list(tmp_path.iterdir())
