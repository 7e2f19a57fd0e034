"""Intervals over identities against a loop that resamples people one by one."""

import numpy as np
import pytest

from crossreid.errors import DataError
from crossreid.evaluation import IdentityScores, ProbeScores
from crossreid.evaluation.bootstrap import bootstrap_statistics, identity_interval


def probes(seed: int, ids: int = 12, quality: float = 0.5):
    """Per-probe values of persons with 0 to 8 valid probes, and the sums of them."""
    generator = np.random.default_rng(seed)
    pids = np.repeat(np.arange(10, 10 + ids), np.random.default_rng(5).integers(1, 9, size=ids))
    hit = generator.random(len(pids)) < quality
    first = np.where(hit, 1, generator.integers(2, 9, size=len(pids)))
    valid = np.random.default_rng(6).random(len(pids)) < 0.9
    valid[np.unique(pids, return_index=True)[1]] = True  # everybody has one
    scores = ProbeScores(first * valid, generator.random(len(pids)) * valid, generator.random(len(pids)) * valid, valid)
    return pids, scores, IdentityScores.gather(pids, scores)


def as_lists(pids, scores):
    return {pid: [i for i in np.flatnonzero(pids == pid) if scores.valid[i]] for pid in np.unique(pids)}


@pytest.mark.parametrize("metric", ["rank1", "mAP", "mINP"])
def test_resamples_equal_a_direct_loop_over_lists_of_probes(metric: str) -> None:
    runs = [probes(seed) for seed in (0, 1, 2)]
    sums = [run[2] for run in runs]
    draws = np.random.default_rng(3).integers(len(sums[0].pids), size=(50, len(sums[0].pids)))
    expected = []
    for draw in draws:
        by_run = []
        for pids, scores, _ in runs:
            people, values = as_lists(pids, scores), []
            names = sorted(people)
            for place in draw:
                for probe in people[names[place]]:
                    one = {"rank1": scores.first_rank[probe] == 1, "mAP": scores.ap[probe], "mINP": scores.inp[probe]}
                    values.append(float(one[metric]))
            by_run.append(sum(values) / len(values))
        expected.append(sum(by_run) / len(by_run))
    assert bootstrap_statistics(sums, metric, draws) == pytest.approx(expected, abs=1e-12)


def test_the_interval_is_that_of_a_direct_computation() -> None:
    runs = [probes(seed) for seed in (0, 1)]
    sums = [run[2] for run in runs]
    assert (sums[0].valid > 0).all()
    generator, statistics = np.random.default_rng(7), []
    for draw in generator.integers(len(sums[0].pids), size=(400, len(sums[0].pids))):
        means = []
        for pids, scores, _ in runs:
            names = np.unique(pids)
            chosen = np.concatenate(
                [np.flatnonzero((pids == names[place]) & scores.valid.astype(bool)) for place in draw]
            )
            means.append(np.mean(scores.first_rank[chosen] == 1))
        statistics.append(np.mean(means))
    assert identity_interval(sums, "rank1", resamples=400, seed=7) == pytest.approx(
        tuple(np.percentile(statistics, [2.5, 97.5])), abs=1e-12
    )


def test_chunks_draw_the_same_people(monkeypatch: pytest.MonkeyPatch) -> None:
    sums = [probes(0)[2]]
    whole = identity_interval(sums, "mAP", resamples=301, seed=1)
    monkeypatch.setattr("crossreid.evaluation.bootstrap._CELLS", 50)
    assert identity_interval(sums, "mAP", resamples=301, seed=1) == whole
    assert identity_interval(sums, "mAP", resamples=301, seed=2) != whole


def test_it_surrounds_the_mean_and_shrinks_with_more_people() -> None:
    widths = []
    for ids in (20, 320):
        sums = probes(0, ids)[2]
        low, high = identity_interval([sums], "rank1")
        mean = sums.rank1.sum() / sums.valid.sum()
        assert 0 <= low < mean < high <= 1
        widths.append(high - low)
    assert widths[1] < widths[0] / 2.5  # four times narrower in the long run
    perfect = IdentityScores(*(np.array(column, dtype=float) for column in ([1, 2], [3, 4], [3, 4], [3, 4], [3, 4])))
    assert identity_interval([perfect], "mAP") == (1.0, 1.0)


def test_it_covers_the_truth_about_as_often_as_it_says() -> None:
    inside = 0
    for trial in range(200):
        generator = np.random.default_rng(trial)
        people = generator.beta(2, 2, size=80)  # each person is recognised with a rate of their own; the mean is 0.5
        hits = generator.binomial(10, people).astype(float)
        sums = IdentityScores(np.arange(80), np.full(80, 10.0), hits, hits, hits)
        low, high = identity_interval([sums], "rank1", resamples=500, seed=trial)
        inside += low <= 0.5 <= high
    assert 0.89 <= inside / 200 <= 0.99


def test_people_without_valid_probes_are_not_drawn() -> None:
    sums = probes(0)[2]
    nobody = np.zeros(3)
    padded = IdentityScores(
        np.concatenate([sums.pids, [90, 91, 92]]),
        *(np.concatenate([column, nobody]) for column in (sums.valid, sums.rank1, sums.mean_ap, sums.mean_inp)),
    )
    assert identity_interval([padded], "mAP") == identity_interval([sums], "mAP")


def test_other_identities_are_refused() -> None:
    with pytest.raises(DataError, match="different identities"):
        identity_interval([probes(0, 12)[2], probes(0, 13)[2]], "rank1")
    with pytest.raises(DataError, match="at least one run"):
        identity_interval([], "rank1")
    empty = IdentityScores(np.arange(2), *(np.zeros(2) for _ in range(4)))
    with pytest.raises(DataError, match="No identity"):
        identity_interval([empty], "rank1")
