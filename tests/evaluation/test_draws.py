import random
from collections import Counter

import numpy as np
import pytest
import scipy.io
from evaluation_reference import agw_gallery

from crossreid.errors import DataError
from crossreid.evaluation import GalleryPermutations, SysuMM01Protocol, seeded_draw
from crossreid.evaluation.subsets import images_by_person


def write_mat(path, raw, people=12):
    """The official layout: cell (6, 1) of cells (people, 1) of (10, n) uint8."""
    cells = np.empty((6, 1), dtype=object)
    for cam in range(1, 7):
        inner = np.empty((people, 1), dtype=object)
        for pid in range(1, people + 1):
            inner[pid - 1, 0] = raw.get((cam, pid), np.zeros((10, 0), np.uint8))
        cells[cam - 1, 0] = inner
    scipy.io.savemat(path, {"rand_perm_cam": cells})
    return path


def test_the_mat_file_is_read_as_it_was_written(tmp_path, world):
    _, raw = world.people(0)
    permutations = GalleryPermutations.from_mat(write_mat(tmp_path / "p.mat", raw))
    assert permutations.orders.keys() == raw.keys()
    for key, order in raw.items():
        np.testing.assert_array_equal(permutations.orders[key] + 1, order)
        assert permutations.count(*key) == order.shape[1]
    assert permutations.count(1, 9999) == 0


def test_the_authors_file_has_the_counts_they_print(sysu_lists):
    permutations = GalleryPermutations.from_mat(sysu_lists / "data_split" / "rand_perm_cam.mat")
    images_of_camera = Counter()
    for (camera, _), order in permutations.orders.items():
        images_of_camera[camera] += order.shape[1]
    assert images_of_camera == {1: 6289, 2: 7528, 3: 9812, 4: 8030, 5: 8224, 6: 5980}
    assert len({pid for _, pid in permutations.orders}) == 513
    assert all(len(order) == 10 for order in permutations.orders.values())


def test_the_draw_takes_the_first_shots_or_what_there_is(world):
    raw = {(1, 3): np.array([[2, 3, 1], [1, 3, 2]]), (2, 3): np.array([[1], [1]])}
    drawn = world.to_permutations(raw)({(1, 3): 3, (2, 3): 1}, 1, 2)
    assert drawn[1, 3].tolist() == [0, 2]
    assert drawn[2, 3].tolist() == [0]


def test_the_seeded_draw_is_that_of_agw(tmp_path, world):
    data, raw = world.people(3, ids=10)
    for cam in range(1, 7):
        (tmp_path / f"cam{cam}").mkdir()
    for (cam, pid), order in raw.items():
        folder = tmp_path / f"cam{cam}" / f"{pid:04d}"
        folder.mkdir(parents=True)
        for index in range(order.shape[1]):
            (folder / f"{3 * index + 7:04d}.jpg").touch()
    shuffled = world.to_embeddings(data, np.random.default_rng(1).permutation(len(data["pids"])))
    for mode, cameras in (("all", [1, 2, 4, 5]), ("indoor", [1, 2])):
        protocol = SysuMM01Protocol(mode, draw="seeded")
        for trial in range(10):
            gallery = shuffled.select(protocol.gallery(shuffled, trial))
            drawn = list(zip(gallery.camids.tolist(), gallery.pids.tolist(), gallery.frames.tolist(), strict=True))
            assert drawn == agw_gallery(tmp_path, cameras, trial)


def test_the_seeded_draw_leaves_the_global_generator_alone_and_repeats():
    counts = {(1, 4): 5, (2, 4): 20, (1, 2): 3}
    random.seed(0)
    before = random.getstate()
    first = seeded_draw(counts, 2, 10)
    again = seeded_draw(counts, 2, 10)
    assert random.getstate() == before
    for person, shots in {(1, 4): 5, (2, 4): 10, (1, 2): 3}.items():
        assert len(set(first[person].tolist())) == shots
        np.testing.assert_array_equal(first[person], again[person])


def test_images_are_grouped_by_camera_person_and_frame(world):
    data, raw = world.people(1)
    order = np.random.default_rng(0).permutation(len(data["pids"]))
    embeddings = world.to_embeddings(data, order)
    groups = images_by_person(embeddings, (1, 3), None)
    assert list(groups) == sorted(key for key in raw if key[0] in (1, 3))
    for (cam, pid), places in groups.items():
        assert embeddings.frames[places].tolist() == list(range(raw[cam, pid].shape[1]))
        assert set(embeddings.pids[places]) == {pid}
    assert images_by_person(embeddings, (9,), None) == {}
    assert {pid for _, pid in images_by_person(embeddings, (1, 2, 3), [4, 5])} <= {4, 5}


def test_counts_that_disagree_are_named(world):
    data, raw = world.people(2)
    embeddings, permutations = world.to_embeddings(data), world.to_permutations(raw)
    permutations.check(embeddings, range(1, 7), None)
    (cam, pid), order = next(item for item in raw.items() if item[1].shape[1] > 1)
    gone = (data["camids"] == cam) & (data["pids"] == pid) & (data["frames"] == 0)
    n = order.shape[1]
    with pytest.raises(
        DataError, match=f"Camera {cam}, person {pid}: .* has {n} images and the embeddings have {n - 1}"
    ):
        permutations.check(embeddings.select(~gone), range(1, 7), None)
    whole = (data["camids"] == cam) & (data["pids"] == pid)
    with pytest.raises(DataError, match=f"person {pid}: .* has {n} images and the embeddings have 0"):
        permutations.check(embeddings.select(~whole), range(1, 7), None)
    permutations.check(embeddings.select(~whole), [c for c in range(1, 7) if c != cam], None)


def test_frames_that_count_from_one_are_named(world):
    data, raw = world.people(2)
    data["frames"] = data["frames"] + 1
    with pytest.raises(DataError, match="frames of the embeddings should be 0 to"):
        world.to_permutations(raw).check(world.to_embeddings(data), range(1, 7), None)


def test_too_few_trials_are_named(world):
    permutations = world.to_permutations({(1, 3): np.array([[1, 2]])})
    with pytest.raises(DataError, match="holds 1 trials, so trial 2 cannot be drawn"):
        permutations({(1, 3): 2}, 1, 1)
    with pytest.raises(DataError, match="no images of person 4 in camera 1"):
        permutations({(1, 4): 2}, 0, 1)


def test_files_that_hold_something_else_are_named(tmp_path):
    with pytest.raises(
        DataError, match=r"no permutation file .*gone\.mat.*set protocol.permutations .*protocol.draw=seeded"
    ):
        GalleryPermutations.from_mat(tmp_path / "gone.mat")
    (tmp_path / "text.mat").write_text("nothing of the kind" * 20)
    with pytest.raises(DataError, match="cannot be read as a MATLAB file"):
        GalleryPermutations.from_mat(tmp_path / "text.mat")
    scipy.io.savemat(tmp_path / "other.mat", {"x": 1})
    with pytest.raises(DataError, match="no variable 'rand_perm_cam'"):
        GalleryPermutations.from_mat(tmp_path / "other.mat")
    scipy.io.savemat(tmp_path / "flat.mat", {"rand_perm_cam": np.eye(3)})
    with pytest.raises(DataError, match="not a cell of cells"):
        GalleryPermutations.from_mat(tmp_path / "flat.mat")
    for row in ([1, 2, 2], [1, 2, 3.5], [1, 2, np.nan]):
        write_mat(tmp_path / "wrong.mat", {(2, 5): np.array([row])})
        with pytest.raises(DataError, match=r"no permutation of 1\.\.3 for camera 2, person 5"):
            GalleryPermutations.from_mat(tmp_path / "wrong.mat")
