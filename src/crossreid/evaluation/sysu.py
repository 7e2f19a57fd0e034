"""The SYSU-MM01 protocol (Wu et al., ICCV 2017), its validation split, and the four settings that papers print.

Cameras 1, 2, 4, 5 are visible, 3 and 6 near-infrared; cameras 2 and 3 look at one room. Probes are all images of
cameras 3 and 6, the gallery is drawn ten times from cameras 1, 2, 4, 5 (all) or 1, 2 (indoor). Location labels of the
cameras are [1 2 2 4 5 6]: a probe of camera 3 loses all gallery images of camera 2.
"""

from __future__ import annotations

from collections.abc import Sequence

from crossreid.errors import ConfigError
from crossreid.evaluation.draws import GalleryPermutations
from crossreid.evaluation.embeddings import Embeddings
from crossreid.evaluation.protocol import Progress, compare_once
from crossreid.evaluation.removal import SameLocation
from crossreid.evaluation.results import RetrievalResult
from crossreid.evaluation.sampled import DrawName, SampledGalleryProtocol
from crossreid.evaluation.scorers import Cosine, Scorer

PROBE_CAMERAS = (3, 6)
GALLERY_CAMERAS = {"all": (1, 2, 4, 5), "indoor": (1, 2)}
SYSU_LOCATIONS = SameLocation({3: 2})


class SysuMM01Protocol(SampledGalleryProtocol):
    """The official test: 96 ids, 3803 probes, a gallery of 301 / 3010 (all) or 112 / 1120 (indoor) images.

    Args:
        mode: ``all`` or ``indoor``.
        shots: gallery images a person and camera: 1 (``single``), 10 (``multi``) or any other number.
        trials: galleries drawn, 10 in the literature.
        draw: ``official`` (needs ``permutations``) or ``seeded`` (AGW's).
        permutations: the dataset authors' rand_perm_cam.mat, read.
        test_ids: identities to score; None takes all that the embeddings have.
    """

    def __init__(
        self,
        mode: str = "all",
        shots: int = 1,
        *,
        trials: int = 10,
        draw: DrawName = "official",
        permutations: GalleryPermutations | None = None,
        test_ids: Sequence[int] | None = None,
    ) -> None:
        if mode not in GALLERY_CAMERAS:
            raise ConfigError(f"SYSU-MM01 has the modes {' and '.join(GALLERY_CAMERAS)}, not {mode!r}.")
        super().__init__(
            name=f"sysu_mm01/{mode}",
            query_cameras=PROBE_CAMERAS,
            gallery_cameras=GALLERY_CAMERAS[mode],
            removal=SYSU_LOCATIONS,
            shots=shots,
            trials=trials,
            draw=draw,
            permutations=permutations,
            test_ids=test_ids,
        )


class ValidationProtocol(SampledGalleryProtocol):
    """Model selection on the 99 validation ids, never on the test gallery.

    They exist in cameras 3, 4 and 5 only: 1,980 probes of camera 3, one image a person and camera of 4 and 5 as
    gallery (99 + 96). No two of these cameras share a place, so nothing is removed.
    """

    def __init__(
        self,
        shots: int = 1,
        *,
        trials: int = 10,
        draw: DrawName = "official",
        permutations: GalleryPermutations | None = None,
        test_ids: Sequence[int] | None = None,
    ) -> None:
        super().__init__(
            name="sysu_mm01/val",
            query_cameras=(3,),
            gallery_cameras=(4, 5),
            removal=SYSU_LOCATIONS,
            shots=shots,
            trials=trials,
            draw=draw,
            permutations=permutations,
            test_ids=test_ids,
        )


def score_sysu(
    embeddings: Embeddings,
    *,
    permutations: GalleryPermutations | None = None,
    draw: DrawName = "official",
    modes: Sequence[str] = ("all", "indoor"),
    shots: Sequence[int] = (1, 10),
    trials: int = 10,
    scorer: Scorer | None = None,
    test_ids: Sequence[int] | None = None,
    progress: Progress | None = None,
) -> dict[str, RetrievalResult]:
    """Score embeddings in every asked setting; results by key: ``sysu_mm01/all/single`` and so on."""
    if scorer is None:
        scorer = Cosine()
    protocols = []
    for mode in modes:
        for count in shots:
            protocols.append(
                SysuMM01Protocol(mode, count, trials=trials, draw=draw, permutations=permutations, test_ids=test_ids)
            )
    compared = compare_once(embeddings, scorer, protocols)
    results = {}
    for protocol in protocols:
        results[protocol.key] = protocol(embeddings, scorer, progress, compared)
    return results
