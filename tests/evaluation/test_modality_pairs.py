import numpy as np
import pytest
from evaluation_reference import LOCATION, cosine, rows_where, score_all

from crossreid.errors import ConfigError, DataError
from crossreid.evaluation import (
    PAIRINGS,
    AllPairsProtocol,
    Cosine,
    Embeddings,
    ReportedPair,
    intra_class_cosine_similarity,
    modality_pairs,
    reported_pairs,
)


def reference(data, query, gallery):
    """R1, mAP, valid probes and intra-class similarity, by loops; query and gallery say whether infrared."""
    pids = data["pids"]
    data = data | {"infrared": np.isin(data["camids"], (3, 6))}
    probes = rows_where(data, query, order=("camids", "pids", "frames"))
    others = rows_where(data, gallery, order=("camids", "pids", "frames"))
    scores = cosine(data["features"][probes], data["features"][others])
    location = np.array([LOCATION[camera] for camera in data["camids"].tolist()])
    removed = location[probes][:, None] == location[others]
    identities = len(set(pids[others].tolist()))
    cmc, mean_ap, _, valid = score_all(scores, pids[probes], pids[others], removed, identities)

    intra_class = []
    for i, probe in enumerate(probes):
        for j, other in enumerate(others):
            if pids[probe] == pids[other] and probe != other:
                intra_class.append(scores[i, j])
    return cmc[0], mean_ap, valid, sum(intra_class) / len(intra_class)


@pytest.mark.parametrize("seed", range(3))
def test_all_four_pairings_equal_the_reference(world, seed):
    data, _ = world.people(seed, present=0.8)
    order = np.random.default_rng(seed).permutation(len(data["pids"]))
    scores = modality_pairs(world.to_embeddings(data, order))
    assert list(scores) == ["rgb2rgb", "ir2ir", "ir2rgb", "rgb2ir"]
    for pairing, (query, gallery) in PAIRINGS.items():
        rank1, mean_ap, valid, alike = reference(data, query == "infrared", gallery == "infrared")
        result = scores[pairing].result
        assert result.rank(1)[0] == pytest.approx(rank1, abs=1e-12)
        assert result.mean_ap[0] == pytest.approx(mean_ap, abs=1e-9)
        assert result.n_valid[0] == valid
        assert scores[pairing].similarity == pytest.approx(alike, abs=1e-9)
        assert result.protocol == f"sysu_mm01/pairs/{pairing}"
    assert scores["ir2rgb"].similarity == pytest.approx(scores["rgb2ir"].similarity, abs=1e-12)


def test_chunks_of_probes_change_nothing_and_transductive_scorers_get_all(world, monkeypatch):
    embeddings = world.to_embeddings(world.people(4)[0])
    whole = AllPairsProtocol("rgb2rgb")(embeddings)
    monkeypatch.setattr(AllPairsProtocol, "probes_at_a_time", 7)
    parts = AllPairsProtocol("rgb2rgb")(embeddings)
    assert parts.metrics() == whole.metrics()

    class Transductive:
        transductive = True
        sizes: list[int] = []  # noqa: RUF012 - filled by the one instance

        def __call__(self, query, gallery):
            self.sizes.append(len(query))
            return Cosine()(query, gallery)

    AllPairsProtocol("rgb2rgb")(embeddings, Transductive())
    assert Transductive.sizes == [whole.n_probes]


def test_a_probe_never_finds_itself_nor_its_camera(world):
    data = {
        "features": np.eye(4, dtype=np.float32),
        "pids": np.array([1, 1, 1, 2]),
        "camids": np.array([1, 1, 4, 5]),
        "frames": np.array([0, 1, 0, 0]),
    }
    result = AllPairsProtocol("rgb2rgb")(world.to_embeddings(data))
    assert result.n_valid.tolist() == [3]  # person 2 has nobody else
    assert result.n_probes == 4


def test_intra_class_similarity_by_hand(world):
    data = {
        "features": np.array([[2.0, 0], [0, 3], [1, 1], [5, 0]], np.float32),
        "pids": np.array([1, 1, 1, 2]),
        "camids": np.array([1, 2, 3, 4]),
        "frames": np.zeros(4, int),
    }
    embeddings = world.to_embeddings(data)
    visible, infrared = embeddings.select(~embeddings.infrared), embeddings.select(embeddings.infrared)
    assert intra_class_cosine_similarity(visible, infrared) == pytest.approx(0.5**0.5)
    assert intra_class_cosine_similarity(visible, visible) == pytest.approx(0.0)  # of two images, at right angles
    with pytest.raises(DataError, match="no person in different images"):
        intra_class_cosine_similarity(infrared, infrared)


def test_wrong_names_and_missing_modalities_are_one_sentence(world):
    with pytest.raises(ConfigError, match="rgb2rgb, ir2ir, ir2rgb, rgb2ir, not 'rgb2x'"):
        AllPairsProtocol("rgb2x")
    embeddings = world.to_embeddings(world.people(0)[0])
    with pytest.raises(DataError, match="no infrared images"):
        AllPairsProtocol("ir2rgb")(embeddings.select(~embeddings.infrared))


def test_further_columns_score_the_feature_and_the_cameras_that_they_name(world):
    embeddings = world.to_embeddings(world.people(2)[0])
    noise = np.random.default_rng(0).normal(size=embeddings.features["main"].shape).astype(np.float32)
    both = Embeddings(**(vars(embeddings) | {"features": {"main": noise, "teacher": embeddings.features["main"]}}))
    columns = {"other": ReportedPair("ir2ir", "teacher"), "same": ReportedPair("ir2ir", "teacher", any_camera=True)}
    scores = reported_pairs(both, columns)
    expected = modality_pairs(embeddings)["ir2ir"]
    assert scores["other"].result.metrics() == expected.result.metrics()
    assert scores["other"].similarity == expected.similarity
    assert [score.result.protocol for score in scores.values()] == ["sysu_mm01/pairs/other", "sysu_mm01/pairs/same"]

    infrared = embeddings.select(embeddings.infrared)
    pids = infrared.pids
    similarity = cosine(infrared.features["main"], infrared.features["main"])
    np.fill_diagonal(similarity, -np.inf)  # the probe itself, and nothing else, does not count
    hits = []
    for probe, pid in enumerate(pids):
        if (pids == pid).sum() > 1:
            hits.append(pids[similarity[probe].argmax()] == pid)
    assert scores["same"].result.n_valid[0] == len(hits)
    assert scores["same"].result.rank(1)[0] == pytest.approx(np.mean(hits))


def test_a_pairing_that_cannot_be_scored_says_so_in_its_place(world):
    from crossreid.console import as_text
    from crossreid.evaluation import Cosine, pairs_table, possible_pairs

    embeddings = world.to_embeddings(world.people(0)[0])
    one_infrared_camera = embeddings.select(embeddings.camids != 6)
    scores, left_out = possible_pairs(one_infrared_camera, Cosine(), {})
    assert list(scores) == ["rgb2rgb", "ir2rgb", "rgb2ir"]
    assert list(left_out) == ["ir2ir"]
    text = as_text(pairs_table(scores, left_out=left_out))
    assert "ir2ir cannot be scored: " in text
    row = next(line for line in text.splitlines() if line.startswith("│ R1"))
    assert [cell.strip() for cell in row.split("│")][5] == "-"
    scores, left_out = possible_pairs(embeddings.select(embeddings.infrared), Cosine(), {})
    assert list(scores) == ["ir2ir"]
    assert set(left_out) == {"rgb2rgb", "ir2rgb", "rgb2ir"}
    assert all("visible" in reason for reason in left_out.values())
    assert "ir2rgb cannot be scored" in as_text(pairs_table({}, left_out=left_out))  # a table of reasons alone
