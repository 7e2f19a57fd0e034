import numpy as np
import pytest
from evaluation_reference import cosine, euclidean

from crossreid.errors import DataError
from crossreid.evaluation import Cosine, Embeddings, Euclidean
from crossreid.evaluation.scorers import normalised, scorer_label


def embed(features, name="main"):
    n = len(features)
    zeros = np.zeros(n, int)
    return Embeddings({"main": features, name: features}, zeros, zeros + 1, zeros > 0, np.arange(n), zeros, ("",) * n)


def random_features(rng, n, dim=16, scale=1.0, offset=0.0):
    return (rng.standard_normal((n, dim)) * scale + offset).astype(np.float32)


def test_cosine_is_that_of_the_reference():
    rng = np.random.default_rng(0)
    q, g = random_features(rng, 9), random_features(rng, 11, scale=50)
    np.testing.assert_allclose(Cosine()(embed(q), embed(g)), cosine(q, g), atol=1e-10)


def test_cosine_survives_zeros_and_extreme_lengths():
    features = np.array([[0, 0], [1e-30, 0], [1e30, 1e30]], np.float32)
    expected = np.array([[0, 0, 0], [0, 1, 0.5**0.5], [0, 0.5**0.5, 1]])
    np.testing.assert_allclose(Cosine()(embed(features), embed(features)), expected, atol=1e-10)
    np.testing.assert_allclose(np.linalg.norm(normalised(features), axis=1), [0, 1, 1])


@pytest.mark.parametrize(
    ("scale", "offset"), [(1, 0), (1e-3, 0), (1e3, 0), (1e-2, 1e3), (1, 1e5)], ids=lambda value: f"{value:g}"
)
def test_euclidean_ranks_are_those_of_exact_distances_in_float64(scale, offset):
    rng = np.random.default_rng(1)
    q = random_features(rng, 40, 32, scale, offset)
    g = random_features(rng, 60, 32, scale, offset)
    expected = euclidean(q, g)
    given = Euclidean()(embed(q), embed(g))
    np.testing.assert_array_equal(np.argsort(-given, kind="stable"), np.argsort(-expected, kind="stable"))
    np.testing.assert_allclose(given, expected, rtol=1e-7)


def test_euclidean_takes_features_as_they_are():
    q, g = np.array([[1.0, 0.0]], np.float32), np.array([[100.0, 0.0], [0.0, 1.0]], np.float32)
    np.testing.assert_allclose(Euclidean()(embed(q), embed(g)), [[-99, -(2**0.5)]], rtol=1e-9)
    assert np.argmax(Cosine()(embed(q), embed(g))) == 0


@pytest.mark.parametrize("scorer", [Cosine(), Euclidean()])
def test_equal_features_tie_exactly_wherever_they_stand(scorer):
    rng = np.random.default_rng(2)
    distinct = random_features(rng, 5, 2048)
    gallery = np.repeat(distinct, 41, axis=0)[rng.permutation(205)]
    scores = scorer(embed(random_features(rng, 37, 2048)), embed(gallery))
    for row in scores:
        assert len(np.unique(row)) == 5


def test_a_scorer_names_its_feature_and_says_when_it_is_missing():
    assert Cosine("shared").label == "shared, cosine"
    assert Euclidean().label == "main, Euclidean"
    assert scorer_label(lambda q, g: q) == "<lambda>"
    thing = embed(np.ones((2, 3), np.float32), "shared")
    assert Cosine("shared")(thing, thing).shape == (2, 2)
    with pytest.raises(DataError, match="no feature 'specific', only main, shared"):
        Cosine("specific")(thing, thing)
