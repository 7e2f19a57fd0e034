"""What the faces of a figure are made of, and in which light it is seen."""

from enum import IntEnum
from typing import Literal

Spectrum = Literal["visible", "near_infrared", "thermal"]


class Surface(IntEnum):
    """Index of a surface."""

    SKIN = 0
    HAIR = 1
    UPPER = 2  # the outer garment of the upper body, with a dress's or a coat's skirt
    INNER = 3  # what shows under an open coat
    LOWER = 4
    SHOE = 5
    BAG = 6
    HAT = 7
    THING = 8  # a phone, a paper, a bottle


SURFACES = len(Surface)
