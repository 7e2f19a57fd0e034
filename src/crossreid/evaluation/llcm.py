"""The LLCM protocol (Zhang and Wang, CVPR 2023), in both readings of which side is drawn.

As it is described, all test images of one modality query a gallery of one image of each person in each camera of the
other, drawn ten times (``random.seed(trial)``, over sorted ids, then cameras, then sorted files): 484 visible or 619
infrared images. Gallery images of the probe's person from the probe's camera do not count; a camera number stands for a
visible and an infrared camera. Rank-k counts identities.

The published numbers of "VIS -> IR", however, fit the roles the other way round: the drawn infrared images query all
visible ones. So there are two values of ``roles``, here for ``visible_to_infrared``:

* ``sampled_gallery``: 8,680 visible probes, a drawn gallery of 619 infrared images; as described, the default;
* ``sampled_query``: the same two sets with their roles swapped: 619 drawn infrared probes, a gallery of 8,680 visible
  images.

Compare numbers only where the roles are the same; keys and tables name them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from crossreid.data.records import Modality
from crossreid.errors import ConfigError, DataError
from crossreid.evaluation.draws import seeded_draw
from crossreid.evaluation.embeddings import Array, Embeddings
from crossreid.evaluation.protocol import Progress, RetrievalProtocol
from crossreid.evaluation.removal import SamePersonSameCamera
from crossreid.evaluation.results import ProtocolLabels, RetrievalResult
from crossreid.evaluation.scorers import Scorer, scorer_inference, scorer_label
from crossreid.evaluation.subsets import images_by_person

LLCM_DIRECTIONS: Mapping[str, tuple[Modality, Modality]] = {
    "visible_to_infrared": ("visible", "infrared"),
    "infrared_to_visible": ("infrared", "visible"),
}
"""Name -> (the modality taken whole, the modality that is drawn)."""

LLCM_ROLES = ("sampled_gallery", "sampled_query")


class LLCMProtocol(RetrievalProtocol):
    """One direction of LLCM in one reading; the key is for example ``llcm/visible_to_infrared/sampled_gallery``.

    Args:
        direction: ``visible_to_infrared`` or ``infrared_to_visible``.
        roles: ``sampled_gallery`` or ``sampled_query``; see the module.
        trials: times that images are drawn, 10 in the literature.
        test_ids: identities to score; None takes all that the embeddings have.
        dataset: start of the key.

    Raises:
        ConfigError: an unknown direction or reading, or trials below 1.
    """

    def __init__(
        self,
        direction: str,
        roles: str = "sampled_gallery",
        *,
        trials: int = 10,
        test_ids: Sequence[int] | None = None,
        dataset: str = "llcm",
    ) -> None:
        if direction not in LLCM_DIRECTIONS:
            raise ConfigError(f"The directions of LLCM are {' and '.join(LLCM_DIRECTIONS)}, not {direction!r}.")
        if roles not in LLCM_ROLES:
            raise ConfigError(f"The roles in LLCM's protocol are {' or '.join(LLCM_ROLES)}, not {roles!r}.")
        super().__init__(f"{dataset}/{direction}/{roles}", trials, SamePersonSameCamera())
        self.direction, self.roles = direction, roles
        self.whole_modality, self.drawn_modality = LLCM_DIRECTIONS[direction]
        self.test_ids = None if test_ids is None else tuple(int(pid) for pid in test_ids)

    def queries(self, embeddings: Embeddings, trial: int = 0) -> Array:
        """(Q,) the probes, by identity and camera; those of a trial where they are drawn."""
        return self._drawn(embeddings, trial) if self.roles == "sampled_query" else self._whole(embeddings)

    def gallery(self, embeddings: Embeddings, trial: int) -> Array:
        """(G,) the gallery, by identity and camera; that of a trial where it is drawn."""
        return self._whole(embeddings) if self.roles == "sampled_query" else self._drawn(embeddings, trial)

    def labels(self, scorer: Scorer) -> ProtocolLabels:
        """How results are to be labelled."""
        return ProtocolLabels(
            mode=f"{self.direction}, {self.roles}",
            shots="all" if self.roles == "sampled_query" else "1",
            draw="seeded",
            exclusion=self.removal.label,
            ranks="identities" if self.deduplicate else "images",
            feature=scorer_label(scorer),
            inference=scorer_inference(scorer),
        )

    def _whole(self, embeddings: Embeddings) -> Array:
        """All images of the modality that is taken whole."""
        people = self._people(embeddings, self.whole_modality)
        return np.concatenate([places for _, places in people])

    def _drawn(self, embeddings: Embeddings, trial: int) -> Array:
        """One image of each person in each camera of the modality that is drawn."""
        people = self._people(embeddings, self.drawn_modality)
        chosen = seeded_draw({person: len(places) for person, places in people}, trial, 1)
        return np.concatenate([places[chosen[person]] for person, places in people])

    def _people(self, embeddings: Embeddings, modality: Modality) -> list[tuple[tuple[int, int], Array]]:
        """((camera, pid), places) in the order identity, camera."""
        people = images_by_person(embeddings, None, self.test_ids, modality)
        if not people:
            raise DataError(f"{self.key}: there are no {modality} images among the embeddings.")
        return sorted(people.items(), key=lambda item: (item[0][1], item[0][0]))


def score_llcm(
    embeddings: Embeddings,
    *,
    directions: Sequence[str] = tuple(LLCM_DIRECTIONS),
    roles: Sequence[str] = LLCM_ROLES,
    trials: int = 10,
    scorer: Scorer | None = None,
    test_ids: Sequence[int] | None = None,
    dataset: str = "llcm",
    progress: Progress | None = None,
) -> dict[str, RetrievalResult]:
    """Score embeddings in the asked directions and readings; results by key."""
    results = {}
    for direction in directions:
        for reading in roles:
            protocol = LLCMProtocol(direction, reading, trials=trials, test_ids=test_ids, dataset=dataset)
            results[protocol.key] = protocol(embeddings, scorer, progress)
    return results
