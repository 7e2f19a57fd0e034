"""What a person wears and carries, as sizes and kinds; colours are in :mod:`materials`, meshes in :mod:`garments`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeVar

import numpy as np

UpperKind = Literal["shirt", "pullover", "jacket", "coat", "open_jacket", "open_coat", "dress"]
LowerKind = Literal["trousers", "shorts", "skirt", "leggings"]
HairKind = Literal["bald", "short", "full", "bob", "long", "ponytail", "bun"]
HeadwearKind = Literal["none", "cap", "beanie", "brim", "hood"]
BagKind = Literal["none", "backpack", "shoulder", "hand", "tote"]
UpperPattern = Literal[
    "plain",
    "hstripes",
    "vstripes",
    "checks",
    "block",
    "band",
    "split",
    "sleeves",
    "yoke",
    "sides",
    "sash",
    "print",
    "zip",
]
LowerPattern = Literal["plain", "side_stripe", "hstripes", "checks", "hem", "patches"]

_Name = TypeVar("_Name", bound=str)

_UPPERS: dict[UpperKind, float] = {
    "shirt": 2.4, "pullover": 2.0, "jacket": 1.6, "coat": 0.8, "open_jacket": 1.0, "open_coat": 0.6, "dress": 0.8,
}  # fmt: skip
_LOWERS: dict[LowerKind, float] = {"trousers": 3.4, "shorts": 1.4, "skirt": 1.0, "leggings": 0.6}
_HAIR: dict[HairKind, float] = {
    "bald": 0.6, "short": 2.0, "full": 1.4, "bob": 1.0, "long": 1.4, "ponytail": 0.9, "bun": 0.6,
}  # fmt: skip
_HEADWEAR: dict[HeadwearKind, float] = {"none": 5.0, "cap": 0.9, "beanie": 0.7, "brim": 0.5, "hood": 0.5}
_BAGS: dict[BagKind, float] = {"none": 3.0, "backpack": 1.6, "shoulder": 1.3, "hand": 0.9, "tote": 0.7}
_UPPER_PATTERNS: dict[UpperPattern, float] = {
    "plain": 1.6, "hstripes": 1.4, "vstripes": 0.7, "checks": 1.0, "block": 1.2, "band": 1.0, "split": 0.6,
    "sleeves": 1.0, "yoke": 0.9, "sides": 0.7, "sash": 0.5, "print": 1.6, "zip": 0.8,
}  # fmt: skip
_LOWER_PATTERNS: dict[LowerPattern, float] = {
    "plain": 3.0, "side_stripe": 1.0, "hstripes": 0.4, "checks": 0.5, "hem": 0.7, "patches": 0.5,
}  # fmt: skip


_SHORT_SLEEVES = 0.75  # of the shirts and dresses


@dataclass(frozen=True, slots=True)
class Upper:
    """Garment of the upper body.

    Attributes:
        sleeve: share of the arm that it covers. hem: its height above the ground in body heights.
        thickness: distance from the skin, metres. loose: how far it falls straight from the chest, [0, 1].
        hood, collar: as parts of their own. flare: of a dress's or coat's skirt, metres at the hem.
        pattern: of the two dyes. period, duty, place, size: of the pattern, body heights or [0, 1].
        motif: of a print, 0..3. on_back: the print is repeated there.
    """

    kind: UpperKind
    sleeve: float
    hem: float
    thickness: float
    loose: float
    hood: bool
    collar: bool
    flare: float
    pattern: UpperPattern
    period: float
    duty: float
    place: float
    size: float
    motif: int
    on_back: bool

    @property
    def opened(self) -> bool:
        """Worn open in front, over an inner shirt."""
        return self.kind in ("open_jacket", "open_coat")

    @property
    def skirted(self) -> bool:
        """Falls below the crotch as a skirt does."""
        return self.kind in ("dress", "coat", "open_coat")


@dataclass(frozen=True, slots=True)
class Lower:
    """Garment of the legs; ``length`` is the share of the leg covered, ``width`` in [0, 1] how wide its legs are cut."""

    kind: LowerKind
    length: float
    width: float
    pattern: LowerPattern
    period: float
    place: float


@dataclass(frozen=True, slots=True)
class Outfit:
    """Everything worn and carried.

    Attributes:
        boot: height of the shoes above the ankle, metres. sole: its thickness.
        hair_length, hair_volume: [0, 1]. side: of the parting and of bags, 1 left, -1 right.
        bag_size: [0, 1]. bag_flap: has a part in the second dye. glasses, beard: on the face. thing: carried in hand.
    """

    upper: Upper
    lower: Lower
    boot: float
    sole: float
    hair: HairKind
    hair_length: float
    hair_volume: float
    headwear: HeadwearKind
    bag: BagKind
    bag_size: float
    bag_flap: bool
    side: int
    glasses: bool
    beard: bool
    thing: bool


def sample_outfit(gender: float, rng: np.random.Generator) -> Outfit:
    """Draw an outfit; ``gender`` in [0, 1] (0 is male) moves the odds of hair, skirts and beards."""
    female = gender > 0.5
    upper = _sample_upper(female, rng)
    headwear = _pick(_HEADWEAR, rng)
    hair = dict(_HAIR)
    long_odds = 1.8 if female else 0.3
    for kind in ("bob", "long", "ponytail", "bun"):
        hair[kind] *= long_odds
    hair["bald"] *= 0.1 if female else 1.5
    # the rest is drawn in the order in which the fields stand here: another order would be other people
    return Outfit(
        upper=upper,
        lower=_sample_lower(female, upper, rng),
        boot=float(rng.choice([0.0, 0.05, rng.uniform(0.12, 0.3)], p=[0.6, 0.15, 0.25])),
        sole=float(rng.uniform(0.012, 0.04)),
        hair=_pick(hair, rng),
        hair_length=float(rng.random()),
        hair_volume=float(rng.random()),
        headwear=headwear,
        bag=_pick(_BAGS, rng),
        bag_size=float(rng.random()),
        bag_flap=bool(rng.random() < 0.6),
        side=int(rng.choice([-1, 1])),
        glasses=bool(rng.random() < 0.2),
        beard=bool(not female and rng.random() < 0.3),
        thing=bool(rng.random() < 0.15),
    )


def _pick(weights: dict[_Name, float], rng: np.random.Generator) -> _Name:
    shares = np.fromiter(weights.values(), dtype=np.float64)
    return list(weights)[int(rng.choice(len(shares), p=shares / shares.sum()))]


def _sample_upper(female: bool, rng: np.random.Generator) -> Upper:
    weights = dict(_UPPERS)
    weights["dress"] *= 1.8 if female else 0.0
    kind = _pick(weights, rng)
    outdoor = kind not in ("shirt", "dress", "pullover")
    sleeve = 1.0
    if kind in {"dress", "shirt"} and rng.random() < _SHORT_SLEEVES:
        sleeve = float(rng.uniform(0.22, 0.45))
    hem_range = (0.455, 0.53)
    if kind in ("dress", "coat", "open_coat"):
        hem_range = (0.24, 0.40)
    if outdoor:
        thickness_range = (0.022, 0.04)
        least_loose = 0.75
        collar_share = 0.7
    else:
        thickness_range = (0.010, 0.022)
        least_loose = 0.45
        collar_share = 0.25
    # the rest is drawn in the order in which the fields stand here: another order would be other people
    return Upper(
        kind=kind,
        sleeve=sleeve,
        hem=float(rng.uniform(*hem_range)),
        thickness=float(rng.uniform(*thickness_range)),
        loose=float(rng.uniform(least_loose, 1.0)),
        hood=bool(kind in ("pullover", "jacket", "open_jacket", "coat") and rng.random() < 0.4),
        collar=bool(rng.random() < collar_share),
        flare=float(rng.uniform(0.0, 0.12)),
        pattern=_pick(_UPPER_PATTERNS, rng),
        period=float(rng.uniform(0.035, 0.10)),
        duty=float(rng.uniform(0.35, 0.65)),
        place=float(rng.random()),
        size=float(rng.random()),
        motif=int(rng.integers(4)),
        on_back=bool(rng.random() < 0.7),
    )


def _sample_lower(female: bool, upper: Upper, rng: np.random.Generator) -> Lower:
    weights = dict(_LOWERS)
    weights["skirt"] *= 1.3 if female and upper.kind != "dress" else 0.0
    weights["leggings"] *= 1.5 if female else 0.0
    if upper.skirted:
        weights["shorts"] *= 0.4
    kind = _pick(weights, rng)
    if upper.kind == "dress" and kind == "trousers" and rng.random() < 0.7:
        kind = "leggings" if rng.random() < 0.4 else "shorts"
    # both are drawn whatever the kind is, which keeps the draws behind them in their places
    length_of_shorts = rng.uniform(0.3, 0.55)
    length_of_skirt = rng.uniform(0.3, 0.8)
    length = {"trousers": 1.0, "leggings": 0.95, "shorts": length_of_shorts, "skirt": length_of_skirt}[kind]
    if upper.kind == "dress" and kind == "shorts":
        length = 0.2  # hidden under the dress
    return Lower(
        kind=kind,
        length=float(length),
        width=float(rng.random()),
        pattern=_pick(_LOWER_PATTERNS, rng),
        period=float(rng.uniform(0.04, 0.1)),
        place=float(rng.random()),
    )
