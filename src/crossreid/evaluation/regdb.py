"""The RegDB protocol: ten splits, each scored with a model of its own, and their mean.

All test images of one modality query all of the other. Nothing is drawn and nothing removed; Rank-k counts images, not
identities (each identity has ten gallery images, and counting identities would raise Rank-5 and Rank-20 by points).
A model that was trained on another split has seen people of this test: it is refused.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import ClassVar

import numpy as np

from crossreid.data.records import Modality
from crossreid.errors import ConfigError, DataError
from crossreid.evaluation.array_files import Array
from crossreid.evaluation.embeddings import Embeddings
from crossreid.evaluation.protocol import Progress, RetrievalProtocol
from crossreid.evaluation.removal import NothingRemoved
from crossreid.evaluation.results import SPLITS, IdentityScores, ProtocolLabels, RetrievalResult
from crossreid.evaluation.scorers import Scorer
from crossreid.evaluation.subsets import as_ids, images_of, may_query

REGDB_DIRECTIONS: Mapping[str, tuple[Modality, Modality]] = {
    "visible_to_thermal": ("visible", "infrared"),
    "thermal_to_visible": ("infrared", "visible"),
}
"""Name -> (query, gallery)."""
SPLITS_OF_REGDB = 10
"""A published number is the mean over all of them."""


class RegDBProtocol(RetrievalProtocol):
    """One split of RegDB in one direction: 2,060 probes, a gallery of 2,060 images, one trial.

    The key is the same for all splits (``regdb/visible_to_thermal``); the split is the label ``draw``
    (``split 3``), so that tables group the splits and :func:`average_splits` can tell them apart.

    Args:
        direction: ``visible_to_thermal`` or ``thermal_to_visible``.
        split: the split that is scored, 1 to 10.
        trained_on: the split that the model was trained on; None where it was trained on something else than RegDB.
        test_ids: identities to score; None takes all that the embeddings have.
        dataset: start of the key.

    Raises:
        ConfigError: an unknown direction or split, or a model of another split.
    """

    deduplicate: ClassVar[bool] = False

    def __init__(
        self,
        direction: str,
        split: int,
        *,
        trained_on: int | None = None,
        test_ids: Sequence[int] | None = None,
        dataset: str = "regdb",
    ) -> None:
        if direction not in REGDB_DIRECTIONS:
            raise ConfigError(f"The directions of RegDB are {' and '.join(REGDB_DIRECTIONS)}, not {direction!r}.")
        if split not in range(1, SPLITS_OF_REGDB + 1):
            raise ConfigError(f"RegDB has the splits 1 to 10, not {split!r}.")
        if trained_on is not None and trained_on != split:
            raise ConfigError(
                f"A model trained on split {trained_on} of RegDB has seen people of the test of split {split}: score it "
                f"on split {trained_on}, or train on split {split}."
            )
        super().__init__(f"{dataset}/{direction}", 1, NothingRemoved())
        self.direction = direction
        self.split = split
        self.query_modality, self.gallery_modality = REGDB_DIRECTIONS[direction]
        self.test_ids = as_ids(test_ids)

    def queries(self, embeddings: Embeddings, trial: int = 0) -> Array:
        """(Q,) all images of the query modality, by identity and frame."""
        return images_of(embeddings, self.query_modality, self.test_ids, may_query(embeddings))

    def gallery(self, embeddings: Embeddings, trial: int) -> Array:
        """(G,) all images of the gallery modality, by identity and frame."""
        return images_of(embeddings, self.gallery_modality, self.test_ids)

    def labels(self, scorer: Scorer) -> ProtocolLabels:
        """The direction as mode, the split as draw."""
        return self.labels_of(scorer, mode=self.direction, shots="all", draw=f"split {self.split}")


def score_regdb(
    embeddings: Embeddings,
    split: int,
    *,
    trained_on: int | None = None,
    directions: Sequence[str] = tuple(REGDB_DIRECTIONS),
    scorer: Scorer | None = None,
    test_ids: Sequence[int] | None = None,
    dataset: str = "regdb",
    progress: Progress | None = None,
) -> dict[str, RetrievalResult]:
    """Score one split in the asked directions; results by key: ``regdb/visible_to_thermal`` and so on."""
    results = {}
    for direction in directions:
        protocol = RegDBProtocol(direction, split, trained_on=trained_on, test_ids=test_ids, dataset=dataset)
        results[protocol.key] = protocol(embeddings, scorer, progress)
    return results


def average_splits(results: Sequence[RetrievalResult]) -> RetrievalResult:
    """The results of several splits as one whose trials are the splits: mean and standard deviation are over splits.

    Args:
        results: one result a split, of one protocol, scored in the same way.

    Raises:
        DataError: there is none, a split is there twice, or they differ in protocol, labels or number of probes.
    """
    if not results:
        raise DataError("There are no results of splits to average.")
    _check_comparable(results)
    _check_each_split_once(results)
    first = results[0]  # all others have its protocol and labels, but for the split

    def over_splits(attribute: str) -> Array:
        return np.concatenate([getattr(result, attribute) for result in results])

    # galleries of splits can differ in size: a CMC stays at its last value, 1, past its end
    longest = max(result.cmc.shape[1] for result in results)
    curves = []
    for result in results:
        beyond = longest - result.cmc.shape[1]
        curves.append(np.pad(result.cmc, ((0, 0), (0, beyond)), mode="edge"))
    chance = {}
    for name in first.chance:
        of_splits = [result.chance[name] for result in results]
        chance[name] = float(np.mean(of_splits))
    return RetrievalResult(
        protocol=first.protocol,
        labels=replace(first.labels, draw=f"{len(results)} of {SPLITS_OF_REGDB}{SPLITS}"),
        cmc=np.concatenate(curves),
        mean_ap=over_splits("mean_ap"),
        mean_inp=over_splits("mean_inp"),
        n_probes=first.n_probes,
        n_valid=over_splits("n_valid"),
        n_gallery=over_splits("n_gallery"),
        chance=chance,
        identities=IdentityScores.join([result.identities for result in results]),
    )


def _check_comparable(results: Sequence[RetrievalResult]) -> None:
    """All of one protocol, with the same labels but for the split, and of equally many probes."""
    first = results[0]
    for other in results:
        same_labels = replace(other.labels, draw="") == replace(first.labels, draw="")
        if other.protocol != first.protocol or not same_labels:
            raise DataError(
                f"Results of {first.protocol} ({first.labels.draw}) and {other.protocol} ({other.labels.draw}) were scored "
                "in different ways and have no average: score all splits with the same settings."
            )
        if other.n_probes != first.n_probes:
            raise DataError(
                f"{first.protocol}: {first.labels.draw} has {first.n_probes} probes and {other.labels.draw} "
                f"{other.n_probes}; splits of different sizes are not averaged."
            )


def _check_each_split_once(results: Sequence[RetrievalResult]) -> None:
    results_of_split = Counter(result.labels.draw for result in results)
    duplicates = [split for split, count in sorted(results_of_split.items()) if count > 1]
    if duplicates:
        raise DataError(
            f"{results[0].protocol}: {', '.join(duplicates)} is there more than once; give each split once."
        )
