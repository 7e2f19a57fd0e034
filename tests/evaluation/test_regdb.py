import numpy as np
import pytest
from evaluation_reference import dots, euclidean, regdb

from crossreid.errors import ConfigError, DataError
from crossreid.evaluation import (
    REGDB_DIRECTIONS,
    Euclidean,
    RegDBProtocol,
    RetrievalResult,
    average_splits,
    results_table,
    score_regdb,
)

CAMERAS = ((1, False), (2, True))


def check(result, reference):
    cmc, mean_ap, mean_inp, valid = reference
    np.testing.assert_allclose(result.cmc[0], cmc, atol=1e-10)
    assert result.mean_ap[0] == pytest.approx(mean_ap, abs=1e-9)
    assert result.mean_inp[0] == pytest.approx(mean_inp, abs=1e-9)
    assert result.n_valid[0] == valid


@pytest.mark.parametrize("direction", REGDB_DIRECTIONS)
@pytest.mark.parametrize("seed", range(4))
def test_small_worlds_with_ties_equal_the_reference(world, seed, direction):
    data = world.two_modalities(seed, CAMERAS, present=0.9, most=6)
    order = np.random.default_rng(seed).permutation(len(data["pids"]))
    result = RegDBProtocol(direction, 1)(world.to_embeddings(data, order), Euclidean())
    check(result, regdb(data, direction, similarity=euclidean))
    assert result.cmc.shape[1] == result.n_gallery[0]
    deduplicated = regdb(data, direction, similarity=euclidean, deduplicate=True)
    length = len(deduplicated[0])
    assert not np.allclose(result.cmc[0][:length], deduplicated[0])  # these worlds tell the two apart


@pytest.mark.slow
@pytest.mark.parametrize("direction", REGDB_DIRECTIONS)
def test_the_real_layout_equals_the_reference(real_test, direction):
    data, embeddings = real_test("regdb", 3)
    result = RegDBProtocol(direction, 3, trained_on=3)(embeddings)
    check(result, regdb(data, direction, similarity=dots))
    assert (result.n_probes, result.n_valid[0], result.n_gallery[0], result.n_skipped[0]) == (2060, 2060, 2060, 0)
    assert result.rank(1)[0] > 3 * result.chance["rank1"]  # these features know something


def test_every_real_split_has_all_its_images_as_probes_and_gallery(real_test):
    for split in range(1, 11):
        data, embeddings = real_test("regdb", split)
        protocol = RegDBProtocol("visible_to_thermal", split)
        probes, gallery = protocol.queries(embeddings), protocol.gallery(embeddings, 0)
        assert len(set(probes)) == len(set(gallery)) == 2060
        assert not data["infrared"][probes].any()
        assert data["infrared"][gallery].all()
        assert len(set(data["pids"])) == 206
        assert not protocol.removal(embeddings.select(probes[:50]), embeddings.select(gallery)).any()


def test_chance_is_one_in_206_when_all_have_ten_images(world):
    data = world.two_modalities(0, CAMERAS, present=1.0, ids=206, most=1)
    data = {name: np.repeat(values, 10, axis=0) for name, values in data.items()}
    data["frames"] = np.tile(np.arange(10), len(data["pids"]) // 10)
    result = RegDBProtocol("thermal_to_visible", 2)(world.to_embeddings(data))
    n = 2060
    harmonic = sum(1 / i for i in range(1, n + 1))
    assert result.chance["rank1"] == pytest.approx(1 / 206)
    assert result.chance["mAP"] == pytest.approx((9 / (n - 1) * (n - harmonic) + harmonic) / n)


def test_another_splits_model_is_refused(world):
    for trained_on in (None, 3):
        assert RegDBProtocol("visible_to_thermal", 3, trained_on=trained_on).split == 3
    with pytest.raises(ConfigError, match="trained on split 1 of RegDB has seen people of the test of split 3"):
        RegDBProtocol("visible_to_thermal", 3, trained_on=1)
    embeddings = world.to_embeddings(world.two_modalities(0, CAMERAS))
    with pytest.raises(ConfigError, match="score it on split 2, or train on split 1"):
        score_regdb(embeddings, 1, trained_on=2)


def test_wrong_settings_and_missing_modalities_are_one_sentence(world):
    with pytest.raises(ConfigError, match="visible_to_thermal and thermal_to_visible, not 'sideways'"):
        RegDBProtocol("sideways", 1)
    with pytest.raises(ConfigError, match="splits 1 to 10, not 11"):
        RegDBProtocol("visible_to_thermal", 11)
    embeddings = world.to_embeddings(world.two_modalities(0, CAMERAS))
    with pytest.raises(DataError, match="no infrared images"):
        RegDBProtocol("visible_to_thermal", 1)(embeddings.select(~embeddings.infrared))


def test_only_the_asked_identities_are_scored(world):
    data = world.two_modalities(1, CAMERAS, present=1.0)
    embeddings = world.to_embeddings(data)
    kept = np.isin(data["pids"], (3, 4, 5))
    asked = score_regdb(embeddings, 1, test_ids=[3, 4, 5])
    alone = score_regdb(embeddings.select(kept), 1)
    assert {key: r.metrics() for key, r in asked.items()} == {key: r.metrics() for key, r in alone.items()}


def of_splits(world, count=10):
    results = []
    for split in range(1, count + 1):
        data = world.two_modalities(split - 1, CAMERAS, present=1.0, most=1, ids=9)
        results.append(score_regdb(world.to_embeddings(data), split)["regdb/visible_to_thermal"])
    return results


def test_the_average_has_the_mean_and_the_deviation_over_splits(world):
    results = of_splits(world)
    mean = average_splits(results)
    assert (mean.protocol, mean.trials, mean.labels.draw) == ("regdb/visible_to_thermal", 10, "10 of 10 splits")
    rank1 = [result.cmc[0, 0] for result in results]
    maps = [result.mean_ap[0] for result in results]
    summaries = mean.metrics()
    assert summaries["rank1"]["mean"] == pytest.approx(sum(rank1) / 10)
    assert summaries["rank1"]["per_trial"] == rank1
    average = sum(maps) / 10
    variance = sum((value - average) ** 2 for value in maps) / 9
    assert summaries["mAP"]["mean"] == pytest.approx(average)
    assert summaries["mAP"]["std"] == pytest.approx(variance**0.5)
    assert mean.chance == pytest.approx(results[0].chance)
    table = results_table([("mine", mean)])
    assert "10 of 10 splits" in [str(cell) for cell in table.columns[3].cells]
    assert "sample standard deviation over splits" in str(table.caption)
    few = average_splits(results[:3])
    assert few.labels.draw == "3 of 10 splits"
    assert "mean over 3 of 10 splits" in str(results_table([("mine", few)]).caption)


def test_results_from_json_are_averaged_like_those_in_memory(world):
    results = of_splits(world, 3)
    read = [RetrievalResult.from_json(result.to_json()) for result in results]
    assert average_splits(read).to_json() == average_splits(results).to_json()
    with pytest.raises(DataError, match="no results of a protocol"):
        RetrievalResult.from_json(results[0].metrics())


def test_curves_of_different_lengths_end_at_their_last_value(world):
    short, long = of_splits(world, 2)
    short = RetrievalResult.from_json({**short.to_json(), "cmc": short.cmc[:, :4].tolist()})
    joined = average_splits([short, long])
    assert joined.cmc.shape == (2, long.cmc.shape[1])
    np.testing.assert_array_equal(joined.cmc[0, 4:], np.full(long.cmc.shape[1] - 4, short.cmc[0, 3]))


def test_what_has_no_average_is_named(world):
    results = of_splits(world, 3)
    other = world.to_embeddings(world.two_modalities(5, CAMERAS, present=1.0, most=3))
    back = score_regdb(other, 4)
    for given, message in [
        ([], "no results of splits"),
        ([*results, results[1]], "split 2 is there more than once"),
        ([results[0], back["regdb/thermal_to_visible"]], "different ways"),
        ([results[0], back["regdb/visible_to_thermal"]], "split 1 has 9 probes and split 4"),
        ([results[0], score_regdb(other, 4, scorer=Euclidean())["regdb/visible_to_thermal"]], "different ways"),
    ]:
        with pytest.raises(DataError, match=message):
            average_splits(given)
