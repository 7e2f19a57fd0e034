"""Settings of the protocols: what a person may choose, whether it can be, and the protocols that it makes."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from crossreid.config import check_choice, typed
from crossreid.console import notice
from crossreid.datasets import DataConfig
from crossreid.errors import ConfigError
from crossreid.evaluation import (
    Cosine,
    Euclidean,
    GalleryPermutations,
    Removal,
    RetrievalProtocol,
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
    """

    root: Path | None = None
    split: int | None = None
    trained_split: int | None = None

    @classmethod
    def of(cls, data: DataConfig, trained_on: DataConfig) -> Scored:
        """A dataset, scored with a model that was trained on the same or another one."""
        same = data.name == trained_on.name
        return cls(data.folder, data.split_number, trained_on.split_number if same else None)


@dataclass(frozen=True)
class ProtocolSet:
    """Everything that a protocol's settings ask for.

    Attributes:
        dataset: start of all keys.
        test: the settings that are scored, in the order of the table; the first one's Rank-1 is the headline.
        validation: for choosing weights; None where the dataset has no validation identities.
        pair_removal: which gallery images do not count in the modality pairings.
    """

    dataset: str
    test: tuple[RetrievalProtocol, ...]
    validation: RetrievalProtocol | None
    pair_removal: Removal


@dataclass
class ProtocolConfig:
    """What all protocols have.

    Attributes:
        name: the protocol.
        similarity: ``cosine``, or ``euclidean`` on features as they are.
    """

    name: str = ""
    similarity: str = "cosine"

    def check(self) -> None:
        """Raise :class:`ConfigError` in one sentence for impossible settings."""
        check_choice("protocol.similarity", self.similarity, ("cosine", "euclidean"))

    def scorer(self, own: Scorer | None = None) -> Scorer:
        """Euclidean where asked for, else the method's own, else cosine."""
        if self.similarity == "euclidean":
            return Euclidean()
        return Cosine() if own is None else own

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


PROTOCOLS: dict[str, type[ProtocolConfig]] = {"sysu_mm01": SysuMM01Config}
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
