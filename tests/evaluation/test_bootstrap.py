"""Intervals over identities against a loop that resamples people one by one."""

import numpy as np
import pytest

from crossreid.errors import DataError
from crossreid.evaluation import IdentityScores, ProbeScores
from crossreid.evaluation.bootstrap import bootstrap_statistics, identity_interval, paired_difference


def probes(seed: int, ids: int = 12, quality: float = 0.5):
    """Per-probe values of persons with 0 to 8 valid probes, and the sums of them."""
    generator = np.random.default_rng(seed)
    per_person = np.random.default_rng(5).integers(1, 9, size=ids)
    pids = np.repeat(np.arange(10, 10 + ids), per_person)
    count = len(pids)
    hit = generator.random(count) < quality
    first_rank = np.where(hit, 1, generator.integers(2, 9, size=count))
    valid = np.random.default_rng(6).random(count) < 0.9
    valid[np.unique(pids, return_index=True)[1]] = True  # everybody has one
    ap = generator.random(count)
    inp = generator.random(count)
    scores = ProbeScores(first_rank * valid, ap * valid, inp * valid, relevant=valid)
    return pids, scores, IdentityScores.gather(pids, scores)


def slow_mean(pids, scores, metric, draw):
    """The metric over the valid probes of the people drawn, with all probes of a person as often as that person."""
    values = {"rank1": scores.first_rank == 1, "mAP": scores.ap, "mINP": scores.inp}[metric]
    names = np.unique(pids)
    chosen = []
    for place in draw:
        for probe in np.flatnonzero(pids == names[place]):
            if scores.valid[probe]:
                chosen.append(float(values[probe]))
    return sum(chosen) / len(chosen)


@pytest.mark.parametrize("metric", ["rank1", "mAP", "mINP"])
def test_resamples_equal_a_direct_loop_over_lists_of_probes(metric: str) -> None:
    runs = [probes(seed) for seed in (0, 1, 2)]
    sums = [run[2] for run in runs]
    draws = np.random.default_rng(3).integers(len(sums[0].pids), size=(50, len(sums[0].pids)))
    expected = []
    for draw in draws:
        by_run = [slow_mean(pids, scores, metric, draw) for pids, scores, _ in runs]
        expected.append(sum(by_run) / len(by_run))
    assert bootstrap_statistics(sums, metric, draws) == pytest.approx(expected, abs=1e-12)


def test_the_interval_is_that_of_a_direct_computation() -> None:
    runs = [probes(seed) for seed in (0, 1)]
    sums = [run[2] for run in runs]
    assert (sums[0].valid > 0).all()
    people = len(sums[0].pids)
    statistics = []
    for draw in np.random.default_rng(7).integers(people, size=(400, people)):
        by_run = [slow_mean(pids, scores, "rank1", draw) for pids, scores, _ in runs]
        statistics.append(np.mean(by_run))
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
    probes_of = np.array([3.0, 4.0])
    perfect = IdentityScores(np.array([1, 2]), probes_of, rank1=probes_of, mean_ap=probes_of, mean_inp=probes_of)
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
    padded = IdentityScores(
        pids=np.concatenate([sums.pids, [90, 91, 92]]),
        valid=np.pad(sums.valid, (0, 3)),
        rank1=np.pad(sums.rank1, (0, 3)),
        mean_ap=np.pad(sums.mean_ap, (0, 3)),
        mean_inp=np.pad(sums.mean_inp, (0, 3)),
    )
    assert identity_interval([padded], "mAP") == identity_interval([sums], "mAP")


def test_other_identities_are_refused() -> None:
    with pytest.raises(DataError, match="different identities"):
        identity_interval([probes(0, 12)[2], probes(0, 13)[2]], "rank1")
    with pytest.raises(DataError, match="at least one run"):
        identity_interval([], "rank1")
    none = np.zeros(2)
    empty = IdentityScores(np.arange(2), valid=none, rank1=none, mean_ap=none, mean_inp=none)
    with pytest.raises(DataError, match="No identity"):
        identity_interval([empty], "rank1")


def slow_differences(first, second, metric, resamples, seed):
    """Persons drawn for both sides, runs for each side, one resample at a time, over lists of probes."""
    people = len(np.unique(first[0][0]))
    persons = np.random.default_rng(seed)
    runs = [np.random.default_rng([seed, side]) for side in (1, 2)]
    draws = persons.integers(people, size=(resamples, people))
    chosen = [runs[side].integers(len(of), size=(resamples, len(of))) for side, of in enumerate((first, second))]
    differences = []
    for number, draw in enumerate(draws):
        means = []
        for side, of_side in enumerate((first, second)):
            of_runs = [slow_mean(*of_side[run][:2], metric, draw) for run in chosen[side][number]]
            means.append(sum(of_runs) / len(of_runs))
        differences.append(means[1] - means[0])
    return differences


@pytest.mark.parametrize(("first_seeds", "second_seeds"), [((0,), (1,)), ((0, 1, 2), (3, 4))])
@pytest.mark.parametrize("metric", ["rank1", "mAP", "mINP"])
def test_a_paired_difference_is_that_of_plain_loops(metric: str, first_seeds, second_seeds) -> None:
    first = [probes(seed, quality=0.4) for seed in first_seeds]
    second = [probes(seed, quality=0.5) for seed in second_seeds]
    found = paired_difference([p[2] for p in first], [p[2] for p in second], metric, resamples=200, seed=3)
    people = range(len(np.unique(first[0][0])))

    def difference(draw):
        means = [sum(slow_mean(*run[:2], metric, draw) for run in side) / len(side) for side in (first, second)]
        return means[1] - means[0]

    assert found.value == pytest.approx(difference(people), abs=1e-12)
    slow = slow_differences(first, second, metric, 200, 3)
    assert found.interval == pytest.approx(tuple(np.percentile(slow, [2.5, 97.5])), abs=1e-12)
    above = sum(value > 1e-12 for value in slow)
    below = sum(value < -1e-12 for value in slow)
    assert found.share_above == above / 200
    assert found.p_value == pytest.approx(min(1, 2 * (min(200 - above, 200 - below) + 1) / 201))
    each = [difference([person]) for person in people]
    assert (found.persons, found.better) == (len(people), sum(value > 1e-12 for value in each))
    assert found.worse == sum(value < -1e-12 for value in each)


def test_a_method_does_not_differ_from_itself_and_sides_turn_the_sign() -> None:
    one, other = probes(0)[2], probes(1)[2]
    same = paired_difference([one], [one], "mAP", resamples=200)
    assert (same.value, same.interval, same.share_above, same.p_value) == (0, (0, 0), 0, 1)
    assert (same.better, same.worse) == (0, 0)
    there = paired_difference([one], [other], "mAP", resamples=400)
    back = paired_difference([other], [one], "mAP", resamples=400)
    assert back.value == -there.value
    assert back.interval == pytest.approx((-there.interval[1], -there.interval[0]), abs=1e-12)
    assert back.p_value == there.p_value
    assert (back.better, back.worse) == (there.worse, there.better)


def test_what_is_hard_for_both_cancels_out_of_a_paired_interval() -> None:
    generator = np.random.default_rng(0)
    people = generator.uniform(0.1, 0.8, size=200)  # persons differ much, methods by 0.05 for everybody
    valid = np.full(200, 20.0)
    sums = [IdentityScores(np.arange(200), valid, valid * (people + gain), valid, valid) for gain in (0, 0.05)]
    found = paired_difference([sums[0]], [sums[1]], "rank1", resamples=500)
    assert found.interval == pytest.approx((0.05, 0.05), abs=1e-9)
    low, high = identity_interval([sums[1]], "rank1", resamples=500)
    assert high - low > 0.04


def test_seeds_that_differ_widen_the_interval() -> None:
    valid = np.full(100, 10.0)

    def run(rate: float) -> IdentityScores:
        return IdentityScores(np.arange(100), valid, valid * rate, valid, valid)

    found = paired_difference([run(0.3), run(0.5)], [run(0.45), run(0.55)], "rank1", resamples=4000)
    assert found.value == pytest.approx(0.1)
    # each side draws two of its two runs: -0.05 has one sixteenth, 0 has two, 0.25 one
    assert found.interval == pytest.approx((-0.05, 0.25))
    assert found.p_value == pytest.approx(2 * 3 / 16, abs=0.04)


def test_unpaired_sides_are_refused() -> None:
    one = probes(0)[2]
    with pytest.raises(DataError, match="different identities"):
        paired_difference([one], [probes(0, 13)[2]], "rank1")
    more = IdentityScores(one.pids, one.valid + 1, one.rank1, one.mean_ap, one.mean_inp)
    with pytest.raises(DataError, match="different probes, so that they are not paired"):
        paired_difference([one], [more], "rank1")
    with pytest.raises(DataError, match="at least one run on each side"):
        paired_difference([one], [], "rank1")


def test_chunks_compare_the_same_people_and_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    sides = [probes(0)[2], probes(1)[2]], [probes(2)[2], probes(3)[2]]
    whole = paired_difference(*sides, "mAP", resamples=301, seed=1)
    monkeypatch.setattr("crossreid.evaluation.bootstrap._CELLS", 50)
    assert paired_difference(*sides, "mAP", resamples=301, seed=1) == whole
