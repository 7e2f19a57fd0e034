"""Protocols whose gallery is drawn: a few images of each person in each camera, anew for each trial."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np

from crossreid.errors import ConfigError, DataError
from crossreid.evaluation.array_files import Array
from crossreid.evaluation.draws import Draw, GalleryPermutations, draw_images, seeded_draw
from crossreid.evaluation.embeddings import Embeddings
from crossreid.evaluation.protocol import RetrievalProtocol
from crossreid.evaluation.removal import Removal
from crossreid.evaluation.results import ProtocolLabels
from crossreid.evaluation.scorers import Scorer
from crossreid.evaluation.subsets import as_ids, images_by_person, may_query, refuse_one_draw

DrawName = Literal["official", "descending", "seeded"]


class SampledGalleryProtocol(RetrievalProtocol):
    """All images of some infrared cameras query a gallery of a few images of each person in each of some visible cameras.

    Args:
        name: start of the key, for example ``sysu_mm01/all``; the shots are added.
        query_cameras: cameras of the probes, infrared.
        gallery_cameras: cameras of the gallery, visible.
        removal: which gallery images do not count.
        shots: images of each person and camera in the gallery; where there are fewer, all of them.
        trials: galleries drawn.
        draw: ``official`` (from ``permutations``), ``descending`` (likewise, see :meth:`GalleryPermutations.descending`) or
            ``seeded`` (see :func:`seeded_draw`).
        permutations: the official draw.
        test_ids: identities to score; None takes all that the embeddings have.

    Raises:
        ConfigError: shots or trials below 1, an unknown draw, or one of permutations without them.
    """

    cameras_tell_modality = True

    def __init__(
        self,
        *,
        name: str,
        query_cameras: Sequence[int],
        gallery_cameras: Sequence[int],
        removal: Removal,
        shots: int,
        trials: int,
        draw: DrawName,
        permutations: GalleryPermutations | None,
        test_ids: Sequence[int] | None,
    ) -> None:
        super().__init__(f"{name}/{shots_name(shots)}", trials, removal)
        if draw not in ("official", "descending", "seeded"):
            raise ConfigError(f"The gallery draw is 'official', 'descending' or 'seeded', not {draw!r}.")
        if draw != "seeded" and permutations is None:
            raise ConfigError(
                f"draw={draw} needs the permutation file: set protocol.permutations to the path of rand_perm_cam.mat, or "
                "protocol.draw=seeded."
            )
        self.mode = name.rsplit("/", 1)[-1]
        self.query_cameras = tuple(query_cameras)
        self.gallery_cameras = tuple(gallery_cameras)
        self.shots = shots
        self.draw = draw
        self.permutations = permutations
        self.test_ids = as_ids(test_ids)

    def check(self, embeddings: Embeddings) -> None:
        """The gallery is not drawn yet; under the official draw, file and embeddings know the same images of each camera."""
        super().check(embeddings)
        self._check_modalities(embeddings)
        people = images_by_person(embeddings, self.gallery_cameras, self.test_ids)
        if people:  # without any the gallery is empty, which is said where it is drawn
            refuse_one_draw(self.key, embeddings, people)
        if self.draw != "seeded" and self.permutations is not None:
            # Probes too, though nothing is drawn of them: file and embeddings should be of the same images.
            cameras = sorted({*self.query_cameras, *self.gallery_cameras})
            self.permutations.check(embeddings, cameras, self.test_ids)

    def _check_modalities(self, embeddings: Embeddings) -> None:
        """Images of the query cameras are infrared, those of the gallery cameras visible."""
        for cameras, infrared in ((self.query_cameras, True), (self.gallery_cameras, False)):
            here = np.isin(embeddings.camids, cameras)
            if self.test_ids is not None:
                here &= np.isin(embeddings.pids, list(self.test_ids))
            others = here & (embeddings.infrared != infrared)
            if others.any():
                camera = int(embeddings.camids[np.argmax(others)])
                said, seen = ("visible", "infrared") if infrared else ("infrared", "visible")
                raise DataError(
                    f"{self.key}: {int(others.sum())} images are said to be {said}, one of them of camera {camera}, which is "
                    f"{seen} in SYSU-MM01: mend 'infrared' or query_modality, or score them by another protocol."
                )

    def queries(self, embeddings: Embeddings, trial: int = 0) -> Array:
        """(Q,) all images of the query cameras, the same in each trial, by camera, identity and frame."""
        people = images_by_person(embeddings, self.query_cameras, self.test_ids, among=may_query(embeddings))
        if not people:
            raise DataError(f"{self.key}: there are no probes, that is images of the cameras {self.query_cameras}.")
        return np.concatenate(list(people.values()))

    def gallery(self, embeddings: Embeddings, trial: int) -> Array:
        """(G,) the trial's gallery, by camera, identity and draw."""
        people = images_by_person(embeddings, self.gallery_cameras, self.test_ids)
        if not people:
            raise DataError(f"{self.key}: the gallery is empty, no images of the cameras {self.gallery_cameras}.")
        draw: Draw = seeded_draw
        if self.draw == "official" and self.permutations is not None:
            draw = self.permutations
        elif self.draw == "descending" and self.permutations is not None:
            draw = self.permutations.descending
        return draw_images(people, draw, trial, self.shots)

    def labels(self, scorer: Scorer) -> ProtocolLabels:
        """Mode, shots and draw as the settings name them."""
        return self.labels_of(scorer, mode=self.mode, shots=str(self.shots), draw=self.draw)


def shots_name(shots: int) -> str:
    """``single`` for 1 shot, ``multi`` for 10, otherwise for example ``3shot``."""
    if shots < 1:
        raise ConfigError(f"A gallery needs at least one shot a person and camera, not {shots}.")
    return {1: "single", 10: "multi"}.get(shots, f"{shots}shot")
