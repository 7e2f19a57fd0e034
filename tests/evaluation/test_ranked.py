import numpy as np
import pytest

from crossreid.errors import DataError
from crossreid.evaluation import AllPairsProtocol, Cosine, SysuMM01Protocol, ranked_list, score_probes


def test_lists_are_those_that_the_protocol_scores(world):
    data, raw = world.people(3, ids=10, present=0.9)
    embeddings = world.to_embeddings(data, np.random.default_rng(0).permutation(len(data["pids"])))
    protocol = SysuMM01Protocol(trials=2, permutations=world.to_permutations(raw))
    places = protocol.gallery(embeddings, 1)
    lists = ranked_list(embeddings, protocol, trial=1, k=200)
    probes, gallery = embeddings.select(lists.queries), embeddings.select(places)
    removed = protocol.removal(probes, gallery)
    scores = score_probes(Cosine()(probes, gallery), probes.pids, gallery.pids, removed, deduplicate=False)
    np.testing.assert_array_equal(lists.valid, scores.valid)
    first = np.where(lists.valid, lists.correct.argmax(axis=1) + 1, 0)
    np.testing.assert_array_equal(first, scores.first_rank)
    for n, probe in enumerate(lists.queries):
        listed = lists.indices[n][lists.indices[n] >= 0]
        assert len(listed) == (~removed[n]).sum()
        assert set(listed.tolist()) <= set(places.tolist())
        if embeddings.camids[probe] == 3:
            assert 2 not in embeddings.camids[listed]
        np.testing.assert_array_equal(
            lists.correct[n][: len(listed)], embeddings.pids[listed] == embeddings.pids[probe]
        )
        assert (np.diff(lists.similarity[n][: len(listed)]) <= 0).all()
        assert np.isnan(lists.similarity[n][len(listed) :]).all()
        assert not lists.correct[n][len(listed) :].any()


def test_a_few_probes_give_the_same_lists_as_all(world):
    data, _ = world.people(2, ids=10, present=0.9)
    embeddings = world.to_embeddings(data)
    protocol = SysuMM01Protocol(draw="seeded")
    every = ranked_list(embeddings, protocol, k=4)
    some = every.queries[[5, 0, 9]]

    class Transductive:
        transductive = True

        def __call__(self, query, gallery):
            assert len(query) == len(every.queries)
            return Cosine()(query, gallery)

    for scorer in (Cosine(), Transductive()):
        lists = ranked_list(embeddings, protocol, scorer, queries=some, k=4)
        assert lists.queries.tolist() == some.tolist()
        assert lists.indices.shape == (3, 4)
        np.testing.assert_array_equal(lists.indices, every.indices[[5, 0, 9]])
        np.testing.assert_array_equal(lists.correct, every.correct[[5, 0, 9]])


def test_within_a_modality_the_probe_is_not_in_its_list(world):
    embeddings = world.to_embeddings(world.people(1)[0])
    lists = ranked_list(embeddings, AllPairsProtocol("ir2ir"), k=3)
    assert not (lists.indices == lists.queries[:, None]).any()


def test_an_image_that_is_no_probe_is_named(world):
    embeddings = world.to_embeddings(world.people(1)[0])
    visible = int(np.flatnonzero(~embeddings.infrared)[0])
    with pytest.raises(DataError, match=f"Image {visible} of the embeddings is no probe"):
        ranked_list(embeddings, SysuMM01Protocol(draw="seeded"), queries=[visible])
