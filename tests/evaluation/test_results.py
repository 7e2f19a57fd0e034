import dataclasses
import io
import json

import numpy as np
import pytest
from rich.console import Console

from crossreid.evaluation import (
    Cosine,
    Euclidean,
    IdentityScores,
    KReciprocal,
    ProbeScores,
    ProtocolLabels,
    RetrievalResult,
    SysuMM01Protocol,
    modality_pairs,
    pairs_table,
    results_table,
    write_results_json,
)
from crossreid.evaluation.scorers import scorer_inference


def make(rank1=(0.4, 0.6), protocol="sysu_mm01/all/single"):
    cmc = np.array([[first, 0.75, 1.0] for first in rank1])
    return RetrievalResult(
        protocol=protocol,
        labels=ProtocolLabels("all", "1", "official", "the probe's camera", "identities", "main, cosine", "plain"),
        cmc=cmc,
        mean_ap=np.array([0.25, 0.35]),
        mean_inp=np.array([0.1, 0.1]),
        n_probes=12,
        n_valid=np.array([10, 10]),
        n_gallery=np.array([6, 6]),
        chance={"rank1": 0.125, "rank5": 1.0, "rank10": 1.0, "rank20": float("nan"), "mAP": 0.2, "mINP": 0.15},
        identities=IdentityScores(
            pids=np.array([3, 5]),
            valid=np.array([12, 8]),
            rank1=np.array([6, 4]),
            mean_ap=np.array([3.5, 2.5]),
            mean_inp=np.array([1.0, 1.0]),
        ),
    )


def shown(table, width=200):
    out = io.StringIO()
    Console(file=out, width=width, soft_wrap=True).print(table, soft_wrap=True)
    return out.getvalue()


def test_metrics_have_mean_sample_deviation_and_trials():
    metrics = make().metrics()
    assert list(metrics) == ["rank1", "rank5", "rank10", "rank20", "mAP", "mINP", "valid"]
    assert metrics["rank1"] == {"mean": 0.5, "std": pytest.approx(0.02**0.5), "per_trial": [0.4, 0.6]}
    assert metrics["rank5"]["per_trial"] == [1.0, 1.0]  # past the end of the CMC: its last value
    assert metrics["mAP"]["mean"] == pytest.approx(0.3)
    assert metrics["valid"] == {"mean": 10.0, "std": 0.0, "per_trial": [10, 10]}
    assert make().n_skipped.tolist() == [2, 2]


def test_one_trial_has_no_deviation_in_numbers_files_and_tables(tmp_path):
    one = make((0.5,))
    one = dataclasses.replace(
        one, mean_ap=one.mean_ap[:1], mean_inp=one.mean_inp[:1], n_valid=one.n_valid[:1], n_gallery=one.n_gallery[:1]
    )
    assert {summary["std"] for summary in one.metrics().values()} == {None}
    write_results_json(tmp_path / "m.json", {"one": one})
    assert json.loads((tmp_path / "m.json").read_text())["one"]["rank1"] == {
        "mean": 0.5,
        "std": None,
        "per_trial": [0.5],
    }
    text = shown(results_table([("AlignGAN", one)]))
    assert "50.00" in text
    assert "±" not in text


def test_flat_keys_name_the_protocol():
    assert make().flat()["test/sysu_mm01/all/single/rank1"] == 0.5
    assert make().flat("val")["val/sysu_mm01/all/single/mAP"] == pytest.approx(0.3)
    assert "sysu_mm01/all/single/valid" in make().flat("")


def test_json_holds_plain_numbers(tmp_path):
    results = {"sysu_mm01/all/single": make()}
    write_results_json(tmp_path / "new" / "m.json", results)
    content = json.loads((tmp_path / "new" / "m.json").read_text())
    assert content == {"sysu_mm01/all/single": make().metrics()}
    write_results_json(tmp_path / "new" / "m.json", results, details=True)
    entry = json.loads((tmp_path / "new" / "m.json").read_text())["sysu_mm01/all/single"]
    assert entry["metrics"] == make().metrics()
    assert entry["chance"]["rank20"] is None
    assert entry["counts"] == {"trials": 2, "probes": 12, "valid": [10, 10], "skipped": [2, 2], "gallery": [6, 6]}
    assert entry["labels"]["draw"] == "official"
    assert [p.name for p in (tmp_path / "new").iterdir()] == ["m.json"]


def test_the_table_says_everything():
    text = shown(results_table([("AlignGAN", make()), ("untrained", make((0.1, 0.2)))], title="SYSU-MM01"))
    lines = [line for line in text.splitlines() if "│" in line]
    assert [line.split("│")[1].strip() for line in lines] == ["chance", "AlignGAN", "untrained"]
    assert "12.50" in lines[0]
    assert "-" in lines[0].split("│")[9]  # chance of Rank-20 is not known here
    assert "50.00 ± 14.14" in lines[1]
    for word in ("main, cosine", "official", "all"):
        assert word in lines[1]
    for sentence in (
        "2 trials",
        "10 probes counted",
        "2 skipped",
        "6 gallery images",
        "the probe's camera",
        "identities",
    ):
        assert sentence in text
    assert "Near chance level: untrained (sysu_mm01/all/single)" in text
    assert "AlignGAN (sysu" not in text


def test_a_narrow_terminal_never_shortens_a_number():
    text = shown(results_table([("AlignGAN", make())]), width=60)
    assert "50.00 ± 14.14" in text
    assert "…" not in text


def test_each_protocol_has_its_own_chance_row():
    table = results_table([("a", make()), ("b", make(protocol="sysu_mm01/indoor/single")), ("c", make())])
    names = [line.split("│")[1].strip() for line in shown(table).splitlines() if "│" in line]
    assert names == ["chance", "a", "c", "chance", "b"]


def test_features_without_knowledge_score_near_chance_and_perfect_ones_perfectly(world):
    data, _ = world.people(0, ids=60, dim=32, present=1.0)
    blind = SysuMM01Protocol(draw="seeded")(world.to_embeddings(data))
    assert blind.near_chance
    assert blind.rank(1).mean() == pytest.approx(blind.chance["rank1"], abs=0.02)
    assert blind.mean_ap.mean() == pytest.approx(blind.chance["mAP"], abs=0.02)
    data["features"] = np.eye(100, dtype=np.float32)[data["pids"]]
    seeing = SysuMM01Protocol(draw="seeded")(world.to_embeddings(data), Cosine())
    assert not seeing.near_chance
    assert (seeing.rank(1).min(), seeing.mean_ap.min(), seeing.mean_inp.min()) == (1, 1, 1)


def test_the_pairs_table_has_the_rows_of_the_paper(world):
    text = shown(pairs_table(modality_pairs(world.to_embeddings(world.people(0)[0])), title="AlignGAN, Table 1"))
    for word in ("rgb2rgb", "ir2ir", "ir2rgb", "rgb2ir", "R1", "mAP", "intra-class cosine similarity", "one place"):
        assert word in text


def test_identities_sum_to_the_means(tmp_path):
    result = make()
    again = RetrievalResult.from_json(json.loads(json.dumps(result.to_json())))
    sums = again.identities
    assert sums.pids.tolist() == [3, 5]
    assert sums.rank1.sum() / sums.valid.sum() == pytest.approx(result.rank(1).mean())
    assert sums.mean_ap.sum() / sums.valid.sum() == pytest.approx(result.mean_ap.mean())


def test_identities_are_gathered_from_valid_probes_and_joined_over_trials():
    scores = ProbeScores(np.array([1, 2, 0, 1]), np.array([1.0, 0.5, 0.0, 0.25]), np.ones(4), np.array([3, 1, 0, 2]))
    one = IdentityScores.gather(np.array([7, 7, 7, 2]), scores)
    assert one.pids.tolist() == [2, 7]
    assert one.valid.tolist() == [1, 2]
    assert one.rank1.tolist() == [1, 1]
    assert one.mean_ap.tolist() == [0.25, 1.5]
    two = IdentityScores.gather(np.array([7, 7, 9, 9]), scores)
    both = IdentityScores.join([one, two])
    assert both.pids.tolist() == [2, 7, 9]
    assert both.valid.tolist() == [1, 4, 1]
    assert both.mean_ap.tolist() == [0.25, 3.0, 0.25]


def test_an_undeclared_scorer_is_never_plain():
    def mine(query, gallery):
        return np.zeros((len(query), len(gallery)))

    mine.transductive = True
    assert scorer_inference(Cosine()) == scorer_inference(Euclidean()) == "plain"
    assert scorer_inference(KReciprocal()) == "re-ranked"
    assert scorer_inference(mine) == "undeclared"
    mine.inference = "plain"
    assert scorer_inference(mine) == "transductive"
