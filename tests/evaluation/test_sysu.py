import numpy as np
import pytest
from evaluation_reference import dots, euclidean, sysu_trial

from crossreid.errors import ConfigError, DataError
from crossreid.evaluation import (
    Cosine,
    Euclidean,
    GalleryPermutations,
    SysuMM01Protocol,
    ValidationProtocol,
    compare_once,
    score_sysu,
)

SETTINGS = [("all", 1), ("all", 10), ("indoor", 1), ("indoor", 10)]


def check(result, data, raw, mode, shots, *, trials, **similarity):
    """Every number of every trial against the slow reference."""
    for trial in range(trials):
        (cmc, mean_ap, mean_inp, valid), probes, gallery = sysu_trial(data, raw, mode, shots, trial, **similarity)
        np.testing.assert_allclose(result.cmc[trial], cmc, atol=1e-10)
        assert result.mean_ap[trial] == pytest.approx(mean_ap, abs=1e-9)
        assert result.mean_inp[trial] == pytest.approx(mean_inp, abs=1e-9)
        assert (result.n_valid[trial], result.n_probes, result.n_gallery[trial]) == (valid, probes, gallery)


@pytest.mark.parametrize(("mode", "shots"), [*SETTINGS, ("all", 3)])
@pytest.mark.parametrize("seed", range(4))
def test_small_worlds_with_missing_cameras_equal_the_reference(world, seed, mode, shots):
    data, raw = world.people(seed)
    order = np.random.default_rng(seed).permutation(len(data["pids"]))
    protocol = SysuMM01Protocol(mode, shots, permutations=world.to_permutations(raw))
    check(protocol(world.to_embeddings(data, order)), data, raw, mode, shots, trials=10)


def test_the_descending_draw_is_the_official_one_of_files_counted_from_the_last(world):
    data, raw = world.people(2)
    counts = {}
    for pid, camera in zip(data["pids"].tolist(), data["camids"].tolist(), strict=True):
        counts[pid, camera] = counts.get((pid, camera), 0) + 1
    turned = dict(data)
    turned["frames"] = data["frames"].copy()
    for row, (pid, camera) in enumerate(zip(data["pids"].tolist(), data["camids"].tolist(), strict=True)):
        turned["frames"][row] = counts[pid, camera] - 1 - data["frames"][row]
    protocol = SysuMM01Protocol("all", 1, draw="descending", permutations=world.to_permutations(raw))
    result = protocol(world.to_embeddings(data))
    check(result, turned, raw, "all", 1, trials=10)
    assert result.labels.draw == "descending"
    official = SysuMM01Protocol("all", 1, permutations=world.to_permutations(raw))(world.to_embeddings(data))
    assert official.mean_ap.tolist() != result.mean_ap.tolist()
    with pytest.raises(ConfigError, match="draw=descending needs the permutation file"):
        SysuMM01Protocol("all", 1, draw="descending")


@pytest.mark.parametrize(("mode", "shots"), SETTINGS)
@pytest.mark.parametrize("seed", range(4))
def test_ties_are_broken_by_the_official_order(world, seed, mode, shots):
    data, raw = world.people(seed, integers=True, dim=3)  # distances take 4 values
    order = np.random.default_rng(seed).permutation(len(data["pids"]))
    protocol = SysuMM01Protocol(mode, shots, permutations=world.to_permutations(raw))
    result = protocol(world.to_embeddings(data, order), Euclidean())
    check(result, data, raw, mode, shots, trials=10, similarity=euclidean)


@pytest.mark.parametrize("draw", ["official", "seeded"])
@pytest.mark.parametrize("scorer", [Cosine(), Euclidean()])
def test_the_order_of_rows_changes_nothing(world, draw, scorer):
    data, raw = world.people(7, ids=12, dim=64)
    data["features"] = np.repeat(data["features"][::4], 4, axis=0)[: len(data["pids"])]  # duplicates: ties
    protocol = SysuMM01Protocol("all", 2, draw=draw, permutations=world.to_permutations(raw))
    results = []
    for seed in range(3):
        order = np.random.default_rng(seed).permutation(len(data["pids"]))
        results.append(protocol(world.to_embeddings(data, order), scorer).metrics())
    assert results[0] == results[1] == results[2]


@pytest.mark.parametrize("duplicates", [False, True])
@pytest.mark.parametrize(("mode", "shots"), SETTINGS)
def test_comparing_all_galleries_at_once_changes_no_bit(world, monkeypatch, mode, shots, duplicates):
    data, raw = world.people(3, ids=12, dim=64)
    if duplicates:
        data["features"] = np.repeat(data["features"][::4], 4, axis=0)[: len(data["pids"])]
    protocol = SysuMM01Protocol(mode, shots, permutations=world.to_permutations(raw))
    embeddings = world.to_embeddings(data)
    assert compare_once(embeddings, Cosine(), [protocol]) is not None
    assert compare_once(embeddings, Euclidean(), [protocol]) is None
    at_once = protocol(embeddings)
    monkeypatch.setattr("crossreid.evaluation.comparisons._MOST_COMPARED", 0)
    assert compare_once(embeddings, Cosine(), [protocol]) is None
    one_by_one = protocol(embeddings)
    assert np.array_equal(at_once.cmc, one_by_one.cmc)
    assert at_once.metrics() == one_by_one.metrics()


def test_settings_and_directions_that_share_their_comparisons_score_as_alone(world, monkeypatch):
    data, raw = world.people(5, ids=12, dim=64)
    permutations = world.to_permutations(raw)
    embeddings = world.to_embeddings(data, np.random.default_rng(1).permutation(len(data["pids"])))
    protocols = [SysuMM01Protocol(mode, shots, permutations=permutations) for mode, shots in SETTINGS]
    protocols.append(ValidationProtocol(permutations=permutations))  # fewer probes than the others
    compared = compare_once(embeddings, Cosine(), protocols)
    assert compared is not None
    for protocol in protocols:
        shared = protocol(embeddings, compared=compared)
        monkeypatch.setattr("crossreid.evaluation.comparisons._MOST_COMPARED", 0)
        alone = protocol(embeddings)
        assert np.array_equal(shared.cmc, alone.cmc)
        assert shared.metrics() == alone.metrics()


@pytest.mark.slow
@pytest.mark.parametrize(("mode", "shots"), SETTINGS)
def test_the_real_layout_equals_the_reference_in_two_trials(sysu_test_set, sysu_lists, world, mode, shots):
    data, raw = sysu_test_set
    permutations = GalleryPermutations.from_mat(sysu_lists / "data_split" / "rand_perm_cam.mat")
    result = SysuMM01Protocol(mode, shots, trials=2, permutations=permutations)(world.to_embeddings(data))
    check(result, data, raw, mode, shots, trials=2)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("mode", "shots", "valid", "gallery"),
    [("all", 1, 3803, 301), ("all", 10, 3803, 3010), ("indoor", 1, 2208, 112), ("indoor", 10, 2208, 1120)],
)
def test_a_copy_on_disk_has_the_known_probes_and_galleries(
    real_test, sysu_test_set, sysu_lists, mode, shots, valid, gallery
):
    data, embeddings = real_test("sysu_mm01")
    raw = sysu_test_set[1]
    permutations = GalleryPermutations.from_mat(sysu_lists / "data_split" / "rand_perm_cam.mat")
    result = SysuMM01Protocol(mode, shots, trials=1, permutations=permutations)(embeddings)
    assert (result.n_probes, result.n_valid[0], result.n_gallery[0]) == (3803, valid, gallery)
    check(result, data, raw, mode, shots, trials=1, similarity=dots)


@pytest.mark.full
@pytest.mark.parametrize(("mode", "shots"), SETTINGS)
def test_the_real_layout_equals_the_reference_in_all_ten_trials(sysu_test_set, sysu_lists, world, mode, shots):
    data, raw = sysu_test_set
    permutations = GalleryPermutations.from_mat(sysu_lists / "data_split" / "rand_perm_cam.mat")
    result = SysuMM01Protocol(mode, shots, permutations=permutations)(world.to_embeddings(data))
    check(result, data, raw, mode, shots, trials=10)


def test_counts_and_chance_of_the_real_layout_are_the_known_ones(sysu_test_set, sysu_lists, world):
    permutations = GalleryPermutations.from_mat(sysu_lists / "data_split" / "rand_perm_cam.mat")
    results = score_sysu(world.to_embeddings(sysu_test_set[0]), permutations=permutations, trials=1)
    expected = {  # valid probes, gallery images, identities, chance R1 and mAP in percent
        "sysu_mm01/all/single": (3803, 301, 96, 1.04, 2.94),
        "sysu_mm01/all/multi": (3803, 3010, 96, 1.04, 1.31),
        "sysu_mm01/indoor/single": (2208, 112, 56, 1.79, 6.89),
        "sysu_mm01/indoor/multi": (2208, 1120, 56, 1.79, 2.59),
    }
    assert list(results) == list(expected)
    for key, (valid, gallery, identities, rank1, mean_ap) in expected.items():
        result = results[key]
        assert (result.n_probes, result.n_valid[0], result.n_skipped[0]) == (3803, valid, 3803 - valid)
        assert (result.n_gallery[0], result.cmc.shape) == (gallery, (1, identities))
        assert 100 * result.chance["rank1"] == pytest.approx(rank1, abs=0.005)
        assert 100 * result.chance["mAP"] == pytest.approx(mean_ap, abs=0.005)
        assert result.rank(1)[0] > 3 * result.chance["rank1"]  # these features know something


def test_the_seeded_draw_differs_little_from_the_official_one(sysu_test_set, sysu_lists, world):
    permutations = GalleryPermutations.from_mat(sysu_lists / "data_split" / "rand_perm_cam.mat")
    embeddings = world.to_embeddings(sysu_test_set[0])
    official = SysuMM01Protocol(permutations=permutations)(embeddings)
    seeded = SysuMM01Protocol(draw="seeded")(embeddings)
    assert (seeded.n_valid == 3803).all()
    assert (seeded.n_gallery == 301).all()
    assert seeded.mean_ap.mean() != official.mean_ap.mean()
    assert seeded.rank(1).mean() == pytest.approx(official.rank(1).mean(), abs=0.03)


def test_camera_three_loses_camera_two(world):
    features = np.array([[1.0, 0], [1, 0], [0, 1]], np.float32)
    data = {
        "features": features,
        "pids": np.array([1, 1, 1]),
        "camids": np.array([3, 2, 1]),
        "frames": np.zeros(3, int),
    }
    result = SysuMM01Protocol("indoor", trials=1, draw="seeded")(world.to_embeddings(data))
    assert result.mean_ap.tolist() == [1.0]  # of two images of the person only that of camera 1 counts
    data["camids"] = np.array([3, 2, 4])
    with pytest.raises(DataError, match="none of the 1 probes has a true match"):
        SysuMM01Protocol("indoor", trials=1, draw="seeded")(world.to_embeddings(data))


def test_validation_queries_camera_three_in_four_and_five(world):
    data, raw = world.people(5, present=1.0)
    protocol = ValidationProtocol(trials=2, permutations=world.to_permutations(raw))
    embeddings = world.to_embeddings(data)
    assert protocol.key == "sysu_mm01/val/single"
    assert set(embeddings.camids[protocol.queries(embeddings)].tolist()) == {3}
    gallery = embeddings.select(protocol.gallery(embeddings, 0))
    assert gallery.camids.tolist() == [4] * 8 + [5] * 8
    assert protocol(embeddings).labels.mode == "val"


def test_only_the_asked_identities_are_scored(world):
    data, raw = world.people(6, present=1.0)
    protocol = SysuMM01Protocol(trials=1, permutations=world.to_permutations(raw), test_ids=[4, 5, 6])
    embeddings = world.to_embeddings(data)
    assert set(embeddings.pids[protocol.queries(embeddings)].tolist()) == {4, 5, 6}
    assert protocol(embeddings).cmc.shape == (1, 3)


def test_keys_name_the_setting(world):
    keys = [SysuMM01Protocol(mode, shots, draw="seeded").key for mode, shots in [*SETTINGS, ("all", 3)]]
    assert keys == [
        "sysu_mm01/all/single",
        "sysu_mm01/all/multi",
        "sysu_mm01/indoor/single",
        "sysu_mm01/indoor/multi",
        "sysu_mm01/all/3shot",
    ]


def test_bad_settings_and_empty_sets_are_one_sentence(world):
    for arguments, message in [
        ({"mode": "outdoor"}, "modes all and indoor, not 'outdoor'"),
        ({"shots": 0}, "at least one shot"),
        ({"trials": 0}, "at least one trial"),
        ({"draw": "lucky"}, "'official', 'descending' or 'seeded', not 'lucky'"),
        ({"draw": "official"}, "needs the permutation file"),
    ]:
        with pytest.raises(ConfigError, match=message):
            SysuMM01Protocol(**{"draw": "seeded", **arguments})
    embeddings = world.to_embeddings(world.people(0)[0])
    protocol = SysuMM01Protocol(draw="seeded")
    for part, message in [
        (embeddings.infrared, "the gallery is empty"),
        (~embeddings.infrared, "no probes"),
        (np.zeros(len(embeddings), bool), "no embeddings"),
    ]:
        with pytest.raises(DataError, match=message):
            protocol(embeddings.select(part))


def test_a_scorer_is_checked_and_sees_all_probes_once_a_trial(world):
    embeddings = world.to_embeddings(world.people(0)[0])
    calls = []

    def scorer(query, gallery):
        calls.append((len(query), len(gallery)))
        return Cosine()(query, gallery)

    result = SysuMM01Protocol(trials=3, draw="seeded")(embeddings, scorer)
    assert calls == [(result.n_probes, int(n)) for n in result.n_gallery]
    assert result.labels.feature == "scorer"
    for wrong, message in [
        (lambda q, g: np.zeros((1, 1)), "gave a matrix"),
        (lambda q, g: Cosine()(q, g) * np.nan, "NaN"),
    ]:
        with pytest.raises(DataError, match=message):
            SysuMM01Protocol(trials=1, draw="seeded")(embeddings, wrong)
