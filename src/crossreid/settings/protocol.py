"""Settings of the protocols; :mod:`crossreid.evaluation.building` makes the protocols."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from crossreid.errors import ConfigError
from crossreid.settings.fields import Settings, setting


@dataclass
class RerankingConfig(Settings):
    """k-reciprocal re-ranking (Zhong et al., CVPR 2017), see :class:`~crossreid.evaluation.KReciprocal`."""

    k1: int = setting(20, "neighbours among which reciprocal ones are sought", at_least=1, ceiling=10_000)
    k2: int = setting(
        6, "neighbours whose vectors are averaged, 1 for none but the image's own", at_least=1, ceiling=10_000
    )
    lambda_: float = setting(0.3, "share of the original distance", at_least=0, at_most=1)
    convention: str = setting("paper", "reading of the paper", choices=("paper", "published_code"))


@dataclass
class ProtocolConfig(Settings):
    """What all protocols have."""

    name: ClassVar[str] = ""

    similarity: str = setting("cosine", "cosine, or euclidean on features as they are", choices=("cosine", "euclidean"))
    rerank: bool = setting(False, "score a further row, re-ranked by k-reciprocal encoding (transductive)")
    reranking: RerankingConfig = setting(RerankingConfig(), "its settings")

    def check(self, place: str = "protocol") -> None:
        """As :meth:`Settings.check`, at ``protocol``."""
        super().check(place)


@dataclass
class SysuProtocolConfig(ProtocolConfig):
    """The SYSU-MM01 protocol: infrared cameras 3 and 6 query, visible cameras are the gallery."""

    name: ClassVar[str] = "sysu_mm01"

    modes: list[str] = setting(
        ["all", "indoor"], "gallery cameras 1, 2, 4, 5 or 1, 2", choices=("all", "indoor"), filled=True, distinct=True
    )
    shots: list[int] = setting(
        [1, 10], "gallery images a person and camera", at_least=1, ceiling=10_000, filled=True, distinct=True
    )
    trials: int = setting(10, "gallery draws, averaged", at_least=1, at_most=10)
    draw: str = setting(
        "official",
        "official (rand_perm_cam.mat), descending (the same permutations of files in descending order, as the code of AlignGAN "
        "and JSIA-ReID has them) or seeded (as AGW draws)",
        choices=("official", "descending", "seeded"),
    )
    permutations: str | None = setting(None, "path of rand_perm_cam.mat; null: looked for in the dataset's folder")

    def check_together(self, place: str) -> None:
        """The file is of a draw that reads it."""
        super().check_together(place)
        if self.permutations is not None and self.draw == "seeded":
            raise ConfigError(
                f"{place}.permutations is of the official draw, and {place}.draw is seeded, which reads no file: leave one out."
            )


@dataclass
class RegDBProtocolConfig(ProtocolConfig):
    """The RegDB protocol: all images query all of the other modality; Rank-k counts images, nothing is removed."""

    name: ClassVar[str] = "regdb"

    directions: list[str] = setting(
        ["visible_to_thermal", "thermal_to_visible"],
        "query and gallery",
        choices=("visible_to_thermal", "thermal_to_visible"),
        filled=True,
        distinct=True,
    )
    split: int | None = setting(
        None, "of embeddings from elsewhere; a dataset says its split itself", at_least=1, at_most=10
    )


@dataclass
class LLCMProtocolConfig(ProtocolConfig):
    """The LLCM protocol: all images of one modality against one drawn image a person and camera of the other."""

    name: ClassVar[str] = "llcm"

    directions: list[str] = setting(
        ["visible_to_infrared", "infrared_to_visible"],
        "the side taken whole, then the side that is drawn",
        choices=("visible_to_infrared", "infrared_to_visible"),
        filled=True,
        distinct=True,
    )
    roles: list[str] = setting(
        ["sampled_gallery", "sampled_query"],
        "the drawn side is the gallery (as described) or the query (as published visible-to-infrared numbers fit)",
        choices=("sampled_gallery", "sampled_query"),
        filled=True,
        distinct=True,
    )
    trials: int = setting(10, "draws, averaged", at_least=1, at_most=10)


@dataclass
class AllPairsProtocolConfig(ProtocolConfig):
    """Every image of one modality queries every image of the other, or of its own; one trial, nothing drawn.

    Where a dataset keeps queries and gallery apart, that is kept, unless ``queries`` is ``all``.
    """

    name: ClassVar[str] = "all_pairs"

    pairings: list[str] | None = setting(
        None,
        "query2gallery; null: those that can be scored",
        choices=("ir2rgb", "rgb2ir", "rgb2rgb", "ir2ir"),
        filled=True,
        distinct=True,
    )
    queries: str | None = setting(
        None,
        "fixed: only images in query/ query, only those in gallery/ or bounding_box_test/ are found; all: every image does "
        "both; null: fixed where there are such folders",
        choices=("all", "fixed"),
    )
    removal: str = setting(
        "same_person_same_camera",
        "gallery images that do not count; same_image: the probe alone",
        choices=("same_person_same_camera", "same_camera", "same_image"),
    )


@dataclass
class TrainedProtocolConfig(Settings):
    """The protocol that a checkpoint was trained with."""

    name: ClassVar[str] = "auto"


NO_PROTOCOL = "Embeddings do not say which protocol they are for: add protocol=sysu_mm01, regdb, llcm or all_pairs."
"""What is said where nothing says how embeddings are scored."""

PROTOCOLS: dict[str, type[ProtocolConfig]] = {
    schema.name: schema
    for schema in (SysuProtocolConfig, RegDBProtocolConfig, LLCMProtocolConfig, AllPairsProtocolConfig)
}
"""Name -> settings."""
