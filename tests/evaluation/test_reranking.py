import subprocess
import sys

import numpy as np
import pytest
import torch
from reranking_reference import rerank
from rich.console import Console

from crossreid.errors import ConfigError, DataError
from crossreid.evaluation import (
    AllPairsProtocol,
    Cosine,
    Embeddings,
    Euclidean,
    KReciprocal,
    SysuMM01Protocol,
    results_table,
)
from crossreid.evaluation.point_distances import PointDistances

CONVENTIONS = ("paper", "published_code")


def embed(features):
    n = len(features)
    zeros = np.zeros(n, int)
    return Embeddings({"main": features}, zeros, zeros + 1, zeros > 0, np.arange(n), zeros, ("",) * n)


def draw(kind, rng, count, dim):
    """(count, dim) float32, of a length of about 1; integers and duplicates have ties."""
    if kind == "integers":
        return rng.integers(-1, 2, (count, dim)).astype(np.float32)
    features = rng.standard_normal((count, dim))
    if kind == "duplicates":
        features = features[rng.integers(0, count // 3, count)]
    elif kind == "clusters":
        features = 0.4 * features + rng.standard_normal((count // 8, dim))[rng.integers(0, count // 8, count)]
    return (features / dim**0.5).astype(np.float32)


def distances(scorer, query, gallery):
    """The scorer's distances of all pairs, rounded so that ties are equal, as lists."""
    every = np.concatenate([query, gallery]).astype(np.float64)
    if isinstance(scorer, Euclidean):
        return np.round(((every[:, None] - every) ** 2).sum(axis=-1), 10).tolist()
    lengths = np.linalg.norm(every, axis=1, keepdims=True)
    unit = every / np.where(lengths > 0, lengths, 1)  # nothing is like an all-zero feature, not even itself
    return np.round(np.maximum(1 - unit @ unit.T, 0), 10).tolist()


class Recording:
    """A scorer that is neither of ours, and notes what it was asked."""

    def __init__(self, transductive=False):
        self.transductive = transductive
        self.asked = []

    def __call__(self, query, gallery):
        self.asked.append((len(query), len(gallery)))
        return Cosine()(query, gallery)

    def distance(self, similarity):
        return 1 - similarity


@pytest.mark.slow
@pytest.mark.parametrize("batch", [0, 1, 2, *(pytest.param(batch, marks=pytest.mark.full) for batch in range(3, 10))])
def test_it_is_the_slow_reference_on_200_random_problems(batch):
    for problem in range(20):
        rng = np.random.default_rng([batch, problem])
        count = int(rng.integers(40, 201))
        probes = int(rng.integers(1, count))
        kind = ("normal", "clusters", "integers", "duplicates")[problem % 4]
        features = draw(kind, rng, count, int(rng.integers(3, 24)))
        query, gallery = features[:probes], features[probes:]
        k1, k2 = int(rng.integers(1, 31)), int(rng.integers(1, 9))
        lambda_ = float(rng.choice([0.0, 0.3, 1.0, rng.random()]))
        base = (Cosine(), Euclidean())[int(rng.integers(0, 2))]
        exact = distances(base, query, gallery)
        for convention in CONVENTIONS:
            scorer = KReciprocal(base, k1, k2, lambda_, convention, chunk=int(rng.integers(5, 300)))
            given = scorer(embed(query), embed(gallery))
            expected = rerank(exact, probes, k1, k2, lambda_, convention)
            np.testing.assert_allclose(-given, expected, atol=3e-6, rtol=1e-6, err_msg=f"{scorer} {kind} {count}")


@pytest.mark.parametrize("convention", CONVENTIONS)
@pytest.mark.parametrize(("k1", "k2"), [(60, 6), (20, 60), (1, 1), (100, 100)])
def test_lists_may_be_longer_than_the_set(convention, k1, k2):
    features = draw("clusters", np.random.default_rng(3), 31, 8)
    given = KReciprocal(Cosine(), k1, k2, 0.3, convention)(embed(features[:12]), embed(features[12:]))
    expected = rerank(distances(Cosine(), features[:12], features[12:]), 12, k1, k2, 0.3, convention)
    np.testing.assert_allclose(-given, expected, atol=3e-6)


def test_the_conventions_differ_in_whether_an_image_counts_among_its_neighbours():
    # two pairs: with k1 = 1 an image is alone under "paper", and has its partner under "published_code"
    angles = np.array([0.0, 1.0, 0.1, 1.1])
    features = np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(np.float32)
    sets = embed(features[:2]), embed(features[2:])
    paper = KReciprocal(k1=1, k2=1, lambda_=0.0, convention="paper")(*sets)
    code = KReciprocal(k1=1, k2=1, lambda_=0.0, convention="published_code")(*sets)
    np.testing.assert_array_equal(paper, -np.ones((2, 2)))
    assert code[0, 0] > -0.1
    assert code[1, 1] > -0.1
    assert code[0, 1] == code[1, 0] == -1


@pytest.mark.parametrize("base", [Cosine(), Euclidean()])
def test_with_lambda_1_images_rank_as_the_base_ranks_them(base):
    rng = np.random.default_rng(5)
    query = embed(draw("duplicates", rng, 40, 512))
    gallery = embed(draw("duplicates", rng, 150, 512))
    for convention in CONVENTIONS:
        given = KReciprocal(base, lambda_=1.0, convention=convention, chunk=37)(query, gallery)
        expected = base(query, gallery)
        np.testing.assert_array_equal(
            np.argsort(-given, axis=1, kind="stable"), np.argsort(-expected, axis=1, kind="stable")
        )


@pytest.mark.parametrize("kind", ["clusters", "duplicates", "integers"])
def test_chunks_change_nothing(kind):
    features = draw(kind, np.random.default_rng(6), 100, 64)
    sets = embed(features[:40]), embed(features[40:])
    expected = KReciprocal()(*sets)
    for chunk in (1, 7, 40, 60, 99):
        np.testing.assert_allclose(KReciprocal(chunk=chunk)(*sets), expected, atol=5e-7)


@pytest.mark.parametrize("base", [Cosine(), Euclidean()])
def test_lists_are_right_where_float32_cannot_tell(base):
    rng = np.random.default_rng(7)
    features = rng.standard_normal(64) + 1e-7 * rng.standard_normal((90, 64))  # float64 features are kept
    features = features / np.linalg.norm(features, axis=1, keepdims=True) * (1 + 1e-3 * rng.random((90, 1)))
    query = embed(features[:30])
    gallery = embed(features[30:])
    scores = np.block([[base(query, query), base(query, gallery)], [base(gallery, query), base(gallery, gallery)]])
    np.fill_diagonal(scores, np.inf)
    expected = np.argsort(-scores, axis=1, kind="stable")
    given = PointDistances(base, query, gallery, "cpu", 32).search((9, 5, 2)).order
    for size in (9, 5, 2):
        np.testing.assert_array_equal(np.sort(given[:, :size]), np.sort(expected[:, :size]))


def test_all_images_alike():
    features = np.ones((50, 2048), np.float32) / 3
    for convention in CONVENTIONS:
        given = KReciprocal(convention=convention)(embed(features[:20]), embed(features[20:]))
        expected = rerank(np.zeros((50, 50)).tolist(), 20, 20, 6, 0.3, convention)
        np.testing.assert_allclose(-given, expected, atol=1e-6)


def test_zero_features_are_like_nothing():
    features = draw("normal", np.random.default_rng(8), 40, 6)
    features[[3, 25]] = 0
    given = KReciprocal(k1=8, k2=3)(embed(features[:20]), embed(features[20:]))
    expected = rerank(distances(Cosine(), features[:20], features[20:]), 20, 8, 3, 0.3)
    np.testing.assert_allclose(-given, expected, atol=3e-6)


def test_an_empty_side_gives_an_empty_matrix():
    some, none = embed(np.ones((3, 2), np.float32)), embed(np.ones((0, 2), np.float32))
    assert KReciprocal()(some, none).shape == (3, 0)
    assert KReciprocal()(none, some).shape == (0, 3)


@pytest.mark.parametrize("transductive", [False, True])
@pytest.mark.parametrize("convention", CONVENTIONS)
def test_any_other_scorer_is_asked_for_pairs_of_sets(transductive, convention):
    features = draw("clusters", np.random.default_rng(9), 100, 16)
    sets = embed(features[:30]), embed(features[30:])
    base = Recording(transductive)
    given = KReciprocal(base, convention=convention, chunk=16)(*sets)
    np.testing.assert_allclose(given, KReciprocal(convention=convention)(*sets), atol=2e-6)
    if transductive:
        assert set(base.asked) == {(30, 30), (30, 70), (70, 30), (70, 70)}
    else:
        assert max(rows for rows, _ in base.asked) == 16
        assert {columns for _, columns in base.asked} == {30, 70}


def test_a_scorer_that_cannot_be_reranked_is_refused_in_one_sentence():
    thing = embed(np.ones((4, 3), np.float32))
    with pytest.raises(ConfigError, match=r"The scorer '<lambda>' cannot be re-ranked: it needs a function distance"):
        KReciprocal(lambda q, g: np.ones((len(q), len(g))))(thing, thing)

    class OnlyAcross(Recording):
        def __call__(self, query, gallery):
            return np.ones((2, 2))

    with pytest.raises(DataError, match=r"The scorer 'OnlyAcross' gave a matrix \(2, 2\) for 4 probes and 4 gallery"):
        KReciprocal(OnlyAcross())(thing, thing)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"k1": 0}, "k1, k2 and chunk of at least 1"),
        ({"k2": 0}, "k1, k2 and chunk of at least 1"),
        ({"chunk": 0}, "k1, k2 and chunk of at least 1"),
        ({"lambda_": 1.5}, "lambda from 0 to 1"),
        ({"convention": "own"}, "paper or published_code, not 'own'"),
    ],
)
def test_settings_that_cannot_be_are_refused(settings, message):
    with pytest.raises(ConfigError, match=message):
        KReciprocal(**settings)


@pytest.mark.parametrize("device", ["gpu", "mps", "cuda:99"])
def test_a_device_that_is_not_there_is_refused(device):
    thing = embed(np.ones((4, 3), np.float32))
    with pytest.raises(ConfigError, match=f"cannot run on device '{device}'"):
        KReciprocal(device=device)(thing, thing)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@pytest.mark.parametrize("convention", CONVENTIONS)
def test_a_gpu_gives_the_same(convention):
    features = draw("duplicates", np.random.default_rng(10), 900, 128)
    sets = embed(features[:400]), embed(features[400:])
    given = KReciprocal(convention=convention, device="cuda", chunk=256)(*sets)
    expected = KReciprocal(convention=convention, device="cpu", chunk=256)(*sets)
    np.testing.assert_allclose(given, expected, atol=2e-6)


def as_reference(query, gallery):
    """The slow reference as a scorer, the package's defaults."""
    all_pairs = distances(Cosine(), query.features["main"], gallery.features["main"])
    return -rerank(all_pairs, len(query), 20, 6, 0.3)


@pytest.mark.parametrize("mode", ["all", "indoor"])
def test_a_protocol_scores_it_on_the_whole_gallery_of_the_trial(world, mode):
    data, raw = world.people(11, ids=12, dim=6)
    protocol = SysuMM01Protocol(mode, 2, trials=2, permutations=world.to_permutations(raw))
    given = protocol(world.to_embeddings(data), KReciprocal())
    expected = protocol(world.to_embeddings(data), as_reference)
    np.testing.assert_allclose(given.cmc, expected.cmc)
    np.testing.assert_allclose(given.mean_ap, expected.mean_ap)


def test_all_probes_come_at_once_where_a_protocol_would_split_them(world, monkeypatch):
    monkeypatch.setattr(AllPairsProtocol, "probes_at_a_time", 5)
    embeddings = world.to_embeddings(world.people(12, dim=6)[0])
    given = AllPairsProtocol("ir2rgb")(embeddings, KReciprocal())
    monkeypatch.setattr(AllPairsProtocol, "probes_at_a_time", None)
    expected = AllPairsProtocol("ir2rgb")(embeddings, as_reference)
    np.testing.assert_allclose(given.mean_ap, expected.mean_ap)


def test_it_cannot_be_taken_for_a_plain_row(world):
    assert KReciprocal().label == "main, cosine, re-ranked (k1 20, k2 6, lambda 0.3)"
    labels = {
        KReciprocal(Euclidean("shared"), 7, 3, 0.5, "published_code").label,
        *(KReciprocal(**s).label for s in ({}, {"k1": 7}, {"k2": 3}, {"lambda_": 0}, {"convention": "published_code"})),
        Cosine().label,
    }
    assert len(labels) == 7
    assert "shared, Euclidean, re-ranked (k1 7, k2 3, lambda 0.5, published code)" in labels
    data, _ = world.people(13)
    protocol = SysuMM01Protocol("all", 1, trials=1, draw="seeded")
    rows = [
        ("plain", protocol(world.to_embeddings(data))),
        ("same", protocol(world.to_embeddings(data), KReciprocal())),
    ]
    console = Console(width=300)
    with console.capture() as capture:
        console.print(results_table(rows))
    assert capture.get().count("re-ranked (k1 20, k2 6, lambda 0.3)") == 1


MEMORY = """
import resource, numpy as np
from test_reranking import embed
from crossreid.evaluation import KReciprocal
features = np.random.default_rng(0).standard_normal((10_000, 64)).astype(np.float32)
scorer, sets = KReciprocal(), (embed(features[:1000]), embed(features[1000:]))
scorer(embed(features[:50]), embed(features[50:100]))
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
scorer(*sets)
print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 2**10)
"""


@pytest.mark.slow
def test_ten_thousand_images_need_a_fraction_of_a_dense_matrix():
    from pathlib import Path

    command = [sys.executable, "-c", MEMORY]
    finished = subprocess.run(command, cwd=Path(__file__).parent, check=True, capture_output=True)
    dense = 10_000**2 * 4 / 2**20  # MiB of one float32 matrix of all pairs
    assert float(finished.stdout) < dense / 2
