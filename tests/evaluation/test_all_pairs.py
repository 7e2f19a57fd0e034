import numpy as np
import pytest
from evaluation_reference import all_pairs, euclidean

from crossreid.data.datasets import read_folder
from crossreid.errors import DataError
from crossreid.evaluation import (
    PAIRINGS,
    AllPairsProtocol,
    Euclidean,
    RegDBProtocol,
    SamePersonSameCamera,
    SysuMM01Protocol,
    intra_class_cosine_similarity,
    score_all_pairs,
)
from layouts import write_images

CAMERAS = ((1, False), (1, True), (2, False), (2, True), (3, False), (3, True))


@pytest.mark.parametrize("pairing", PAIRINGS)
@pytest.mark.parametrize("seed", range(3))
def test_folders_with_ties_equal_the_reference(world, seed, pairing):
    data = world.two_modalities(seed, CAMERAS)
    order = np.random.default_rng(seed).permutation(len(data["pids"]))
    protocol = AllPairsProtocol(pairing, "folder", SamePersonSameCamera())
    result = protocol(world.to_embeddings(data, order), Euclidean())
    query, gallery = PAIRINGS[pairing]
    reference = all_pairs(data, query == "infrared", gallery == "infrared", similarity=euclidean)
    cmc, mean_ap, mean_inp, valid = reference
    np.testing.assert_allclose(result.cmc[0], cmc, atol=1e-10)
    assert result.mean_ap[0] == pytest.approx(mean_ap, abs=1e-9)
    assert result.mean_inp[0] == pytest.approx(mean_inp, abs=1e-9)
    assert result.n_valid[0] == valid


def test_pairings_follow_from_the_modalities_that_there_are(world):
    embeddings = world.to_embeddings(world.two_modalities(0, CAMERAS))
    assert list(score_all_pairs(embeddings)) == [f"folder/pairs/{pairing}" for pairing in PAIRINGS]
    visible = embeddings.select(~embeddings.infrared)
    assert list(score_all_pairs(visible, dataset="mine")) == ["mine/pairs/rgb2rgb"]
    assert list(score_all_pairs(embeddings, pairings=["ir2rgb"])) == ["folder/pairs/ir2rgb"]
    with pytest.raises(DataError, match="no infrared images"):
        score_all_pairs(visible, pairings=["ir2rgb"])


def test_a_folder_of_one_modality_can_be_scored_within_it(tmp_path):
    from crossreid.training.scoring import as_embeddings

    names = ("c1_1.jpg", "c1_2.jpg", "c2_1.jpg", "c2_2.jpg")
    write_images(tmp_path, [f"a/{name}" for name in names] + [f"b/{name}" for name in names])
    dataset = read_folder(tmp_path, modality="visible")
    rows = dataset.rows("test")
    places = [dataset.records[row].pid - 1 for row in rows]
    one_hot = np.eye(2, dtype=np.float32)[places]
    results = score_all_pairs(as_embeddings(dataset, rows, {"main": one_hot}))
    assert list(results) == ["folder/pairs/rgb2rgb"]
    result = results["folder/pairs/rgb2rgb"]
    assert (result.n_probes, result.n_valid.tolist(), result.mean_ap.tolist()) == (8, [8], [1.0])


def test_without_cameras_a_match_within_a_modality_does_not_count_and_this_is_said(world):
    data = world.two_modalities(0, ((1, False),), present=1.0)
    with pytest.raises(
        DataError, match=r"a true match .*not counted: the same person's images from the probe's camera"
    ):
        score_all_pairs(world.to_embeddings(data))


def test_images_of_two_modalities_with_one_camera_number_are_different_images(world):
    data = {
        "features": np.array([[1.0, 0], [0, 1]], np.float32),
        "pids": np.array([1, 1]),
        "camids": np.array([5, 5]),
        "infrared": np.array([False, True]),
        "frames": np.array([0, 0]),
    }
    embeddings = world.to_embeddings(data)
    visible = embeddings.select(np.array([0]))
    infrared = embeddings.select(np.array([1]))
    assert intra_class_cosine_similarity(visible, infrared) == 0.0


@pytest.mark.parametrize(
    "protocol", [SysuMM01Protocol("all", 10, draw="seeded", trials=1), RegDBProtocol("visible_to_thermal", 1)]
)
def test_counting_identities_or_images_makes_a_difference(world, monkeypatch, protocol):
    data, _ = world.people(0, integers=True)
    right = protocol(world.to_embeddings(data))
    monkeypatch.setattr(type(protocol), "deduplicate", not protocol.deduplicate)
    wrong = protocol(world.to_embeddings(data))
    assert right.rank(5) != wrong.rank(5)
    assert right.mean_ap == wrong.mean_ap
