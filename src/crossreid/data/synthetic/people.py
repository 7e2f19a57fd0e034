"""Sampling an identity: build, cut and pattern of the clothes, hair, bag. All of it can be seen in both modalities."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeVar

import numpy as np

from crossreid.data.synthetic.materials import Wardrobe, sample_wardrobe

UpperPattern = Literal[
    "plain", "hstripes", "vstripes", "checks", "band", "split", "sleeves", "yoke", "sides", "sash", "print", "open"
]
LowerPattern = Literal["plain", "side_stripe", "hstripes", "checks", "hem", "patches", "two_legs"]
BagKind = Literal["none", "backpack", "shoulder", "hand"]
HairKind = Literal["bald", "short", "long", "bun", "hat"]

_STREAM = 2
_Name = TypeVar("_Name", bound=str)

_UPPER: dict[UpperPattern, float] = {
    "plain": 1.2, "hstripes": 1.5, "vstripes": 1.0, "checks": 1.0, "band": 1.0, "split": 1.0, "sleeves": 1.0,
    "yoke": 0.7, "sides": 0.7, "sash": 0.7, "print": 1.5, "open": 0.8,
}  # fmt: skip
_LOWER: dict[LowerPattern, float] = {
    "plain": 2.2, "side_stripe": 1.0, "hstripes": 0.6, "checks": 0.6, "hem": 1.0, "patches": 0.6, "two_legs": 0.4,
}  # fmt: skip
_BAGS: dict[BagKind, float] = {"none": 3.0, "backpack": 1.5, "shoulder": 1.2, "hand": 1.2}
_HAIR: dict[HairKind, float] = {"bald": 0.7, "short": 2.0, "long": 1.5, "bun": 0.8, "hat": 1.2}


@dataclass(frozen=True, slots=True)
class Build:
    """Proportions. Lengths in body heights, the others are factors around 1."""

    stature: float
    hip: float  # height of the hip joint above the ground
    shoulders: float  # half the width between the shoulder joints
    hips: float  # half the width of the pelvis
    waist: float
    limbs: float
    head: float
    stride: float


@dataclass(frozen=True, slots=True)
class Upper:
    """Garment of the upper body. ``sleeve`` in [0, 1] of the arm, ``hem`` is its height above the ground in body heights."""

    sleeve: float
    hem: float
    looseness: float
    pattern: UpperPattern
    period: float  # of stripes, in body heights
    duty: float
    place: float  # of a band, split or print down the garment, [0, 1]
    size: float  # [0, 1]
    shape: int  # of a print, 0..3
    back_print: bool
    cuffs: bool


@dataclass(frozen=True, slots=True)
class Lower:
    """Garment of the legs. ``length`` in [0, 1] of the way from the hip to the ankle."""

    skirt: bool
    length: float
    width: float
    pattern: LowerPattern
    period: float
    place: float
    size: float
    belt: float  # height of the belt in body heights, 0 is none


@dataclass(frozen=True, slots=True)
class Extras:
    """Hair, bag and shoes; ``side`` is -1 (left) or 1 (right)."""

    hair: HairKind
    hair_length: float
    brim: bool
    bag: BagKind
    bag_size: float
    bag_flap: bool
    side: int
    boots: float  # height of the shoes up the shin, [0, 1]
    sole: float


@dataclass(frozen=True, slots=True)
class Person:
    """One identity; everything that stays the same from frame to frame and from camera to camera."""

    build: Build
    upper: Upper
    lower: Lower
    extras: Extras
    wardrobe: Wardrobe


def sample_person(seed: int, pid: int) -> Person:
    """The identity ``pid`` of the world ``seed``."""
    rng = np.random.default_rng((seed, _STREAM, pid))
    build = _sample_build(rng)
    return Person(build, _sample_upper(rng, build), _sample_lower(rng), _sample_extras(rng), sample_wardrobe(rng))


def _pick(weights: dict[_Name, float], rng: np.random.Generator) -> _Name:
    shares = np.fromiter(weights.values(), dtype=np.float64)
    return list(weights)[int(rng.choice(len(shares), p=shares / shares.sum()))]


def _sample_build(rng: np.random.Generator) -> Build:
    stoutness = rng.normal(1.0, 0.16)
    return Build(
        stature=float(rng.uniform(0.9, 1.06)),
        hip=float(rng.uniform(0.47, 0.53)),
        shoulders=float(0.105 * np.clip(stoutness * rng.normal(1.0, 0.08), 0.72, 1.4)),
        hips=float(0.085 * np.clip(stoutness * rng.normal(1.0, 0.1), 0.75, 1.4)),
        waist=float(np.clip(stoutness * rng.normal(1.0, 0.1), 0.75, 1.45)),
        limbs=float(np.clip(stoutness * rng.normal(1.0, 0.12), 0.7, 1.4)),
        head=float(rng.uniform(0.88, 1.14)),
        stride=float(rng.uniform(0.7, 1.2)),
    )


def _sample_upper(rng: np.random.Generator, build: Build) -> Upper:
    long_coat = rng.random() < 0.3
    hem = rng.uniform(0.24, 0.4) if long_coat else build.hip + rng.uniform(-0.06, 0.07)
    return Upper(
        sleeve=float(rng.choice([rng.uniform(0.0, 0.15), rng.uniform(0.3, 0.6), 1.0], p=[0.1, 0.35, 0.55])),
        hem=float(hem),
        looseness=float(rng.uniform(0.95, 1.25)),
        pattern=_pick(_UPPER, rng),
        period=float(rng.uniform(0.06, 0.18)),
        duty=float(rng.uniform(0.35, 0.65)),
        place=float(rng.uniform(0.2, 0.8)),
        size=float(rng.random()),
        shape=int(rng.integers(4)),
        back_print=bool(rng.random() < 0.75),
        cuffs=bool(rng.random() < 0.25),
    )


def _sample_lower(rng: np.random.Generator) -> Lower:
    skirt = bool(rng.random() < 0.35)
    cut = rng.choice(
        [rng.uniform(0.25, 0.5), rng.uniform(0.6, 0.8), 1.0], p=[0.5, 0.4, 0.1] if skirt else [0.3, 0.1, 0.6]
    )
    return Lower(
        skirt=skirt,
        length=float(cut),
        width=float(rng.uniform(0.95, 1.5)),
        pattern=_pick(_LOWER, rng),
        period=float(rng.uniform(0.06, 0.18)),
        place=float(rng.uniform(0.25, 0.75)),
        size=float(rng.random()),
        belt=float(rng.uniform(0.018, 0.035)) if rng.random() < 0.35 else 0.0,
    )


def _sample_extras(rng: np.random.Generator) -> Extras:
    return Extras(
        hair=_pick(_HAIR, rng),
        hair_length=float(rng.random()),
        brim=bool(rng.random() < 0.5),
        bag=_pick(_BAGS, rng),
        bag_size=float(rng.random()),
        bag_flap=bool(rng.random() < 0.5),
        side=int(rng.choice([-1, 1])),
        boots=float(rng.choice([0.0, rng.uniform(0.2, 0.7)], p=[0.7, 0.3])),
        sole=float(rng.choice([0.0, 1.0])),
    )
