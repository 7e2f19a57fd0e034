"""What a person is made of: a colour for visible light and, drawn apart from it, a reflectance in the near infrared."""

from __future__ import annotations

import colorsys
from dataclasses import dataclass
from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

Colour = tuple[float, float, float]

FAR, EDGE = 32, 64  # bits on top of a material: on the far side of the body; on the contour of a part
TABLE_SIZE = 128
_FAR_SHADE, _EDGE_SHADE = 0.78, 0.72
_VISIBLE_CONTRAST, _INFRARED_CONTRAST = 0.5, 0.32  # least distance of a garment's two tones
_BRIGHT_TONE_SHARE = 0.85  # of the garments have the brighter tone on top in infrared
_NEUTRAL_SHARE = 0.55  # of the dyes are black, grey, white or beige


class Material(IntEnum):
    """Index of a surface in the drawn figure; 0 is no person."""

    NONE = 0
    SKIN = 1
    HAIR = 2
    UPPER = 3
    UPPER_TONE = 4
    LOWER = 5
    LOWER_TONE = 6
    SHOE = 7
    SOLE = 8
    BAG = 9
    BAG_TONE = 10
    BELT = 11
    HAT = 12
    EYE = 13


@dataclass(frozen=True, slots=True)
class Wardrobe:
    """Surfaces of one identity in both spectra.

    Attributes:
        visible: RGB of each material, [0, 1].
        infrared: reflectance of each material, [0, 1].
    """

    visible: tuple[Colour, ...]
    infrared: tuple[float, ...]

    def visible_table(self) -> NDArray[np.uint8]:
        """Colour of each index of a drawn figure, (TABLE_SIZE, 3)."""
        return _shaded(np.asarray(self.visible, dtype=np.float32))

    def infrared_table(self) -> NDArray[np.uint8]:
        """Grey of each index of a drawn figure, (TABLE_SIZE, 1)."""
        return _shaded(np.asarray(self.infrared, dtype=np.float32)[:, None])


def _shaded(values: NDArray[np.float32]) -> NDArray[np.uint8]:
    table = np.zeros((TABLE_SIZE, values.shape[1]), dtype=np.float32)
    for bits in (0, FAR, EDGE, FAR | EDGE):
        shade = (_FAR_SHADE if bits & FAR else 1.0) * (_EDGE_SHADE if bits & EDGE else 1.0)
        table[bits : bits + len(values)] = values * shade
    return np.round(table * 255).astype(np.uint8)


def sample_wardrobe(rng: np.random.Generator) -> Wardrobe:
    """Dyes first, then reflectances from fresh numbers: one says nothing of the other."""
    visible: list[Colour] = [(0.0, 0.0, 0.0)] * len(Material)
    infrared = [0.0] * len(Material)
    visible[Material.SKIN] = _skin(rng)
    visible[Material.HAIR] = _hair(rng)
    for first, second in _TONES:
        visible[first] = _dye(rng)
        visible[second] = _dye_unlike(rng, visible[first])
    for first, second in _TONES:
        infrared[first], infrared[second] = _reflectances(rng)
    infrared[Material.SKIN] = float(rng.uniform(0.8, 0.9))
    infrared[Material.HAIR] = float(rng.uniform(0.3, 0.5))
    visible[Material.EYE], infrared[Material.EYE] = (0.08, 0.06, 0.06), 1.0  # eyes throw the lamp's light back
    return Wardrobe(tuple(visible), tuple(infrared))


_TONES = (
    (Material.UPPER, Material.UPPER_TONE),
    (Material.LOWER, Material.LOWER_TONE),
    (Material.SHOE, Material.SOLE),
    (Material.BAG, Material.BAG_TONE),
    (Material.HAT, Material.BELT),
)


def _skin(rng: np.random.Generator) -> Colour:
    light = rng.uniform(0.4, 0.92)
    return (float(light), float(light * rng.uniform(0.72, 0.8)), float(light * rng.uniform(0.55, 0.66)))


def _hair(rng: np.random.Generator) -> Colour:
    return colorsys.hsv_to_rgb(rng.uniform(0.04, 0.11), rng.uniform(0.2, 0.7), rng.choice([0.1, 0.2, 0.35, 0.65]))


def _dye(rng: np.random.Generator) -> Colour:
    if rng.random() < _NEUTRAL_SHARE:
        return colorsys.hsv_to_rgb(rng.uniform(0.05, 0.65), rng.uniform(0.0, 0.12), rng.uniform(0.08, 0.95))
    return colorsys.hsv_to_rgb(rng.random(), rng.uniform(0.2, 0.7), rng.uniform(0.2, 0.9))


def _dye_unlike(rng: np.random.Generator, other: Colour) -> Colour:
    while True:
        colour = _dye(rng)
        if sum((a - b) ** 2 for a, b in zip(colour, other, strict=True)) ** 0.5 >= _VISIBLE_CONTRAST:
            return colour


def _reflectances(rng: np.random.Generator) -> tuple[float, float]:
    """Of the cloth and of its second tone: a print or a tape, more often the brighter of the two."""
    dark = float(rng.uniform(0.2, 0.5))
    bright = float(rng.uniform(dark + _INFRARED_CONTRAST, 0.95))
    return (dark, bright) if rng.random() < _BRIGHT_TONE_SHARE else (bright, dark)
