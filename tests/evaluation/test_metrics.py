import numpy as np
import pytest
import torch
from evaluation_reference import score_all

from crossreid.evaluation import cmc, score_probes
from crossreid.evaluation.metrics import _score_lot, _score_ranked


def problem(seed, queries=40, gallery=70, ids=9, ties=False):
    rng = np.random.default_rng(seed)
    similarity = rng.integers(-2, 3, (queries, gallery)) / 2 if ties else rng.standard_normal((queries, gallery))
    removed = rng.random((queries, gallery)) < 0.3
    return similarity.astype(float), rng.integers(0, ids + 3, queries), rng.integers(0, ids, gallery), removed


@pytest.mark.parametrize("deduplicate", [True, False])
@pytest.mark.parametrize("ties", [False, True])
@pytest.mark.parametrize("seed", range(5))
def test_every_number_equals_the_slow_reference(seed, ties, deduplicate):
    similarity, query_pids, gallery_pids, removed = problem(seed, ties=ties)
    length = len(np.unique(gallery_pids)) if deduplicate else len(gallery_pids)
    expected = score_all(similarity, query_pids, gallery_pids, removed, length, deduplicate=deduplicate)
    scores = score_probes(similarity, query_pids, gallery_pids, removed, deduplicate=deduplicate, chunk=7)
    np.testing.assert_allclose(cmc(scores.first_rank, length), expected[0], atol=1e-12)
    assert scores.ap[scores.valid].mean() == pytest.approx(expected[1], abs=1e-12)
    assert scores.inp[scores.valid].mean() == pytest.approx(expected[2], abs=1e-12)
    assert scores.valid.sum() == expected[3] < len(query_pids)


@pytest.mark.parametrize("deduplicate", [True, False])
@pytest.mark.parametrize("decimals", [0, 1, 16])  # all tied, some tied, none tied
def test_counting_better_images_is_ranking_them(decimals, deduplicate):
    similarity, query_pids, gallery_pids, removed = problem(11, queries=60)
    similarity = similarity.round(decimals)
    counted = _score_lot(similarity, query_pids, gallery_pids, removed, deduplicate)
    ranked = _score_ranked(similarity, query_pids, gallery_pids, removed, deduplicate)
    for name in ("first_rank", "ap", "inp", "relevant"):
        assert np.array_equal(getattr(counted, name), getattr(ranked, name)), name


def test_a_list_scored_by_hand():
    # ranked identities: 5 5 7 (removed 9) 8 9 8 9; the probe is 9: places 6 and 8 lose the removed one and become 5, 7
    gallery_pids = np.array([5, 5, 7, 9, 8, 9, 8, 9])
    similarity = np.array([[8.0, 7, 6, 5, 4, 3, 2, 1]])
    removed = gallery_pids[None] < 0
    removed[0, 3] = True
    scores = score_probes(similarity, np.array([9]), gallery_pids, removed)
    assert scores.first_rank.tolist() == [4]  # 5, 7, 8, then 9
    assert scores.ap[0] == pytest.approx((1 / 5 + 2 / 7) / 2)
    assert scores.inp[0] == pytest.approx(2 / 7)
    assert scores.relevant.tolist() == [2]
    assert score_probes(similarity, np.array([9]), gallery_pids, removed, deduplicate=False).first_rank.tolist() == [5]


def test_ties_keep_the_order_of_the_gallery():
    gallery_pids = np.array([1, 2, 3])
    scores = score_probes(np.zeros((3, 3)), np.array([1, 2, 3]), gallery_pids, np.zeros((3, 3), bool))
    assert scores.first_rank.tolist() == [1, 2, 3]


def test_removed_images_never_outrank_even_minus_infinity():
    similarity = np.array([[-np.inf, 3.0, -np.inf]])
    removed = np.array([[False, True, False]])
    scores = score_probes(similarity, np.array([2]), np.array([1, 2, 2]), removed)
    assert scores.first_rank.tolist() == [2]
    assert scores.relevant.tolist() == [1]


def test_a_perfect_ranking_scores_one():
    pids = np.array([1, 1, 2, 2, 3])
    same = (pids[:, None] == pids).astype(float)
    scores = score_probes(same, pids, pids, np.eye(5, dtype=bool))
    assert scores.valid.tolist() == [True, True, True, True, False]  # person 3 has nobody but itself
    assert (scores.ap[:4] == 1).all()
    assert (scores.inp[:4] == 1).all()
    np.testing.assert_array_equal(cmc(scores.first_rank, 3), [1, 1, 1])
    assert scores.first_rank[4] == scores.ap[4] == scores.inp[4] == 0


def test_no_probe_at_all_gives_empty_scores():
    scores = score_probes(np.zeros((0, 4)), np.array([], int), np.arange(4), np.zeros((0, 4), bool))
    assert len(scores.ap) == 0


def test_wrong_input_is_refused():
    with pytest.raises(ValueError, match="NaN"):
        score_probes(np.array([[np.nan, 1.0]]), np.array([1]), np.array([1, 2]), np.zeros((1, 2), bool))
    with pytest.raises(ValueError, match="expected"):
        score_probes(np.zeros((2, 1)), np.array([1]), np.array([1, 2]), np.zeros((1, 2), bool))
    with pytest.raises(ValueError, match="valid probes"):
        cmc(np.array([0, 0]), 5)


def test_torchmetrics_agrees_where_it_applies():
    """Its mAP and hit rate rank images without de-duplication; scores must be positive there, and left-out ones -1."""
    from torchmetrics.retrieval import RetrievalHitRate, RetrievalMAP, RetrievalMRR

    similarity, query_pids, gallery_pids, removed = problem(3)
    positive = torch.tensor(1 / (1 + np.exp(-similarity)))  # trap: targets count as 0 where scores are <= 0
    target = torch.tensor(query_pids[:, None] == gallery_pids).long()
    target[torch.tensor(removed)] = -1
    index = torch.arange(len(query_pids))[:, None].expand_as(target)
    kinds = {"empty_target_action": "skip", "ignore_index": -1}
    scores = score_probes(similarity, query_pids, gallery_pids, removed, deduplicate=False)
    curve = cmc(scores.first_rank, len(gallery_pids))
    flat = (positive.flatten(), target.flatten(), index.flatten())
    assert scores.ap[scores.valid].mean() == pytest.approx(RetrievalMAP(**kinds)(*flat).item(), abs=1e-6)
    assert (1 / scores.first_rank[scores.valid]).mean() == pytest.approx(RetrievalMRR(**kinds)(*flat).item(), abs=1e-6)
    for k in (1, 5, 10, 20):
        assert curve[k - 1] == pytest.approx(RetrievalHitRate(top_k=k, **kinds)(*flat).item(), abs=1e-6)
