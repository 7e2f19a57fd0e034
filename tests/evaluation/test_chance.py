import numpy as np
import pytest

from crossreid.evaluation import chance, cmc, score_probes
from crossreid.evaluation.chance import count_by_identity


def problem():
    rng = np.random.default_rng(5)
    gallery_pids = np.repeat(np.arange(12), rng.integers(1, 6, 12))
    query_pids = np.array([0, 3, 7, 7, 20])  # nobody knows 20
    removed = rng.random((5, len(gallery_pids))) < 0.2
    return query_pids, gallery_pids, removed


@pytest.mark.parametrize("deduplicate", [True, False])
def test_it_is_what_many_random_rankings_score(deduplicate):
    query_pids, gallery_pids, removed = problem()
    times = 4000
    similarity = np.random.default_rng(6).random((5 * times, len(gallery_pids)))
    all_pids = np.tile(query_pids, times)
    all_removed = np.tile(removed, (times, 1))
    scores = score_probes(similarity, all_pids, gallery_pids, all_removed, deduplicate=deduplicate)
    curve = cmc(scores.first_rank, len(gallery_pids))
    expected = chance(query_pids, gallery_pids, removed, deduplicate=deduplicate, ranks=(1, 2, 5, 10))
    for k in (1, 2, 5, 10):
        assert expected[f"rank{k}"] == pytest.approx(curve[k - 1], abs=0.012), k
    assert expected["mAP"] == pytest.approx(scores.ap[scores.valid].mean(), abs=0.008)
    assert expected["mINP"] == pytest.approx(scores.inp[scores.valid].mean(), abs=0.008)


def test_rank_among_identities_with_equal_numbers_of_images_is_k_over_their_number():
    gallery_pids = np.repeat(np.arange(30), 4)
    values = chance(np.arange(30), gallery_pids, np.zeros((30, 120), bool))
    for k in (1, 5, 10, 20):
        assert values[f"rank{k}"] == pytest.approx(k / 30, abs=1e-12)


def test_small_galleries_are_found_by_rank_five_for_sure():
    values = chance(np.array([1]), np.array([1, 2, 2]), np.zeros((1, 3), bool))
    assert values["rank1"] == pytest.approx(1 / 3)
    assert values["rank5"] == values["rank20"] == 1
    assert values["mAP"] == pytest.approx((1 + 1 / 2 + 1 / 3) / 3)
    assert values["mINP"] == pytest.approx((1 + 1 / 2 + 1 / 3) / 3)


def test_a_gallery_of_one_image_is_certain():
    for deduplicate in (True, False):
        values = chance(np.array([1]), np.array([1]), np.zeros((1, 1), bool), deduplicate=deduplicate)
        assert all(value == pytest.approx(1) for value in values.values())


def test_counts_by_identity_are_those_of_a_loop():
    query_pids, gallery_pids, removed = problem()
    counts = count_by_identity(gallery_pids, removed, chunk=2)
    assert counts.shape == (len(query_pids), 12)
    for probe in range(len(query_pids)):
        for pid in range(12):
            of_person = gallery_pids[~removed[probe]] == pid
            assert counts[probe, pid] == of_person.sum()


def test_no_match_for_anyone_is_an_error():
    with pytest.raises(ValueError, match="true match"):
        chance(np.array([3]), np.array([1, 2]), np.zeros((1, 2), bool))
