from itertools import product

import numpy as np
import pytest
from evaluation_reference import dots, euclidean, llcm_draw_on_disk, llcm_trial

from crossreid.errors import ConfigError, DataError
from crossreid.evaluation import LLCM_DIRECTIONS, LLCM_ROLES, Euclidean, LLCMProtocol, ranked_list, score_llcm

VISIBLE_CAMERAS = (1, 2, 3, 4, 5, 6, 7, 8, 9)
INFRARED_CAMERAS = (1, 2, 4, 5, 6, 7, 8, 9)
CAMERAS = tuple(sorted([(c, False) for c in VISIBLE_CAMERAS] + [(c, True) for c in INFRARED_CAMERAS]))
READINGS = list(product(LLCM_DIRECTIONS, LLCM_ROLES))


def check(result, trial, reference, probes, gallery):
    cmc, mean_ap, mean_inp, valid = reference
    np.testing.assert_allclose(result.cmc[trial], cmc, atol=1e-10)
    assert result.mean_ap[trial] == pytest.approx(mean_ap, abs=1e-9)
    assert result.mean_inp[trial] == pytest.approx(mean_inp, abs=1e-9)
    assert (result.n_valid[trial], result.n_probes, result.n_gallery[trial]) == (valid, probes, gallery)


@pytest.mark.parametrize(("direction", "roles"), READINGS)
@pytest.mark.parametrize("seed", range(2))
def test_small_worlds_with_ties_equal_the_reference(world, seed, direction, roles):
    data = world.two_modalities(seed, CAMERAS, ids=7, most=3, present=0.4)
    order = np.random.default_rng(seed).permutation(len(data["pids"]))
    result = LLCMProtocol(direction, roles)(world.to_embeddings(data, order), Euclidean())
    assert result.trials == 10
    for trial in range(10):
        check(result, trial, *llcm_trial(data, direction, roles, trial, similarity=euclidean))
    among_images = llcm_trial(data, direction, roles, 0, similarity=euclidean, deduplicate=False)[0]
    assert not np.allclose(result.cmc[0], among_images[0][: result.cmc.shape[1]])  # these worlds tell the two apart
    assert len({tuple(curve) for curve in result.cmc.tolist()}) > 1  # trials draw anew


@pytest.mark.slow
@pytest.mark.parametrize(("direction", "roles"), READINGS)
def test_the_real_layout_equals_the_reference(real_test, direction, roles):
    data, embeddings = real_test("llcm")
    result = LLCMProtocol(direction, roles, trials=1)(embeddings)
    check(result, 0, *llcm_trial(data, direction, roles, 0, similarity=dots))
    assert result.rank(1)[0] > 3 * result.chance["rank1"]  # these features know something


def test_sizes_of_the_real_layout_are_the_known_ones(real_test):
    _, embeddings = real_test("llcm")
    sizes = {  # probes, gallery images
        ("visible_to_infrared", "sampled_gallery"): (8680, 619),
        ("visible_to_infrared", "sampled_query"): (619, 8680),
        ("infrared_to_visible", "sampled_gallery"): (7166, 484),
        ("infrared_to_visible", "sampled_query"): (484, 7166),
    }
    for (direction, roles), (probes, images) in sizes.items():
        protocol = LLCMProtocol(direction, roles)
        for trial in (0, 9):
            gallery = protocol.gallery(embeddings, trial)
            assert len(protocol.queries(embeddings, trial)) == probes
            assert len(gallery) == images
            assert len(np.unique(embeddings.pids[gallery])) == 351


@pytest.mark.parametrize(("direction", "short"), [("visible_to_infrared", "nir"), ("infrared_to_visible", "vis")])
def test_the_draw_is_that_of_a_loop_over_the_folders(real_layout, direction, short):
    from crossreid.data.datasets import read_llcm
    from crossreid.training.scoring import as_embeddings

    root = real_layout("llcm")
    dataset = read_llcm(root)
    rows = np.random.default_rng(0).permutation(dataset.rows("test"))
    embeddings = as_embeddings(dataset, rows, {"main": np.zeros((len(rows), 1), np.float32)})
    protocol = LLCMProtocol(direction)
    for trial in range(10):
        paths = [embeddings.paths[place] for place in protocol.gallery(embeddings, trial)]
        assert paths == [str(root / name) for name in llcm_draw_on_disk(root, short, trial)]


def test_only_the_same_person_in_the_same_camera_is_removed(world):
    data = {
        "features": np.array([[1.0, 0], [1, 0], [0, 1], [1, 0.1]], np.float32),
        "pids": np.array([1, 1, 1, 2]),
        "camids": np.array([5, 5, 6, 5]),
        "infrared": np.array([False, True, True, True]),
        "frames": np.zeros(4, int),
    }
    result = LLCMProtocol("visible_to_infrared", trials=1)(world.to_embeddings(data))
    assert result.mean_ap.tolist() == [0.5]  # camera 5's image of person 1 is out, that of person 2 is not
    data["camids"] = np.array([5, 5, 5, 5])
    with pytest.raises(
        DataError, match=r"none of the 1 probes .*not counted: the same person's images from the probe's"
    ):
        LLCMProtocol("visible_to_infrared", trials=1)(world.to_embeddings(data))


def test_keys_and_labels_name_the_reading(world):
    results = score_llcm(world.to_embeddings(world.two_modalities(0, CAMERAS)), trials=2)
    assert list(results) == [f"llcm/{direction}/{roles}" for direction, roles in READINGS]
    for (direction, roles), result in zip(READINGS, results.values(), strict=True):
        assert result.labels.mode == f"{direction}, {roles}"
        assert (result.labels.draw, result.labels.ranks) == ("seeded", "identities")
        assert result.labels.shots == ("1" if roles == "sampled_gallery" else "all")


def test_ranked_lists_show_the_trials_probes(world):
    embeddings = world.to_embeddings(world.two_modalities(0, CAMERAS))
    protocol = LLCMProtocol("visible_to_infrared", "sampled_query")
    for trial in range(3):
        lists = ranked_list(embeddings, protocol, trial=trial, k=3)
        np.testing.assert_array_equal(lists.queries, protocol.queries(embeddings, trial))


def test_only_the_asked_identities_are_scored(world):
    data = world.two_modalities(1, CAMERAS)
    embeddings = world.to_embeddings(data)
    asked = score_llcm(embeddings, trials=2, test_ids=[3, 4, 5])
    alone = score_llcm(embeddings.select(np.isin(data["pids"], (3, 4, 5))), trials=2)
    assert {key: r.metrics() for key, r in asked.items()} == {key: r.metrics() for key, r in alone.items()}


def test_wrong_settings_and_missing_modalities_are_one_sentence(world):
    for arguments, message in [
        (("sideways",), "visible_to_infrared and infrared_to_visible, not 'sideways'"),
        (("visible_to_infrared", "both"), "sampled_gallery or sampled_query, not 'both'"),
    ]:
        with pytest.raises(ConfigError, match=message):
            LLCMProtocol(*arguments)
    with pytest.raises(ConfigError, match="at least one trial"):
        LLCMProtocol("visible_to_infrared", trials=0)
    embeddings = world.to_embeddings(world.two_modalities(0, CAMERAS))
    for roles in LLCM_ROLES:
        with pytest.raises(DataError, match=f"{roles}: there are no infrared images"):
            LLCMProtocol("visible_to_infrared", roles)(embeddings.select(~embeddings.infrared))
