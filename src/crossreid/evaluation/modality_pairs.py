"""The four query/gallery modality pairings of AlignGAN's Table 1 (Wang et al., ICCV 2019), also TS-GAN's Table III.

One definition for all four, so that they can be compared: every image of the one modality queries every image of the
other (or of its own), once, without a draw; gallery images from the probe's own place do not count, which also leaves
out the probe itself; a probe without a true match left is skipped. Rank-k counts identities, as in the test.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from crossreid.errors import DataError
from crossreid.evaluation.all_pairs import PAIRINGS, AllPairsProtocol
from crossreid.evaluation.array_files import Array
from crossreid.evaluation.embeddings import Embeddings
from crossreid.evaluation.protocol import Progress
from crossreid.evaluation.removal import Removal, SameImage
from crossreid.evaluation.results import RetrievalResult
from crossreid.evaluation.scorers import Cosine, Scorer, feature_of, normalised
from crossreid.evaluation.subsets import images_of
from crossreid.evaluation.sysu import SYSU_LOCATIONS


@dataclass(frozen=True, eq=False)
class PairingScore:
    """One column of AlignGAN's Table 1.

    Attributes:
        result: retrieval scores of the pairing.
        similarity: mean intra-class cosine similarity, in [-1, 1].
    """

    result: RetrievalResult
    similarity: float


@dataclass(frozen=True)
class ReportedPair:
    """A further column that a method asks for.

    Attributes:
        pairing: one of ``PAIRINGS``.
        feature: the feature that is scored, by its cosine.
        any_camera: gallery images from the probe's own place count too, the probe itself does not.
    """

    pairing: str
    feature: str = "main"
    any_camera: bool = False


def modality_pairs(
    embeddings: Embeddings,
    scorer: Scorer | None = None,
    *,
    feature: str = "main",
    dataset: str = "sysu_mm01",
    removal: Removal = SYSU_LOCATIONS,
    progress: Progress | None = None,
) -> dict[str, PairingScore]:
    """AlignGAN's Table 1: retrieval and intra-class similarity for the four pairings, in the paper's order.

    Args:
        embeddings: images of both modalities.
        scorer: similarities for retrieval, by default the cosine of ``feature``.
        feature: the feature whose intra-class cosine similarity is taken.
        dataset: start of the keys.
        removal: which gallery images do not count in retrieval.
        progress: shows how far it is.
    """
    if scorer is None:
        scorer = Cosine(feature)
    scores = {}
    for pairing in PAIRINGS:
        protocol = AllPairsProtocol(pairing, dataset, removal)
        scores[pairing] = _pairing_score(embeddings, protocol, scorer, feature, progress)
    return scores


def possible_pairs(
    embeddings: Embeddings,
    scorer: Scorer,
    reported: Mapping[str, ReportedPair],
    *,
    dataset: str = "sysu_mm01",
    removal: Removal = SYSU_LOCATIONS,
    progress: Progress | None = None,
) -> tuple[dict[str, PairingScore], dict[str, str]]:
    """The columns of :func:`modality_pairs` and :func:`reported_pairs` that these images allow, and why others are not there.

    Within a modality that one camera took nothing is left to be found, and of a modality that is not there neither.
    The arguments are those of the two functions.
    """
    scores = {}
    left_out = {}
    columns = {pairing: ReportedPair(pairing) for pairing in PAIRINGS}
    # One by one, so that a column that cannot be had takes no other with it.
    for name, pair in {**columns, **reported}.items():
        try:
            if name in PAIRINGS:
                protocol = AllPairsProtocol(name, dataset, removal)
                scores[name] = _pairing_score(embeddings, protocol, scorer, "main", progress)
            else:
                of_one = {name: pair}
                scores |= reported_pairs(embeddings, of_one, dataset=dataset, removal=removal, progress=progress)
        except DataError as error:
            left_out[name] = str(error)
    return scores, left_out


def _pairing_score(
    embeddings: Embeddings, protocol: AllPairsProtocol, scorer: Scorer, feature: str, progress: Progress | None
) -> PairingScore:
    result = protocol(embeddings, scorer, progress)
    return PairingScore(result, _similarity_within(embeddings, protocol.pairing, feature))


def reported_pairs(
    embeddings: Embeddings,
    asked: Mapping[str, ReportedPair],
    *,
    dataset: str = "sysu_mm01",
    removal: Removal = SYSU_LOCATIONS,
    progress: Progress | None = None,
) -> dict[str, PairingScore]:
    """Further columns, by their names, which are also the ends of their protocols' keys.

    Args:
        embeddings: images of both modalities.
        asked: name -> what is scored.
        dataset: start of the keys.
        removal: which gallery images do not count, but for columns that say ``any_camera``.
        progress: shows how far it is.
    """
    scores = {}
    for name, pair in asked.items():
        # even with any camera: within a modality the probe itself is in the gallery and would be its own first match
        left_out = removal
        if pair.any_camera:
            left_out = SameImage()
        protocol = AllPairsProtocol(pair.pairing, dataset, left_out)
        protocol.key = f"{dataset}/pairs/{name}"
        result = protocol(embeddings, Cosine(pair.feature), progress)
        scores[name] = PairingScore(result, _similarity_within(embeddings, pair.pairing, pair.feature))
    return scores


def _similarity_within(embeddings: Embeddings, pairing: str, feature: str) -> float:
    """Intra-class similarity over all images of the two modalities."""
    query_modality, gallery_modality = PAIRINGS[pairing]
    query = embeddings.select(images_of(embeddings, query_modality))
    gallery = embeddings.select(images_of(embeddings, gallery_modality))
    return intra_class_cosine_similarity(query, gallery, feature)


def intra_class_cosine_similarity(query: Embeddings, gallery: Embeddings, feature: str = "main") -> float:
    """Mean cosine similarity over all pairs of different images, one from each set, that show the same person.

    The sum over pairs of one person is the product of two sums of unit features, so no (Q, G) matrix is made. An
    image is the same in both sets where person, camera and frame agree: such pairs are left out.

    Raises:
        DataError: the two sets share no person in different images.
    """
    unit_q = normalised(feature_of(query, feature))  # (Q, D)
    unit_g = normalised(feature_of(gallery, feature))  # (G, D)
    people = np.union1d(query.pids, gallery.pids)  # (P,)
    person_q = np.searchsorted(people, query.pids)
    person_g = np.searchsorted(people, gallery.pids)
    sum_q = _sum_by_person(unit_q, person_q, len(people))
    sum_g = _sum_by_person(unit_g, person_g, len(people))
    images_q = np.bincount(person_q, minlength=len(people))
    images_g = np.bincount(person_g, minlength=len(people))

    same_q, same_g = _same_images(query, gallery)
    pairs = int(images_q @ images_g) - len(same_q)
    if pairs < 1:
        raise DataError("The two sets share no person in different images: there is no intra-class similarity.")
    # The sum over pairs (q, g) of one person of u_q . u_g is (sum of u_q) . (sum of u_g), summed over persons.
    similarity_of_all = (sum_q * sum_g).sum()
    similarity_of_same = (unit_q[same_q] * unit_g[same_g]).sum()
    return float(similarity_of_all - similarity_of_same) / pairs


def _sum_by_person(unit: Array, person: Array, count: int) -> Array:
    """(P, D) sums of the unit features (N, D) of each person."""
    total = np.zeros((count, unit.shape[1]))
    # add.at counts an index that comes again; `total[person] += unit` would not
    np.add.at(total, person, unit)
    return total


def _same_images(query: Embeddings, gallery: Embeddings) -> tuple[Array, Array]:
    """Where images that are in both sets stand in the one and in the other, (S,) each."""
    images = np.concatenate([_image_keys(query), _image_keys(gallery)])
    # one number for each different image, so that the two sets can be intersected
    _, numbers = np.unique(images, axis=0, return_inverse=True)
    numbers = numbers.reshape(-1)
    in_both = np.intersect1d(numbers[: len(query)], numbers[len(query) :], return_indices=True)
    return in_both[1], in_both[2]


def _image_keys(part: Embeddings) -> Array:
    """(N, 4) what tells one image from another."""
    return np.stack([part.pids, part.camids, part.infrared, part.frames], axis=1)
