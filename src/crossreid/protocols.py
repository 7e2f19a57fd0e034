"""Settings of the protocols: what a person may choose, whether it can be, and the protocols that it makes."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from crossreid.config import check_choice, typed
from crossreid.console import notice
from crossreid.data.datasets import ReIDDataset
from crossreid.data.records import MODALITIES, Modality
from crossreid.datasets import DataConfig
from crossreid.errors import ConfigError
from crossreid.evaluation import (
    LLCM_DIRECTIONS,
    LLCM_ROLES,
    PAIRINGS,
    REGDB_DIRECTIONS,
    AllPairsProtocol,
    Cosine,
    Euclidean,
    GalleryPermutations,
    KReciprocal,
    LLCMProtocol,
    RegDBProtocol,
    Removal,
    RetrievalProtocol,
    SameImage,
    SameLocation,
    SamePersonSameCamera,
    Scorer,
    SysuMM01Protocol,
    ValidationProtocol,
)
from crossreid.evaluation.sysu import SYSU_LOCATIONS

PERMUTATION_FILES = ("rand_perm_cam.mat", "exp/rand_perm_cam.mat", "data_split/rand_perm_cam.mat")
AUTO = "auto"
"""Of ``evaluate``: the protocol that the checkpoint was trained with."""


@dataclass(frozen=True)
class Scored:
    """What a protocol must know of what it scores.

    Attributes:
        root: folder of the dataset, for lists that came with it; None for embeddings from elsewhere.
        split: the dataset's split that is scored, where it has several.
        trained_split: the split that the model was trained on; None where that is not known.
        modalities: of the images to score.
    """

    root: Path | None = None
    split: int | None = None
    trained_split: int | None = None
    modalities: frozenset[Modality] = frozenset(MODALITIES)

    @classmethod
    def of(cls, data: DataConfig, trained_on: DataConfig, dataset: ReIDDataset) -> Scored:
        """A dataset, scored with a model that was trained on the same or another one."""
        trained_split = trained_on.split_number if data.name == trained_on.name else None
        infrared = [dataset.records[row].modality == "infrared" for row in dataset.rows("test")]
        return cls(data.folder, data.split_number, trained_split, modalities(infrared))


def modalities(infrared: Iterable[bool]) -> frozenset[Modality]:
    """Which modalities there are, from a flag for each image."""
    return frozenset(MODALITIES[int(flag)] for flag in infrared)


@dataclass(frozen=True)
class ProtocolSet:
    """Everything that a protocol's settings ask for.

    Attributes:
        dataset: start of all keys.
        test: the settings that are scored, in the order of the table; the first one's Rank-1 is the headline.
        validation: for choosing weights; None where the dataset has no validation identities.
        pair_removal: which gallery images do not count in the table of modality pairings; None for no such table, where
            the settings themselves are pairings.
        optional: settings in which no probe has a true match are left out, saying so, instead of being refused.
    """

    dataset: str
    test: tuple[RetrievalProtocol, ...]
    validation: RetrievalProtocol | None
    pair_removal: Removal | None
    optional: bool = False


@dataclass
class RerankingConfig:
    """See :class:`~crossreid.evaluation.KReciprocal`."""

    k1: int = 20
    k2: int = 6
    lambda_: float = 0.3
    convention: str = "paper"


@dataclass
class ProtocolConfig:
    """What all protocols have.

    Attributes:
        name: the protocol.
        similarity: ``cosine``, or ``euclidean`` on features as they are.
        rerank: score a further row, re-ranked by k-reciprocal encoding.
        reranking: its settings.
    """

    name: str = ""
    similarity: str = "cosine"
    rerank: bool = False
    reranking: RerankingConfig = field(default_factory=RerankingConfig)

    def check(self) -> None:
        """Raise :class:`ConfigError` in one sentence for impossible settings."""
        check_choice("protocol.similarity", self.similarity, ("cosine", "euclidean"))
        KReciprocal(Cosine(), **vars(self.reranking))

    def scorers(self, own: Mapping[str, Scorer] | None = None) -> dict[str, Scorer]:
        """What to score by: row ``""`` is Euclidean where asked for, else the method's own, else cosine; then its others.

        With ``rerank`` the row ``reranked`` is that of ``""``, re-ranked.
        """
        found: dict[str, Scorer] = {"": Cosine()} if own is None else dict(own)
        if self.similarity == "euclidean":
            found[""] = Euclidean()
        if self.rerank:
            found["reranked"] = KReciprocal(found[""], **vars(self.reranking))
        return found

    @abstractmethod
    def build(self, scored: Scored) -> ProtocolSet:
        """The protocols for one dataset.

        Raises:
            DataError: a list that they need is missing or damaged.
            ConfigError: the model must not be scored on this split.
        """


@dataclass
class SysuMM01Config(ProtocolConfig):
    """SYSU-MM01.

    Attributes:
        modes: gallery cameras: ``all``, ``indoor``.
        shots: gallery images a person and camera.
        trials: gallery draws, averaged.
        draw: ``official`` (the dataset's permutation file) or ``seeded``.
        permutations: path of rand_perm_cam.mat; by default looked for in the dataset.
    """

    modes: list[str] = field(default_factory=lambda: ["all", "indoor"])
    shots: list[int] = field(default_factory=lambda: [1, 10])
    trials: int = 10
    draw: str = "official"
    permutations: str | None = None

    def check(self) -> None:
        """Raise :class:`ConfigError` in one sentence for impossible settings."""
        super().check()
        check_choice("protocol.draw", self.draw, ("official", "seeded"))
        check_all("protocol.modes", self.modes, ("all", "indoor"))
        if not self.shots or min(self.shots) < 1:
            raise ConfigError("protocol.shots needs at least one entry, and shots are 1 or more.")
        _check_trials(self.trials)

    def build(self, scored: Scored) -> ProtocolSet:
        """Every mode with every number of shots."""
        draw, permutations = self._find_draw(scored.root)
        how: dict[str, Any] = {"trials": self.trials, "draw": draw, "permutations": permutations}
        test = tuple(SysuMM01Protocol(mode, shots, **how) for mode in self.modes for shots in self.shots)
        return ProtocolSet("sysu_mm01", test, ValidationProtocol(**how), SYSU_LOCATIONS)

    def _find_draw(self, root: Path | None) -> tuple[str, GalleryPermutations | None]:
        """The official draw where its file is there, else the seeded one, saying so."""
        if self.draw == "seeded":
            return "seeded", None
        if self.permutations:
            return "official", GalleryPermutations.from_mat(Path(self.permutations))
        for name in PERMUTATION_FILES if root else ():
            assert root is not None
            if (root / name).is_file():
                return "official", GalleryPermutations.from_mat(root / name)
        notice(
            "Warning: rand_perm_cam.mat was not found, so galleries are drawn by seed (draw 'seeded', about half a "
            "point of Rank-1 from the official one): take it from wuancong/SYSU-MM01 and set protocol.permutations."
        )
        return "seeded", None


@dataclass
class RegDBConfig(ProtocolConfig):
    """RegDB.

    Attributes:
        directions: ``visible_to_thermal``, ``thermal_to_visible``.
        split: which split embeddings from elsewhere are of; a dataset says it itself.
    """

    directions: list[str] = field(default_factory=lambda: list(REGDB_DIRECTIONS))
    split: int | None = None

    def check(self) -> None:
        """Raise :class:`ConfigError` in one sentence for impossible settings."""
        super().check()
        check_all("protocol.directions", self.directions, tuple(REGDB_DIRECTIONS))

    def build(self, scored: Scored) -> ProtocolSet:
        """Both directions of the split."""
        if None not in (self.split, scored.split) and self.split != scored.split:
            raise ConfigError(
                f"protocol.split={self.split} is not the split {scored.split} of the dataset: leave it out, or set "
                "data.split."
            )
        split = scored.split or self.split
        if split is None:
            raise ConfigError("Nothing says which split of RegDB these images are: set protocol.split to 1 ... 10.")
        test = tuple(RegDBProtocol(name, split, trained_on=scored.trained_split) for name in self.directions)
        return ProtocolSet("regdb", test, None, SameImage())


@dataclass
class LLCMConfig(ProtocolConfig):
    """LLCM.

    Attributes:
        directions: ``visible_to_infrared``, ``infrared_to_visible``.
        roles: readings of which side is drawn: ``sampled_gallery`` (as described), ``sampled_query`` (which the published
            visible-to-infrared numbers fit).
        trials: draws, averaged.
    """

    directions: list[str] = field(default_factory=lambda: list(LLCM_DIRECTIONS))
    roles: list[str] = field(default_factory=lambda: list(LLCM_ROLES))
    trials: int = 10

    def check(self) -> None:
        """Raise :class:`ConfigError` in one sentence for impossible settings."""
        super().check()
        check_all("protocol.directions", self.directions, tuple(LLCM_DIRECTIONS))
        check_all("protocol.roles", self.roles, LLCM_ROLES)
        _check_trials(self.trials)

    def build(self, scored: Scored) -> ProtocolSet:
        """Every direction in every reading."""
        test = tuple(LLCMProtocol(name, r, trials=self.trials) for name in self.directions for r in self.roles)
        return ProtocolSet("llcm", test, None, SamePersonSameCamera())


REMOVALS: dict[str, Removal] = {
    "same_person_same_camera": SamePersonSameCamera(),
    "same_camera": SameLocation(),
    "same_image": SameImage(),
}
"""Which gallery images do not count when all query all."""


@dataclass
class AllPairsConfig(ProtocolConfig):
    """All images of one modality query all of one modality.

    Attributes:
        pairings: ``ir2rgb``, ``rgb2ir``, ``rgb2rgb``, ``ir2ir``; None for those that can be scored.
        removal: which gallery images do not count: ``same_person_same_camera``, ``same_camera`` or ``same_image``.
    """

    pairings: list[str] | None = None
    removal: str = "same_person_same_camera"

    def check(self) -> None:
        """Raise :class:`ConfigError` in one sentence for impossible settings."""
        super().check()
        if self.pairings is not None:
            check_all("protocol.pairings", self.pairings, tuple(PAIRINGS))
        check_choice("protocol.removal", self.removal, tuple(REMOVALS))

    def build(self, scored: Scored) -> ProtocolSet:
        """Every pairing; across modalities first."""
        removal = REMOVALS[self.removal]
        there = [name for name in ("ir2rgb", "rgb2ir", "rgb2rgb", "ir2ir") if scored.modalities >= {*PAIRINGS[name]}]
        chosen = there if self.pairings is None else self.pairings
        test = tuple(AllPairsProtocol(name, "all", removal) for name in chosen)
        return ProtocolSet("all", test, None, None, optional=self.pairings is None)


PROTOCOLS: dict[str, type[ProtocolConfig]] = {
    "sysu_mm01": SysuMM01Config,
    "regdb": RegDBConfig,
    "llcm": LLCMConfig,
    "all_pairs": AllPairsConfig,
}
"""Name -> settings."""


def protocol_config(plain: dict[str, Any]) -> ProtocolConfig:
    """The protocol part of a composed config as its typed settings, checked.

    Raises:
        ConfigError: the name or a key is unknown, or settings cannot be.
    """
    name = str(plain.get("name"))
    check_choice("protocol.name", name, tuple(PROTOCOLS))
    settings = typed(PROTOCOLS[name], plain)
    settings.check()
    return settings


def check_all(key: str, values: Sequence[str], allowed: tuple[str, ...]) -> None:
    """Raise :class:`ConfigError` where a list is empty or holds something else."""
    if not values:
        raise ConfigError(f"{key} needs at least one entry: choose from {', '.join(allowed)}.")
    for value in values:
        check_choice(key, value, allowed)


def _check_trials(trials: int) -> None:
    if not 1 <= trials <= 10:
        raise ConfigError(f"protocol.trials is {trials}: choose 1 to 10.")
