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
from crossreid.evaluation.array_files import Array
from crossreid.evaluation.draws import draw_images, identity_first, seeded_draw
from crossreid.evaluation.embeddings import Embeddings
from crossreid.evaluation.protocol import Progress, RetrievalProtocol
from crossreid.evaluation.removal import SamePersonSameCamera
from crossreid.evaluation.results import ProtocolLabels, RetrievalResult
from crossreid.evaluation.scorers import Scorer
from crossreid.evaluation.subsets import (
    PersonInCamera,
    as_ids,
    images_by_person,
    may_be_found,
    may_query,
    refuse_one_draw,
)

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
        self.direction = direction
        self.roles = roles
        self.whole_modality, self.drawn_modality = LLCM_DIRECTIONS[direction]
        self.test_ids = as_ids(test_ids)

    def check(self, embeddings: Embeddings) -> None:
        """The side that is drawn is not drawn yet."""
        super().check(embeddings)
        refuse_one_draw(self.key, embeddings, self._people(embeddings, self.drawn_modality, may_be_found(embeddings)))

    def queries(self, embeddings: Embeddings, trial: int = 0) -> Array:
        """(Q,) the probes, by identity and camera; those of a trial where they are drawn."""
        if self.roles == "sampled_query":
            return self._sample(embeddings, trial, may_query(embeddings))
        return self._all_images(embeddings, may_query(embeddings))

    def gallery(self, embeddings: Embeddings, trial: int) -> Array:
        """(G,) the gallery, by identity and camera; that of a trial where it is drawn."""
        if self.roles == "sampled_query":
            return self._all_images(embeddings, may_be_found(embeddings))
        return self._sample(embeddings, trial, may_be_found(embeddings))

    def labels(self, scorer: Scorer) -> ProtocolLabels:
        """Direction and reading as mode; shots are those of the gallery."""
        shots = "1"
        if self.roles == "sampled_query":
            shots = "all"
        return self.labels_of(scorer, mode=f"{self.direction}, {self.roles}", shots=shots, draw="seeded")

    def _all_images(self, embeddings: Embeddings, among: Array) -> Array:
        """Every image of the modality that is taken whole, among those of a mask (N,)."""
        people = self._people(embeddings, self.whole_modality, among)
        return np.concatenate(list(people.values()))

    def _sample(self, embeddings: Embeddings, trial: int, among: Array) -> Array:
        """One image of each person in each camera of the modality that is drawn, among those of a mask (N,)."""
        people = self._people(embeddings, self.drawn_modality, among)
        return draw_images(people, seeded_draw, trial, shots=1)

    def _people(self, embeddings: Embeddings, modality: Modality, among: Array) -> dict[PersonInCamera, Array]:
        """(camera, pid) -> places of the images; identities ascend, then cameras."""
        people = images_by_person(embeddings, None, self.test_ids, modality, among)
        if not people:
            raise DataError(f"{self.key}: there are no {modality} images among the embeddings.")
        # The order in which LLCM's code draws, and in which ties are broken.
        return {person: people[person] for person in sorted(people, key=identity_first)}


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
