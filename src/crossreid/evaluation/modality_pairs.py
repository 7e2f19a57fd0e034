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
from crossreid.evaluation.embeddings import Array, Embeddings
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
    scorer = Cosine(feature) if scorer is None else scorer
    scores = {}
    for pairing in PAIRINGS:
        result = AllPairsProtocol(pairing, dataset, removal)(embeddings, scorer, progress)
        scores[pairing] = PairingScore(result, _similarity_within(embeddings, pairing, feature))
    return scores


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
        protocol = AllPairsProtocol(pair.pairing, dataset, SameImage() if pair.any_camera else removal)
        protocol.key = f"{dataset}/pairs/{name}"
        result = protocol(embeddings, Cosine(pair.feature), progress)
        scores[name] = PairingScore(result, _similarity_within(embeddings, pair.pairing, pair.feature))
    return scores


def _similarity_within(embeddings: Embeddings, pairing: str, feature: str) -> float:
    query, gallery = (embeddings.select(images_of(embeddings, modality)) for modality in PAIRINGS[pairing])
    return intra_class_cosine_similarity(query, gallery, feature)


def intra_class_cosine_similarity(query: Embeddings, gallery: Embeddings, feature: str = "main") -> float:
    """Mean cosine similarity over all pairs of different images, one from each set, that show the same person.

    The sum over pairs of one person is the product of two sums of unit features, so no (Q, G) matrix is made. An
    image is the same in both sets where person, camera and frame agree: such pairs are left out.

    Raises:
        DataError: the two sets share no person in different images.
    """
    unit_q, unit_g = (normalised(feature_of(part, feature)) for part in (query, gallery))
    people = np.union1d(query.pids, gallery.pids)
    sums, counts = [], []
    for unit, pids in ((unit_q, query.pids), (unit_g, gallery.pids)):
        person = np.searchsorted(people, pids)
        total = np.zeros((len(people), unit.shape[1]))
        np.add.at(total, person, unit)
        sums.append(total)
        counts.append(np.bincount(person, minlength=len(people)))
    same_q, same_g = _same_images(query, gallery)
    pairs = int(counts[0] @ counts[1]) - len(same_q)
    if pairs < 1:
        raise DataError("The two sets share no person in different images: there is no intra-class similarity.")
    alike = float((sums[0] * sums[1]).sum() - (unit_q[same_q] * unit_g[same_g]).sum())
    return alike / pairs


def _same_images(query: Embeddings, gallery: Embeddings) -> tuple[Array, Array]:
    keys = [np.stack([part.pids, part.camids, part.infrared, part.frames], axis=1) for part in (query, gallery)]
    codes = np.unique(np.concatenate(keys), axis=0, return_inverse=True)[1].reshape(-1)
    _, in_query, in_gallery = np.intersect1d(codes[: len(query)], codes[len(query) :], return_indices=True)
    return in_query, in_gallery
