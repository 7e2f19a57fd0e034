"""What a person's surfaces send back: a dye's colour in visible light, a material's reflectance in the near infrared.

Near-infrared reflectance follows the material more than the dye (dyed cotton is bright whatever its colour, other dyes
stay dark): ``DYE_SHARE`` of it is the dye's lightness, the rest is drawn with the material. So colour hardly carries
over, while a pattern stays one: ``PATTERN_KEPT`` of the two-dye garments keep a contrast of ``KEPT_CONTRAST`` or more in
infrared, ``SIGN_KEPT`` of these with the dye on top that is the brighter one in visible light.
"""

from __future__ import annotations

import colorsys
from dataclasses import dataclass

import numpy as np

from crossreid.data.synthetic.body import FloatArray
from crossreid.data.synthetic.surfaces import SURFACES, Spectrum, Surface

Colour = tuple[float, float, float]

DYE_SHARE = 0.5
PATTERN_KEPT = 0.85
KEPT_CONTRAST = 0.25
VISIBLE_CONTRAST = 0.3  # least distance of a garment's two dyes in RGB
SIGN_KEPT = 0.8
_LUMINANCE = np.array([0.299, 0.587, 0.114], dtype=np.float32)

# Hue, saturation and value ranges of dyes, with odds; linear light is value squared.
_DYES: tuple[tuple[float, tuple[float, float], tuple[float, float], tuple[float, float]], ...] = (
    (2.4, (0.55, 0.75), (0.0, 0.2), (0.10, 0.28)),  # black, anthracite
    (1.6, (0.58, 0.66), (0.3, 0.7), (0.18, 0.45)),  # navy, denim
    (1.4, (0.0, 1.0), (0.0, 0.06), (0.35, 0.75)),  # grey
    (1.5, (0.08, 0.6), (0.0, 0.07), (0.82, 0.97)),  # white
    (1.1, (0.07, 0.13), (0.15, 0.45), (0.45, 0.85)),  # beige, camel
    (0.7, (0.03, 0.09), (0.4, 0.7), (0.25, 0.5)),  # brown
    (0.7, (0.18, 0.38), (0.25, 0.6), (0.25, 0.6)),  # olive, green
    (1.1, (0.96, 1.02), (0.55, 0.85), (0.45, 0.85)),  # red, bordeaux
    (0.9, (0.54, 0.64), (0.4, 0.75), (0.55, 0.9)),  # blue
    (0.5, (0.10, 0.16), (0.55, 0.85), (0.75, 0.95)),  # yellow, orange
    (0.5, (0.75, 0.95), (0.25, 0.55), (0.45, 0.85)),  # violet, pink
    (0.4, (0.44, 0.52), (0.35, 0.7), (0.45, 0.8)),  # teal
)
_ODDS = tuple(dye[0] for dye in _DYES)
_TROUSER_ODDS = (3.0, 3.5, 1.6, 0.6, 1.4, 0.8, 0.6, 0.3, 0.5, 0.1, 0.1, 0.1)


@dataclass(frozen=True)
class Wardrobe:
    """Surfaces of one identity; the second entry of a surface is its other dye.

    Attributes:
        visible: RGB albedo, linear light, (S, 2, 3). infrared: reflectance, (S, 2). warmth: how warm the outside of a
            surface is, 0 the air, 1 the skin: what long-wave thermal cameras see, (S, 2).
    """

    visible: FloatArray
    infrared: FloatArray
    warmth: FloatArray

    def seen_by(self, spectrum: Spectrum) -> FloatArray:
        """What a camera of this spectrum sees of each surface and dye, (S, 2, C)."""
        if spectrum == "visible":
            return self.visible
        grey = self.infrared if spectrum == "near_infrared" else self.warmth
        return grey[..., None]


def sample_wardrobe(rng: np.random.Generator) -> Wardrobe:
    """Dyes and materials of one person."""
    visible = np.zeros((SURFACES, 2, 3), dtype=np.float32)
    infrared = np.zeros((SURFACES, 2), dtype=np.float32)
    warmth = np.zeros((SURFACES, 2), dtype=np.float32)
    for surface in Surface:
        odds = _ODDS
        if surface in (Surface.LOWER, Surface.SHOE):
            odds = _TROUSER_ODDS
        first, second = _dyes(odds, rng)
        visible[surface] = first, second
        infrared[surface] = _reflectances(float(first @ _LUMINANCE), float(second @ _LUMINANCE), rng)
        warmth[surface] = rng.uniform(0.3, 0.62) + np.array([0, rng.normal(0, 0.05)])
    visible[Surface.SKIN] = _skin(rng)
    infrared[Surface.SKIN] = rng.uniform(0.55, 0.68), 0.3
    warmth[Surface.SKIN] = rng.uniform(0.9, 1.0)
    visible[Surface.HAIR] = _hair(rng)
    infrared[Surface.HAIR] = rng.uniform(0.16, 0.42)
    warmth[Surface.HAIR] = rng.uniform(0.45, 0.6)
    for surface in (Surface.SHOE, Surface.BAG, Surface.THING):
        warmth[surface] = rng.uniform(0.12, 0.35)
    return Wardrobe(visible, infrared, warmth)


def _dyes(odds: tuple[float, ...], rng: np.random.Generator) -> tuple[FloatArray, FloatArray]:
    first = second = _dye(odds, rng)
    # compared as they are seen: the root of linear light
    while np.linalg.norm(np.sqrt(first) - np.sqrt(second)) < VISIBLE_CONTRAST:
        second = _dye(_ODDS, rng)
    return first, second


def _dye(odds: tuple[float, ...], rng: np.random.Generator) -> FloatArray:
    chosen = int(rng.choice(len(_DYES), p=np.array(odds) / sum(odds)))
    _, hue, saturation, value = _DYES[chosen]
    colour = colorsys.hsv_to_rgb(rng.uniform(*hue) % 1, rng.uniform(*saturation), rng.uniform(*value))
    return np.array(colour, dtype=np.float32) ** 2


def _reflectances(first: float, second: float, rng: np.random.Generator) -> tuple[float, float]:
    """Of a garment's two dyes with these luminances, linear light."""
    base = _reflectance(first, rng)
    if rng.random() >= PATTERN_KEPT:
        return base, float(np.clip(base + rng.uniform(-0.05, 0.05), 0.05, 0.95))
    sign = 1 if second > first else -1
    if rng.random() >= SIGN_KEPT:
        sign = -sign
    other = _reflectance(second, rng)
    for _ in range(20):
        if sign * (other - base) >= KEPT_CONTRAST:
            return base, other
        other = _reflectance(second, rng)
    # no draw is far enough on that side: take the side that has room
    sign = 1 if base < 0.5 else -1
    return base, float(base + sign * rng.uniform(KEPT_CONTRAST, 0.4))


def _reflectance(luminance: float, rng: np.random.Generator) -> float:
    material = float(rng.beta(0.7, 0.7))  # rather near 0 or 1 than between
    return 0.04 + 0.9 * float(DYE_SHARE * luminance**0.5 + (1 - DYE_SHARE) * material)


def _skin(rng: np.random.Generator) -> tuple[Colour, Colour]:
    light = rng.choice([rng.uniform(0.42, 0.62), rng.uniform(0.2, 0.42), rng.uniform(0.07, 0.2)], p=[0.6, 0.25, 0.15])
    red = (light, light * rng.uniform(0.6, 0.68), light * rng.uniform(0.42, 0.52))
    return red, (red[0] * 0.45, red[1] * 0.35, red[2] * 0.32)


def _hair(rng: np.random.Generator) -> tuple[Colour, Colour]:
    value = float(rng.choice([0.13, 0.2, 0.32, 0.55, 0.7], p=[0.35, 0.3, 0.18, 0.1, 0.07]))
    hue = rng.uniform(0.05, 0.1)
    saturation = 0.08
    if value != 0.7:  # the lightest is grey
        saturation = rng.uniform(0.25, 0.6)
    colour = colorsys.hsv_to_rgb(hue, saturation, value)
    linear = (colour[0] ** 2, colour[1] ** 2, colour[2] ** 2)
    return linear, linear
