"""Scored pairs, thresholds, intervals, curves, open-set rates and probabilities, against loops and scikit-learn."""

from __future__ import annotations

import numpy as np
import pytest

from crossreid.errors import DataError
from crossreid.evaluation import Embeddings
from crossreid.evaluation.match_probability import (
    MatchProbability,
    fit_probability,
    pair_weights,
    reliability_of,
)
from crossreid.evaluation.open_set import open_set_rate, search_open_set
from crossreid.evaluation.verification import (
    Pairs,
    draw_persons,
    pairs_of,
    rate_curve,
    require_pairs,
    threshold_at,
    thresholds,
)


def people(persons=14, each=8, dimension=6, seed=0, grid=None) -> Embeddings:
    """Images of persons in four cameras, two of them infrared; with ``grid`` few different similarities, so many ties."""
    rng = np.random.default_rng(seed)
    person = np.repeat(np.arange(persons), each)
    features = rng.standard_normal((persons, dimension))[person] + 0.8 * rng.standard_normal((len(person), dimension))
    if grid:
        features = np.round(features / grid) * grid + np.eye(dimension)[0] * 1e-3
    camera = 1 + np.arange(len(person)) % 4
    return Embeddings(
        {"main": features.astype(np.float32)},
        np.where(person == 0, -1 - np.arange(len(person)), person * 3),  # nobody knows who the first ones are
        camera,
        camera > 2,
        np.zeros(len(person)),
        np.arange(len(person)),
        ("",) * len(person),
    )


def cosines(embeddings: Embeddings) -> np.ndarray:
    features = embeddings.features["main"].astype(np.float64)
    features /= np.linalg.norm(features, axis=1, keepdims=True)
    return features @ features.T


@pytest.mark.parametrize("same_camera", [False, True])
@pytest.mark.parametrize(("queries", "others"), [(False, False), (False, True), (True, True)])
def test_pairs_are_those_of_a_double_loop(queries: bool, others: bool, same_camera: bool) -> None:
    embeddings = people()
    similarity = cosines(embeddings)
    expected: dict[object, list[float]] = {}
    for i in range(len(embeddings)):
        for j in range(len(embeddings)):
            known = embeddings.pids[i] >= 0 and embeddings.pids[j] >= 0
            kinds = bool(embeddings.infrared[i]) == queries and bool(embeddings.infrared[j]) == others
            once = i < j if queries == others else True
            apart = same_camera or embeddings.camids[i] != embeddings.camids[j]
            if known and kinds and once and apart:
                cameras = tuple(sorted((int(embeddings.camids[i]), int(embeddings.camids[j]))))
                same = bool(embeddings.pids[i] == embeddings.pids[j])
                expected.setdefault((same, cameras), []).append(float(similarity[i, j]))
    pairs = pairs_of(embeddings, queries, others, same_camera=same_camera)
    found: dict[object, list[float]] = {}
    for score, same, cameras in zip(pairs.scores.tolist(), pairs.same.tolist(), pairs.cameras.tolist(), strict=True):
        found.setdefault((same, tuple(cameras)), []).append(score)
    assert len(pairs) > 100
    assert found.keys() == expected.keys()
    for kind, scores in expected.items():
        np.testing.assert_allclose(sorted(found[kind]), sorted(scores), atol=1e-6)
    assert sum(len(part) for _, part in pairs.by_cameras()) == len(pairs)


@pytest.mark.parametrize("grid", [None, 1.0])
def test_a_threshold_is_the_lowest_that_keeps_the_rate(grid: float | None) -> None:
    scores = pairs_of(people(grid=grid), False, True).impostor
    for rate in (0.001, 0.01, 0.1, 0.37, 1.0):
        threshold = np.float32(threshold_at(scores, rate))
        assert np.mean(scores >= threshold) <= rate
        lower = [score for score in scores if score < threshold]
        if lower:
            assert np.mean(scores >= max(lower)) > rate


def slow_interval(pairs: Pairs, draws: np.ndarray, statistic) -> np.ndarray:
    """The middle 95 % of a statistic of resamples in which pairs are repeated one by one."""
    values = []
    for weights in draws:
        genuine, impostor = [], []
        for score, one, other in zip(pairs.scores, pairs.first, pairs.second, strict=True):
            if one == other:
                genuine += [score] * weights[one]
            else:
                impostor += [score] * (weights[one] * weights[other])
        values.append(statistic(np.array(genuine), np.array(impostor)))
    return np.quantile(values, [0.025, 0.975])


def test_intervals_are_those_of_resamples_written_out(monkeypatch: pytest.MonkeyPatch) -> None:
    from crossreid.evaluation import verification

    monkeypatch.setattr(verification, "LEAST_PAIRS", 5)
    monkeypatch.setattr(verification, "LEAST_MATCHES", 5)
    pairs = pairs_of(people(), False, True)
    draws = draw_persons(pairs.persons, 60, 3)
    assert (draws.sum(axis=1) == pairs.persons).all()
    for found in thresholds(pairs, [0.02, 0.2], draws):
        cut = np.float32(found.threshold)
        assert found.false_match_rate == np.mean(pairs.impostor >= cut)
        assert found.true_match_rate == np.mean(pairs.genuine >= cut)
        expected = {
            "threshold_interval": lambda genuine, impostor, rate=found.rate: threshold_at(impostor, rate),
            "false_match_interval": lambda genuine, impostor, cut=cut: np.mean(impostor >= cut),
            "true_match_interval": lambda genuine, impostor, cut=cut: np.mean(genuine >= cut),
        }
        for name, statistic in expected.items():
            np.testing.assert_allclose(getattr(found, name), slow_interval(pairs, draws, statistic), atol=1e-6)
        assert found.false_match_interval[0] < found.false_match_rate < found.false_match_interval[1]


def test_intervals_over_persons_cover_what_they_should() -> None:
    """Of many draws of persons from one world, nearly 95 % have an interval around the rate of all."""
    hits, trials = 0, 20
    world = pairs_of(people(400, 4, seed=9), False, True)
    truth = np.mean(world.impostor >= 0.55)
    for seed in range(trials):
        chosen = np.random.default_rng(seed).choice(399, 40, replace=False)
        mask = np.zeros(399, dtype=bool)
        mask[chosen] = True
        renumber = np.cumsum(mask) - 1
        part = world.among(mask)
        pairs = Pairs(part.scores, renumber[part.first], renumber[part.second], 40, part.cameras)
        weights = draw_persons(40, 100, seed).astype(float)
        shares = []
        for weight in weights:
            products = weight[pairs.first] * weight[pairs.second]
            products[pairs.same] = 0
            shares.append(products[pairs.scores >= 0.55].sum() / products.sum())
        low, high = np.quantile(shares, [0.025, 0.975])
        hits += low <= truth <= high
    assert hits >= 0.8 * trials, hits


def test_a_rate_with_too_few_pairs_behind_it_is_one_sentence() -> None:
    pairs = pairs_of(people(40, 8), False, True)
    count = len(pairs.impostor)
    least = 30 / count
    require_pairs(pairs, least)
    with pytest.raises(DataError, match=f"smallest rate that can be had is {least:.2g}") as refused:
        require_pairs(pairs, 0.9 * least, "visible-infrared")
    assert "visible-infrared" in str(refused.value)
    assert str(count) in str(refused.value)
    few = pairs_of(people(6, 4), False, True)
    with pytest.raises(DataError, match="no rate of false matches can be had"):
        require_pairs(few, 0.5)


@pytest.mark.parametrize("grid", [None, 1.0])
def test_curves_are_those_of_scikit_learn(grid: float | None) -> None:
    metrics = pytest.importorskip("sklearn.metrics")
    pairs = pairs_of(people(grid=grid), False, True)
    curve = rate_curve(pairs.genuine, pairs.impostor)
    labels = np.concatenate([np.ones(len(pairs.genuine)), np.zeros(len(pairs.impostor))])
    scores = np.concatenate([pairs.genuine, pairs.impostor])
    assert curve.area == pytest.approx(metrics.roc_auc_score(labels, scores), abs=1e-9)
    for cut, false, true in zip(curve.thresholds, curve.false_match_rate, curve.true_match_rate, strict=True):
        assert false == pytest.approx(np.mean(pairs.impostor >= np.float32(cut)))
        assert true == pytest.approx(np.mean(pairs.genuine >= np.float32(cut)))
    assert 20 < len(curve.thresholds) <= 200
    gaps = []
    for cut in np.unique(scores):
        gaps.append(abs(np.mean(pairs.impostor >= cut) - np.mean(pairs.genuine < cut)))
    at = np.unique(scores)[int(np.argmin(gaps))]
    expected = (np.mean(pairs.impostor >= at) + np.mean(pairs.genuine < at)) / 2
    assert curve.equal_error_rate == pytest.approx(expected, abs=min(gaps) + 1e-9)


@pytest.mark.parametrize(("queries", "others"), [(True, False), (False, False)])
def test_open_set_rates_are_those_of_a_loop(queries: bool, others: bool) -> None:
    embeddings = people(30, 8)
    similarity = cosines(embeddings)
    own, strangers, person = [], [], []
    for i in np.flatnonzero((embeddings.infrared == queries) & (embeddings.pids >= 0)):
        best = {True: -np.inf, False: -np.inf}
        for j in np.flatnonzero((embeddings.infrared == others) & (embeddings.pids >= 0)):
            if i != j and embeddings.camids[i] != embeddings.camids[j]:
                same = bool(embeddings.pids[i] == embeddings.pids[j])
                best[same] = max(best[same], similarity[i, j])
        if np.isfinite(list(best.values())).all():
            own.append(best[True])
            strangers.append(best[False])
            person.append(embeddings.pids[i])
    search = search_open_set(embeddings, queries, others)
    np.testing.assert_allclose(search.own, own, atol=1e-5)
    np.testing.assert_allclose(search.strangers, strangers, atol=1e-5)
    draws = draw_persons(search.persons, 100, 0)
    rate = 12 / len(own)
    found = open_set_rate(search, rate, draws)
    cut = np.float32(found.threshold)
    assert (search.strangers >= cut).sum() == 12
    assert (search.strangers >= np.nextafter(cut, np.float32(-1))).sum() >= 12
    assert found.false_alarm_rate == pytest.approx(12 / len(own))
    identified = [o > s and np.float32(o) >= cut for o, s in zip(own, strangers, strict=True)]
    assert found.identified == pytest.approx(np.mean(identified))
    shares = []
    for weights in draws:
        by_person = dict(zip(np.unique(embeddings.pids[embeddings.pids >= 0]).tolist(), weights.tolist(), strict=True))
        weighted = [by_person[pid] for pid in person]
        shares.append(np.dot(weighted, identified) / sum(weighted))
    np.testing.assert_allclose(found.identified_interval, np.quantile(shares, [0.025, 0.975]), atol=1e-9)
    with pytest.raises(DataError, match="smallest one that can be had"):
        open_set_rate(search, 0.001, draws)


# ---------------------------------------------------------------- probabilities


def scores_of_two_kinds(seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    return rng.normal(0.6, 0.15, 300).astype(np.float32), rng.normal(0.25, 0.15, 900).astype(np.float32)


@pytest.mark.parametrize("prior", [0.5, 0.1])
def test_the_logistic_curve_is_that_of_scikit_learn(prior: float) -> None:
    linear = pytest.importorskip("sklearn.linear_model")
    genuine, impostor = scores_of_two_kinds()
    curve = fit_probability("logistic", genuine, impostor, prior)
    scores = np.concatenate([genuine, impostor]).astype(np.float64)
    labels = np.concatenate([np.ones(300), np.zeros(900)])
    weights = np.where(labels == 1, prior / 300, (1 - prior) / 900) * 1200
    targets = np.where(labels == 1, 301 / 302, 1 / 902)  # Platt's, as one pair of either label
    oracle = linear.LogisticRegression(C=1e9, tol=1e-12, max_iter=10_000).fit(
        np.tile(scores, 2)[:, None],
        np.repeat([1, 0], 1200),
        sample_weight=np.concatenate([weights * targets, weights * (1 - targets)]),
    )
    assert curve.slope == pytest.approx(float(oracle.coef_[0, 0]), rel=1e-3)
    assert curve.intercept == pytest.approx(float(oracle.intercept_[0]), rel=1e-3)
    grid = np.linspace(-1, 1, 9)
    np.testing.assert_allclose(curve(grid), oracle.predict_proba(grid[:, None])[:, 1], atol=1e-4)


def test_the_isotonic_curve_is_that_of_scikit_learn() -> None:
    isotonic = pytest.importorskip("sklearn.isotonic")
    genuine, impostor = scores_of_two_kinds()
    curve = fit_probability("isotonic", genuine, impostor, 0.5)
    scores = np.concatenate([genuine, impostor]).astype(np.float64)
    labels = np.concatenate([np.ones(300), np.zeros(900)])
    weights = pair_weights(labels, 0.5)
    oracle = isotonic.IsotonicRegression(out_of_bounds="clip").fit(scores, labels, weights)
    values = oracle.predict(scores)
    blocks = {}
    for score, weight, value in zip(scores, weights, values, strict=True):
        block = blocks.setdefault(round(value, 9), [0.0, 0.0])
        block[0] += weight * score
        block[1] += weight
    assert len(curve.scores) == len(blocks)
    np.testing.assert_allclose(curve.values, sorted(blocks), atol=1e-6)
    np.testing.assert_allclose(
        curve.scores, [blocks[value][0] / blocks[value][1] for value in sorted(blocks)], atol=1e-6
    )


@pytest.mark.parametrize("kind", ["logistic", "isotonic"])
def test_probabilities_hold_for_pairs_that_were_not_learned_from(kind: str) -> None:
    learned, checked = scores_of_two_kinds(0), scores_of_two_kinds(1)
    curve = fit_probability(kind, *learned, 0.3)
    found = reliability_of(curve, *checked, persons=7)
    assert found.expected_error < 0.05
    weight = {1: 0.3 / 300, 0: 0.7 / 900}
    brier = 0.0
    cells: dict[int, list[float]] = {}
    for label, scores in ((1, checked[0]), (0, checked[1])):
        for probability in curve(scores):
            brier += weight[label] * (probability - label) ** 2
            cell = cells.setdefault(min(int(probability * 10), 9), [0.0, 0.0, 0.0])
            cell[0] += weight[label]
            cell[1] += weight[label] * probability
            cell[2] += weight[label] * label
    error = sum(abs(predicted - observed) for _, predicted, observed in cells.values())
    assert found.brier == pytest.approx(brier)
    assert found.expected_error == pytest.approx(error)
    np.testing.assert_allclose(found.weight, [cells[place][0] for place in sorted(cells)])
    shuffled = reliability_of(curve, checked[1], checked[0], persons=7)
    assert shuffled.expected_error > 0.3  # what does not hold shows
    again = MatchProbability.from_plain(curve.plain())
    np.testing.assert_array_equal(again(checked[0]), curve(checked[0]))


def test_kinds_that_are_apart_have_a_rising_finite_curve() -> None:
    curve = fit_probability("logistic", np.full(50, 0.9), np.full(5000, 0.1), 0.5)
    low, middle, high = curve(np.array([0.1, 0.5, 0.9]))
    assert 0 < low < 0.01 < middle < high < 1
    assert fit_probability("logistic", np.full(9, 0.1), np.full(9, 0.9), 0.5).slope == 0  # never falling
