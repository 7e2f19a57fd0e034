"""Bags: on the back, at the hip, in the hand."""

from __future__ import annotations

import math

from crossreid.data.synthetic.clothes import diagonal
from crossreid.data.synthetic.drawing import Pen, Tube, View, far_bit, make_tube
from crossreid.data.synthetic.materials import FAR, Material
from crossreid.data.synthetic.people import Person
from crossreid.data.synthetic.pose import Point, Skeleton

_BAG, _TONE = int(Material.BAG), int(Material.BAG_TONE)


def draw_straps(pen: Pen, person: Person, torso: Tube) -> None:
    """What holds a backpack or a shoulder bag, on the upper garment."""
    if person.extras.bag == "backpack":
        for angle in (-0.62, 0.62):
            pen.patch(torso, (angle - 0.14, angle + 0.14), (0.02, 0.5), _TONE)
    if person.extras.bag == "shoulder":
        for back in (0.0, math.pi):
            way = person.extras.side if back == 0.0 else -person.extras.side
            diagonal(pen, torso, back, way, 0.16, _TONE)


def draw_backpack(pen: Pen, view: View, person: Person, skeleton: Skeleton) -> None:
    """A box behind the back."""
    size = person.extras.bag_size
    half, deep = 0.06 + 0.035 * size, 0.03 + 0.025 * size
    x, y, z = skeleton.neck
    middle = z - 0.05 - deep
    widths = ((0.0, half * 0.75), (0.12, half), (1.0, half))
    top, bottom = (x, y - 0.02, middle), (x, y - 0.2 - 0.1 * size, middle - 0.01)
    pack = make_tube(view, top, bottom, widths, deep / half)
    far = FAR if math.cos(view.yaw) > 0.2 else 0
    pen.tube(pack, _BAG | far)
    if person.extras.bag_flap:
        pen.patch(pack, (math.pi * 0.5, math.pi * 1.5), (0.55, 0.85), _TONE | far)


def hip_bag_place(person: Person, skeleton: Skeleton) -> Point:
    """Where a shoulder bag hangs."""
    x, y, z = skeleton.pelvis
    return (x + person.extras.side * (person.build.hips * 1.1 + 0.03), y, z)


def draw_bag(pen: Pen, view: View, person: Person, place: Point) -> None:
    """A bag hanging flat at the side: wide along Z, thin along X, ``place`` is the middle of its upper edge."""
    size = person.extras.bag_size
    deep, tall = 0.055 + 0.05 * size, 0.09 + 0.08 * size
    far = far_bit(view, place, 0.06)
    x, y, z = place
    bag = make_tube(view, (x, y + 0.03, z), (x, y + 0.03 - tall, z), ((0.0, 0.035), (1.0, 0.04)), deep / 0.038)
    pen.tube(bag, _BAG | far)
    if person.extras.bag_flap:
        pen.band(bag, 0.0, 0.4, _TONE | far)
