"""Every image of one modality queries every image of the other, or of its own: folders, and single modalities.

Nothing is drawn, so there is one trial. Within a modality the rule of what does not count must leave out the probe
itself: images from the probe's place (SYSU-MM01), or of the probe's person from the probe's camera
(:class:`SamePersonSameCamera`, for folders and as in Market-1501). A probe without a true match left is skipped.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar

from crossreid.data.records import Modality
from crossreid.errors import ConfigError
from crossreid.evaluation.array_files import Array
from crossreid.evaluation.embeddings import Embeddings
from crossreid.evaluation.protocol import Progress, RetrievalProtocol
from crossreid.evaluation.removal import Removal, SamePersonSameCamera
from crossreid.evaluation.results import ProtocolLabels, RetrievalResult
from crossreid.evaluation.scorers import Scorer
from crossreid.evaluation.subsets import images_of, may_be_found, may_query
from crossreid.evaluation.sysu import SYSU_LOCATIONS

PAIRINGS: Mapping[str, tuple[Modality, Modality]] = {
    "rgb2rgb": ("visible", "visible"),
    "ir2ir": ("infrared", "infrared"),
    "ir2rgb": ("infrared", "visible"),
    "rgb2ir": ("visible", "infrared"),
}
"""Name -> (query, gallery), in the order of the paper's table."""


class AllPairsProtocol(RetrievalProtocol):
    """Every image of one modality queries every image of one modality, one trial, nothing drawn.

    The scorer gets 1024 probes at a time, unless it says that it is ``transductive`` or wants the ``whole``.

    Args:
        pairing: ``rgb2rgb``, ``ir2ir``, ``ir2rgb`` or ``rgb2ir``.
        dataset: start of the key.
        removal: which gallery images do not count; it must leave out the probe itself.
        fixed: images that are there to query are the probes, and those to be found the gallery (as Market-1501 keeps
            ``query`` and ``bounding_box_test`` apart); the key is then ``all/fixed/rgb2rgb``. Else every image is both,
            but for distractors, which never query.
    """

    probes_at_a_time: ClassVar[int | None] = 1024

    def __init__(
        self, pairing: str, dataset: str = "sysu_mm01", removal: Removal = SYSU_LOCATIONS, *, fixed: bool = False
    ) -> None:
        if pairing not in PAIRINGS:
            raise ConfigError(f"The modality pairings are {', '.join(PAIRINGS)}, not {pairing!r}.")
        kind = "pairs"
        if fixed:
            kind = "fixed"
        super().__init__(f"{dataset}/{kind}/{pairing}", 1, removal)
        self.pairing = pairing
        self.fixed = fixed
        self.query_modality, self.gallery_modality = PAIRINGS[pairing]

    def queries(self, embeddings: Embeddings, trial: int = 0) -> Array:
        """(Q,) all images of the query modality that may query, by camera, identity and frame."""
        return images_of(embeddings, self.query_modality, among=may_query(embeddings, fixed=self.fixed))

    def gallery(self, embeddings: Embeddings, trial: int) -> Array:
        """(G,) all images of the gallery modality that may be found, by camera, identity and frame."""
        return images_of(embeddings, self.gallery_modality, among=may_be_found(embeddings, fixed=self.fixed))

    def labels(self, scorer: Scorer) -> ProtocolLabels:
        """The pairing as mode; all images, no draw."""
        draw = "none"
        if self.fixed:
            draw = "fixed queries"
        return self.labels_of(scorer, mode=self.pairing, shots="all", draw=draw)


def score_all_pairs(
    embeddings: Embeddings,
    *,
    dataset: str = "folder",
    pairings: Sequence[str] | None = None,
    removal: Removal | None = None,
    scorer: Scorer | None = None,
    progress: Progress | None = None,
) -> dict[str, RetrievalResult]:
    """Score embeddings in the asked pairings; results by key: ``folder/pairs/rgb2rgb`` and so on.

    Args:
        embeddings: images of one modality or both.
        dataset: start of the keys.
        pairings: which; None takes those whose modalities there are.
        removal: which gallery images do not count; by default the same person's images from the probe's camera.
        scorer: similarities, by default the cosine of ``main``.
        progress: shows how far it is.
    """
    if pairings is None:
        modalities = set(embeddings.modalities)
        pairings = []
        for name, pair in PAIRINGS.items():
            if modalities.issuperset(pair):
                pairings.append(name)
    if removal is None:
        removal = SamePersonSameCamera()
    results = {}
    for pairing in pairings:
        protocol = AllPairsProtocol(pairing, dataset, removal)
        results[protocol.key] = protocol(embeddings, scorer, progress)
    return results
