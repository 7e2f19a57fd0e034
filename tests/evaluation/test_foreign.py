import numpy as np
import pytest

from crossreid.errors import DataError
from crossreid.evaluation import load_foreign


def arrays(n=6, **changes):
    fields = {
        "features": np.arange(n * 2).reshape(n, 2) * 1.5,
        "pids": np.arange(n) + 1,
        "camids": np.arange(n) % 6 + 1,
        "frames": np.zeros(n, np.uint8),
    }
    return {**fields, **changes}


def write(folder, content):
    path = folder / "theirs.npz"
    np.savez(path, **content)
    return path


def test_arrays_are_taken_as_they_are(tmp_path):
    embeddings = load_foreign(write(tmp_path, arrays()))
    assert embeddings.infrared.tolist() == [False, False, True, False, False, True]
    assert embeddings.features["main"].dtype == np.float64  # full precision is kept
    np.testing.assert_array_equal(embeddings.features["main"], arrays()["features"])
    assert embeddings.rows.tolist() == [0, 1, 2, 3, 4, 5]
    assert embeddings.paths == ("",) * 6


@pytest.mark.parametrize("kind", [np.bool_, np.uint8, np.float64])
def test_other_sets_say_which_images_are_infrared(tmp_path, kind):
    infrared = np.arange(6) < 3
    same = {
        "pids": np.ones(6, int),
        "camids": np.full(6, 9),
        "frames": np.arange(6) % 3,
    }  # one camera number, two cameras
    embeddings = load_foreign(write(tmp_path, arrays(**same, infrared=infrared.astype(kind))))
    np.testing.assert_array_equal(embeddings.infrared, infrared)
    assert embeddings.camids.tolist() == [9] * 6


def test_whole_numbers_may_come_as_floats(tmp_path):
    embeddings = load_foreign(write(tmp_path, arrays(pids=np.arange(6) + 1.0)))
    assert embeddings.pids.dtype == np.int64


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"pids": np.arange(5)}, "do not fit each other"),
        ({"features": np.zeros((0, 2))}, "do not fit each other"),
        ({"features": np.zeros(6)}, "do not fit each other"),
        ({"features": np.full((6, 2), np.nan)}, "NaN or infinite values in 6 rows"),
        ({"features": np.full((6, 2), "a")}, "not real numbers"),
        ({"pids": np.arange(6) + 0.5}, "'pids' in .* no whole numbers"),
        ({"frames": np.zeros((6, 1), int)}, "'frames' in .* should be N whole numbers"),
        ({"camids": np.arange(6)}, "run from 0 to 5: SYSU-MM01 has cameras 1 to 6, .* need an array 'infrared'"),
        ({"camids": np.arange(6), "infrared": np.zeros(6, int)}, "start at 0: cameras count from 1"),
        ({"infrared": np.arange(6)}, "'infrared' in .* should be 0 or 1"),
        ({"infrared": np.zeros(5, bool)}, "do not fit each other .* infrared"),
        ({"frames": np.full(6, -1)}, "negative"),
        ({"pids": np.ones(6, int), "camids": np.full(6, 2)}, "1 images stand in .* person 1 in camera 2, frame 0"),
        ({"pids": np.array([object()] * 6)}, "cannot be read"),
    ],
)
def test_bad_arrays_are_named_in_one_sentence(tmp_path, changes, message):
    with pytest.raises(DataError, match=message) as caught:
        load_foreign(write(tmp_path, arrays(**changes)))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["features", "pids", "camids", "frames"])
def test_a_missing_array_is_named(tmp_path, name):
    content = {key: value for key, value in arrays().items() if key != name}
    with pytest.raises(DataError, match=f"has no array '{name}'"):
        load_foreign(write(tmp_path, content))


def test_files_that_are_no_npz_are_named(tmp_path):
    with pytest.raises(DataError, match="no embeddings file"):
        load_foreign(tmp_path / "nothing.npz")
    (tmp_path / "text.npz").write_text("hello")
    with pytest.raises(DataError, match=r"text\.npz cannot be read"):
        load_foreign(tmp_path / "text.npz")
    np.save(tmp_path / "single.npy", np.ones(3))
    with pytest.raises(DataError, match=r"Nothing says which images .* put single\.csv .* or single\.txt"):
        load_foreign(tmp_path / "single.npy")
