"""Scorers of cm-SSFT on embeddings: against explicit graphs, by size of the group, and what they refuse."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from crossreid.errors import NotScoredError
from crossreid.evaluation import Embeddings, SysuMM01Protocol
from crossreid.evaluation.scorers import scorer_label
from crossreid.methods.cmssft.affinity import dense_affinities, propagate
from crossreid.methods.cmssft.networks import TransferNetwork
from crossreid.methods.cmssft.scoring import Transfer

DIM, K = 6, 4


@pytest.fixture(params=["bnneck", "fc", "none"])
def network(request: pytest.FixtureRequest) -> TransferNetwork:
    torch.manual_seed(0)
    net = TransferNetwork(DIM, 8, 3, segments=["shared", "specific"], k=K, neck=request.param, neck_dim=5)
    if request.param == "bnneck":  # as after training
        torch.nn.init.uniform_(net.block.neck.weight, -0.5, 2.0)
        torch.nn.init.uniform_(net.block.neck.running_mean, 0.0, 0.5)
    return net


def images(count: int, *, infrared: bool, seed: int) -> Embeddings:
    """Random unit features with lengths, of 4 people."""
    rng = np.random.default_rng(seed)
    unit = {name: rng.normal(size=(count, DIM)).astype(np.float32) for name in ("main", "specific")}
    features = {name: f / np.linalg.norm(f, axis=1, keepdims=True) for name, f in unit.items()}
    features["lengths"] = rng.uniform(0.5, 3, (count, 2)).astype(np.float32)
    rows = np.arange(count) + 1000 * infrared
    camids = np.where(np.arange(count) % 2, 6, 3) if infrared else np.array([1, 2, 4, 5])[np.arange(count) % 4]
    return Embeddings(features, np.arange(count) % 4, camids, np.full(count, infrared), rows, rows, ("",) * count)


QUERIES, GALLERY = images(13, infrared=True, seed=1), images(10, infrared=False, seed=2)


def full(part: Embeddings) -> tuple[torch.Tensor, torch.Tensor]:
    """Features at full length, shared and specific."""
    f = {name: torch.from_numpy(value).double() for name, value in part.features.items()}
    return f["main"] * f["lengths"][:, :1], f["specific"] * f["lengths"][:, 1:]


def explicit(network: TransferNetwork, queries: Embeddings, gallery: Embeddings) -> np.ndarray:
    """Cosine of T on the dense graph of gallery and queries."""
    network = network.double().eval()
    visible, infrared = full(gallery), full(queries)
    with torch.no_grad():
        projected = [network.project(*visible, "visible"), network.project(*infrared, "infrared")]
        spread = F.relu(propagate(dense_affinities(visible, infrared, K), torch.cat(projected)))
        t = F.normalize(network.block.features(spread), dim=1)
    network.float()
    return (t[len(gallery) :] @ t[: len(gallery)].T).numpy()


@pytest.mark.parametrize("chunk", [3, 1000])
def test_all_queries_are_one_pass_over_the_union(network: TransferNetwork, chunk: int) -> None:
    given = Transfer(network, group=None, chunk=chunk)(QUERIES, GALLERY)
    np.testing.assert_allclose(given, explicit(network, QUERIES, GALLERY), atol=1e-6)  # units are float32


def test_a_group_as_large_as_the_set_is_all_queries(network: TransferNetwork) -> None:
    everyone = Transfer(network, group=None)(QUERIES, GALLERY)
    for size in (13, 500):
        np.testing.assert_allclose(Transfer(network, group=size)(QUERIES, GALLERY), everyone, atol=1e-10)


@pytest.mark.parametrize("memory", [1, 20, 1 << 23])
def test_a_single_query_s_scores_are_those_of_its_own_graph(
    network: TransferNetwork, memory: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("crossreid.methods.cmssft.single_queries._QUERIES", 5)
    together = Transfer(network, group=1, memory=memory)(QUERIES, GALLERY)
    for i in range(len(QUERIES)):  # Eq. 8 of one query is Eq. 22
        alone = Transfer(network, group=None)(QUERIES.select(slice(i, i + 1)), GALLERY)[0]
        np.testing.assert_allclose(alone, together[i], atol=1e-6)
    assert not np.allclose(together, Transfer(network, group=None)(QUERIES, GALLERY), atol=1e-3)


@pytest.mark.parametrize("size", [2, 4, 5, 12])
def test_every_query_is_scored_in_a_group_of_the_size_asked_for(network: TransferNetwork, size: int) -> None:
    scorer = Transfer(network, group=size)
    groups = scorer._groups(len(QUERIES), GALLERY)
    assert {len(places) for places in groups} == {size}
    assert set(torch.cat(groups).tolist()) == set(range(len(QUERIES)))
    given = scorer(QUERIES, GALLERY)
    places = groups[-1]  # its scores stand, whoever was scored before
    if size >= K:
        expected = explicit(network, QUERIES.select(places.numpy()), GALLERY)
        np.testing.assert_allclose(given[places.numpy()], expected, atol=1e-6)


def test_groups_depend_on_seed_and_gallery_and_on_nothing_else(network: TransferNetwork) -> None:
    def first(seed: int, gallery: Embeddings) -> list[int]:
        return Transfer(network, group=5, seed=seed)._groups(13, gallery)[0].tolist()

    assert first(0, GALLERY) == first(0, GALLERY)
    assert first(0, GALLERY) != first(1, GALLERY)
    assert first(0, GALLERY) != first(0, GALLERY.select(slice(0, 9)))


def test_the_roles_of_the_modalities_may_be_swapped(network: TransferNetwork) -> None:
    given = Transfer(network, group=None)(GALLERY, QUERIES)
    np.testing.assert_allclose(given, explicit(network, QUERIES, GALLERY).T, atol=1e-6)


def test_images_given_twice_score_finite(network: TransferNetwork) -> None:
    twice = QUERIES.select(np.repeat(np.arange(3), 5))
    for group in (None, 1, 4):
        assert np.isfinite(Transfer(network, group=group)(twice, GALLERY.select(np.zeros(6, int)))).all()


def test_only_a_single_query_is_not_transductive_and_tables_say_so(network: TransferNetwork) -> None:
    scorers = {group: Transfer(network, group=group) for group in (1, 7, None)}
    assert [s.transductive for s in scorers.values()] == [False, True, True]
    assert [scorer_label(s) for s in scorers.values()] == [
        "transferred, single query",
        "transferred, groups of 7 queries (transductive)",
        "transferred, all queries (transductive)",
    ]


def test_a_protocol_scores_it(network: TransferNetwork) -> None:
    pids, camids = (np.concatenate([getattr(e, name) for e in (QUERIES, GALLERY)]) for name in ("pids", "camids"))
    features = {name: np.concatenate([QUERIES.features[name], GALLERY.features[name]]) for name in QUERIES.features}
    frames = np.array([np.sum((pids[:i] == pids[i]) & (camids[:i] == camids[i])) for i in range(23)])
    embeddings = Embeddings(features, pids, camids, np.arange(23) < 13, frames, np.arange(23), ("",) * 23)
    protocol = SysuMM01Protocol("all", 1, trials=2, draw="seeded")
    result = protocol(embeddings, Transfer(network, group=None))
    assert result.labels.feature == "transferred, all queries (transductive)"
    assert np.isfinite(result.mean_ap).all()


def test_later_training_does_not_change_a_scorer(network: TransferNetwork) -> None:
    scorer = Transfer(network, group=None)
    before = scorer(QUERIES, GALLERY)
    for parameter in network.parameters():
        torch.nn.init.normal_(parameter)
    np.testing.assert_array_equal(scorer(QUERIES, GALLERY), before)


def test_what_it_cannot_or_should_not_do_is_said_in_one_sentence(network: TransferNetwork) -> None:
    with pytest.raises(NotScoredError, match="between a visible and an infrared set"):
        Transfer(network, group=None)(QUERIES, QUERIES)
    mixed = Embeddings(
        QUERIES.features, QUERIES.pids, QUERIES.camids, np.arange(13) < 4, QUERIES.frames, QUERIES.rows, [""] * 13
    )
    with pytest.raises(NotScoredError, match="one modality"):
        Transfer(network, group=1)(mixed, GALLERY)
    with pytest.raises(NotScoredError, match="13 queries and 10 gallery images"):
        Transfer(network, group=1, most_pairs=129)(QUERIES, GALLERY)
    assert Transfer(network, group=1, most_pairs=130)(QUERIES, GALLERY).shape == (13, 10)
    assert Transfer(network, group=None, most_pairs=1)(QUERIES, GALLERY).shape == (13, 10)
    with pytest.raises(ValueError, match="at least one query"):
        Transfer(network, group=0)
