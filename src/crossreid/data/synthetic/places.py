"""Where the cameras hang: a shell with floor and walls, and boxes in it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from crossreid.data.synthetic.cameras import PlaceName

INDOORS = ("lobby", "classroom")
_STREAM = 3
_PLACES: tuple[PlaceName, ...] = ("lobby", "classroom", "yard", "gate", "street")
_WALL_THINGS = ((0.0, 2.1, 0.2), (1.0, 2.2, 0.35), (1.3, 2.0, 0.45), (0.0, 0.8, 0.3))
"""What is at the walls of a room: lower and upper edge in metres, and tint of its colour."""


@dataclass(frozen=True)
class Stuff:
    """A material of a place.

    Attributes:
        colour: albedo, linear light. infrared: reflectance. rough: contrast of its spots. grain: their size, metres.
        tile: spacing of joints, metres, 0 is none. joint: how dark they are, [0, 1].
    """

    colour: tuple[float, float, float]
    infrared: float
    rough: float = 0.15
    grain: float = 0.5
    tile: float = 0.0
    joint: float = 0.3


@dataclass(frozen=True)
class Box:
    """An axis-aligned box of one stuff, metres; ``low`` and ``high`` corners."""

    low: tuple[float, float, float]
    high: tuple[float, float, float]
    stuff: Stuff


@dataclass(frozen=True)
class Place:
    """A shell seen from inside, with its floor, walls and ceiling (or sky), and the boxes in it."""

    half_width: float
    front: float  # z of the wall behind the camera
    back: float  # z of the far wall
    ceiling: float
    floor: Stuff
    wall: Stuff
    top: Stuff
    boxes: tuple[Box, ...]


@lru_cache(maxsize=8)
def make_place(name: PlaceName) -> Place:
    """A place; it depends on nothing but its name."""
    rng = np.random.default_rng((_STREAM, _PLACES.index(name)))
    if name in INDOORS:
        return _indoors(name, rng)
    return _outdoors(name, rng)


def _stuff(rng: np.random.Generator, grey: tuple[float, float], tint: float = 0.1, **looks: float) -> Stuff:
    value = rng.uniform(*grey)
    colour = np.clip(value * (1 + rng.uniform(-tint, tint, 3)), 0.01, 0.95)
    return Stuff((float(colour[0]), float(colour[1]), float(colour[2])), float(rng.uniform(0.15, 0.7)), **looks)


def _indoors(name: PlaceName, rng: np.random.Generator) -> Place:
    if name == "lobby":
        half, back = 5.5, -7.0
        pillars: tuple[float, ...] = (-2.8, 2.6)
        benches = 3
    else:
        half, back = 5.0, -5.0
        pillars = ()
        benches = 5
    boxes: list[Box] = []
    for wall in ("back", "left", "right"):
        boxes += _along_wall(wall, half, back, rng)
    skirting = _stuff(rng, (0.1, 0.3))
    boxes.append(Box((-half, 0, back), (half, 0.12, back + 0.03), skirting))
    for x in pillars:
        boxes.append(Box((x - 0.3, 0, back + 1.2), (x + 0.3, 3.4, back + 1.8), _stuff(rng, (0.4, 0.6))))
    for _ in range(benches):  # and desks, along the far end
        left = float(rng.uniform(-half + 0.5, half - 1.8))
        near = back + float(rng.uniform(0.5, 1.4))
        boxes.append(Box((left, 0.4, near), (left + 1.3, 0.75, near + 0.5), _stuff(rng, (0.1, 0.5), 0.35)))
    floor = _stuff(rng, (0.25, 0.5), 0.12, rough=0.12, grain=0.8, tile=0.6, joint=0.35)
    wall_paint = _stuff(rng, (0.5, 0.7), 0.1, rough=0.08)
    ceiling = _stuff(rng, (0.6, 0.8), 0.03)
    return Place(half, 8.0, back, 3.2, floor, wall_paint, ceiling, tuple(boxes))


def _along_wall(wall: str, half: float, back: float, rng: np.random.Generator) -> list[Box]:
    """What stands or hangs along one wall of a room, from one end to the other."""
    if wall == "back":
        low, high = -half, half
    else:
        low, high = back, 7.0
    boxes = []
    at = low + rng.uniform(0.2, 0.8)
    while at < high - 1.5:
        wide = float(rng.uniform(0.7, 1.8))
        bottom, top, tint = _WALL_THINGS[int(rng.integers(len(_WALL_THINGS)))]
        stuff = _stuff(rng, (0.06, 0.75), tint, rough=0.25, grain=0.4)
        deep = 0.45 if top < 1 else 0.04
        if wall == "back":
            boxes.append(Box((at, bottom, back), (at + wide, top, back + deep), stuff))
        else:
            inner = -half if wall == "left" else half - deep
            boxes.append(Box((inner, bottom, at), (inner + deep, top, at + wide), stuff))
        at += wide + float(rng.uniform(0.3, 1.4))
    return boxes


def _outdoors(name: PlaceName, rng: np.random.Generator) -> Place:
    half, back = 30.0, -26.0
    facade_tile = 1.1 if name == "gate" else 0.0
    facade = _stuff(rng, (0.2, 0.5), 0.2, rough=0.15, grain=1.2, tile=facade_tile)
    front = back + 9.0  # z of the building
    floor_tile = 0.9
    if name == "street":
        front = back + 4.0
        floor_tile = 0.0
    boxes = [Box((-16.0, 0, front - 6), (17.0, 9.0, front), facade)]
    for x in np.arange(-15.0, 16.0, 2.6):
        for y in (1.0, 4.2):  # the windows of two floors
            if rng.random() < 0.85:
                stuff = _stuff(rng, (0.03, 0.14), 0.3, rough=0.4, grain=0.6)
                boxes.append(Box((float(x), y, front), (float(x) + 1.4, y + 1.9, front + 0.08), stuff))
    for _ in range(9):  # hedges and bushes, bright in the near infrared
        x = float(rng.uniform(-12, 12))
        z = float(rng.uniform(front + 0.5, -4.0))
        wide = float(rng.uniform(0.8, 3.2))
        green = Stuff((0.06 + 0.04 * rng.random(), 0.09 + 0.04 * rng.random(), 0.035), 0.6, 0.75, 0.16)
        boxes.append(Box((x, 0, z), (x + wide, float(rng.uniform(0.5, 1.8)), z + 0.8), green))
    for _ in range(4):  # cars, bins, kiosks
        x = float(rng.uniform(-11, 9))
        z = float(rng.uniform(front + 1, -5))
        stuff = _stuff(rng, (0.04, 0.5), 0.4, rough=0.2)
        boxes += [
            Box((x, 0.25, z), (x + 3.6, 0.95, z + 1.5), stuff),
            Box((x + 0.8, 0.9, z + 0.1), (x + 2.8, 1.4, z + 1.4), _stuff(rng, (0.03, 0.1), 0.2)),
        ]
    for x in (-5.5, 4.0, 8.5):
        boxes.append(Box((x, 0, -3.5), (x + 0.14, 5.0, -3.36), _stuff(rng, (0.1, 0.3))))
    boxes.append(Box((-30, 0, -3.0), (30, 0.1, -2.6), _stuff(rng, (0.35, 0.5))))  # a kerb
    floor = _stuff(rng, (0.16, 0.34), 0.08, rough=0.25, grain=0.35, tile=floor_tile, joint=0.25)
    sky = Stuff((0.75, 0.85, 1.0), 0.02, 0.05, 20.0)
    return Place(half, 20.0, back, 40.0, floor, sky, sky, tuple(boxes))
