"""From a protocol's settings to the protocols and scorers that they name."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from functools import singledispatch
from pathlib import Path
from typing import Any, cast

from crossreid.console import notice
from crossreid.data.datasets import ReIDDataset
from crossreid.data.records import MODALITIES, Modality, Role
from crossreid.errors import ConfigError
from crossreid.evaluation.all_pairs import PAIRINGS, AllPairsProtocol
from crossreid.evaluation.draws import GalleryPermutations
from crossreid.evaluation.llcm import LLCMProtocol
from crossreid.evaluation.protocol import RetrievalProtocol
from crossreid.evaluation.regdb import RegDBProtocol
from crossreid.evaluation.removal import Removal, SameImage, SameLocation, SamePersonSameCamera
from crossreid.evaluation.reranking import Convention, KReciprocal
from crossreid.evaluation.scorers import Cosine, Euclidean, Scorer
from crossreid.evaluation.sysu import SYSU_LOCATIONS, SysuMM01Protocol, ValidationProtocol
from crossreid.settings.data import DataConfig
from crossreid.settings.protocol import (
    AllPairsProtocolConfig,
    LLCMProtocolConfig,
    ProtocolConfig,
    RegDBProtocolConfig,
    SysuProtocolConfig,
)

PERMUTATION_FILES = ("rand_perm_cam.mat", "exp/rand_perm_cam.mat", "data_split/rand_perm_cam.mat")
REMOVALS: dict[str, Removal] = {
    "same_person_same_camera": SamePersonSameCamera(),
    "same_camera": SameLocation(),
    "same_image": SameImage(),
}
"""Which gallery images do not count when all query all."""


@dataclass(frozen=True)
class Scored:
    """What a protocol must know of what it scores.

    Attributes:
        root: folder of the dataset, for lists that came with it; None for embeddings from elsewhere.
        split: the dataset's split that is scored, where it has several.
        trained_split: the split that the model was trained on; None where that is not known.
        modalities: of the images to score.
        fixed_pairings: pairings in which some images are there to query and others to be found; none where the images
            are not divided so.
    """

    root: Path | None = None
    split: int | None = None
    trained_split: int | None = None
    modalities: frozenset[Modality] = frozenset(MODALITIES)
    fixed_pairings: frozenset[str] = frozenset()

    @classmethod
    def of(cls, data: DataConfig, trained_on: DataConfig | None, dataset: ReIDDataset) -> Scored:
        """A dataset, scored with a model that was trained on the same or another one, or on nobody knows which."""
        trained_split = None
        if trained_on is not None and trained_on.name == data.name:
            trained_split = trained_on.split_number
        infrared: list[bool] = []
        roles: list[Role] = []
        for row in dataset.rows("test"):
            record = dataset.records[row]
            infrared.append(record.modality == "infrared")
            roles.append(record.role)
        return cls(data.folder, data.split_number, trained_split, modalities(infrared), fixed_pairings(infrared, roles))


def modalities(infrared: Iterable[bool]) -> frozenset[Modality]:
    """Which modalities there are, from a flag for each image."""
    return frozenset(MODALITIES[int(flag)] for flag in infrared)


def fixed_pairings(infrared: Iterable[bool], roles: Iterable[Role]) -> frozenset[str]:
    """Pairings that images kept apart as queries and gallery allow; none where they are not kept apart.

    Args:
        infrared: a flag for each image.
        roles: of each image.
    """
    queries: set[Modality] = set()
    gallery: set[Modality] = set()
    roles_in_use: set[Role] = set()
    for flag, role in zip(infrared, roles, strict=True):
        modality = MODALITIES[int(flag)]
        roles_in_use.add(role)
        if role in ("any", "query"):
            queries.add(modality)
        if role != "query":
            gallery.add(modality)
    if not roles_in_use >= {"query", "gallery"}:
        return frozenset()
    possible = set()
    for name, (query_modality, gallery_modality) in PAIRINGS.items():
        if query_modality in queries and gallery_modality in gallery:
            possible.add(name)
    return frozenset(possible)


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


def build_scorers(config: ProtocolConfig, own: Mapping[str, Scorer] | None = None) -> dict[str, Scorer]:
    """What to score by: row ``""`` is Euclidean where asked for, else the method's own, else cosine; then its others.

    With ``rerank`` the row ``reranked`` is that of ``""``, re-ranked.
    """
    scorers: dict[str, Scorer] = {"": Cosine()}
    if own is not None:
        scorers = dict(own)
    if config.similarity == "euclidean":
        scorers[""] = Euclidean()
    if config.rerank:
        # After Euclidean was put in: what is re-ranked is what the plain row shows.
        asked = config.reranking
        convention = cast(Convention, asked.convention)
        scorers["reranked"] = KReciprocal(scorers[""], asked.k1, asked.k2, asked.lambda_, convention)
    return scorers


@singledispatch
def build_protocols(config: ProtocolConfig, scored: Scored) -> ProtocolSet:
    """The protocols that settings name, for one dataset.

    Raises:
        DataError: a list that they need is missing or damaged.
        ConfigError: the model must not be scored on this split.
    """
    raise ConfigError(f"Nothing builds the protocol '{config.name}'.")


@build_protocols.register
def _(config: SysuProtocolConfig, scored: Scored) -> ProtocolSet:
    """Every mode with every number of shots."""
    draw, permutations = _find_draw(config, scored.root)
    how: dict[str, Any] = {"trials": config.trials, "draw": draw, "permutations": permutations}
    test = []
    for mode in config.modes:
        for shots in config.shots:
            test.append(SysuMM01Protocol(mode, shots, **how))
    return ProtocolSet("sysu_mm01", tuple(test), ValidationProtocol(**how), SYSU_LOCATIONS)


@build_protocols.register
def _(config: RegDBProtocolConfig, scored: Scored) -> ProtocolSet:
    """Both directions of the split."""
    if None not in (config.split, scored.split) and config.split != scored.split:
        raise ConfigError(
            f"protocol.split={config.split} is not the split {scored.split} of the dataset: leave it out, or set data.split."
        )
    # Embeddings from elsewhere have no dataset that says it: the settings must.
    split = scored.split or config.split
    if split is None:
        raise ConfigError("Nothing says which split of RegDB these images are: set protocol.split to 1 ... 10.")
    test = []
    for name in config.directions:
        test.append(RegDBProtocol(name, split, trained_on=scored.trained_split))
    return ProtocolSet("regdb", tuple(test), None, SameImage())


@build_protocols.register
def _(config: LLCMProtocolConfig, scored: Scored) -> ProtocolSet:
    """Every direction in every reading."""
    test = []
    for direction in config.directions:
        for roles in config.roles:
            test.append(LLCMProtocol(direction, roles, trials=config.trials))
    return ProtocolSet("llcm", tuple(test), None, SamePersonSameCamera())


@build_protocols.register
def _(config: AllPairsProtocolConfig, scored: Scored) -> ProtocolSet:
    """Every pairing; across modalities first."""
    removal = REMOVALS[config.removal]
    # Where the settings leave it open, images that are kept apart as queries and gallery are scored so.
    fixed = config.queries == "fixed" or (config.queries is None and bool(scored.fixed_pairings))
    if fixed and not scored.fixed_pairings:
        raise ConfigError(
            "protocol.queries=fixed needs images that are there to query and others to be found: folders query and gallery "
            "(or bounding_box_test), or an array roles beside embeddings."
        )
    pairings = config.pairings
    if pairings is None:
        pairings = _possible_pairings(scored, fixed)
    test = []
    for name in pairings:
        test.append(AllPairsProtocol(name, "all", removal, fixed=fixed))
    # Pairings that nobody asked for by name may turn out to have no match.
    return ProtocolSet("all", tuple(test), None, None, optional=config.pairings is None)


def _possible_pairings(scored: Scored, fixed: bool) -> list[str]:
    """Pairings whose two modalities there are, in the roles that they need; across modalities first."""
    possible: list[str] = []
    for name in ("ir2rgb", "rgb2ir", "rgb2rgb", "ir2ir"):
        both_there = scored.modalities.issuperset(PAIRINGS[name])
        if both_there and (not fixed or name in scored.fixed_pairings):
            possible.append(name)
    return possible


def with_settled_draw(config: ProtocolConfig) -> ProtocolConfig:
    """Settings for several sets of embeddings: that the official draw is not there is said once for all."""
    if not isinstance(config, SysuProtocolConfig) or config.permutations:
        return config
    draw, _ = _find_draw(config, None)
    return replace(config, draw=draw)


def _find_draw(config: SysuProtocolConfig, root: Path | None) -> tuple[str, GalleryPermutations | None]:
    """The official draw where its file is there, else the seeded one, saying so."""
    if config.draw == "seeded":
        return "seeded", None
    if config.permutations:
        return config.draw, GalleryPermutations.from_mat(Path(config.permutations))
    if root is not None:
        for name in PERMUTATION_FILES:
            if (root / name).is_file():
                return config.draw, GalleryPermutations.from_mat(root / name)
    notice(
        "Warning: rand_perm_cam.mat was not found, so galleries are drawn by seed (draw 'seeded', about half a "
        "point of Rank-1 from the official one): take it from wuancong/SYSU-MM01 and set protocol.permutations."
    )
    return "seeded", None
