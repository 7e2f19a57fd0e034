"""Head, face, hair and hat."""

from __future__ import annotations

import math

from crossreid.data.synthetic.drawing import Pen, Tube, View, make_tube
from crossreid.data.synthetic.materials import FAR, Material
from crossreid.data.synthetic.people import Person
from crossreid.data.synthetic.pose import Skeleton

_SKIN, _HAIR, _HAT, _EYE = int(Material.SKIN), int(Material.HAIR), int(Material.HAT), int(Material.EYE)
_OVAL = ((0.0, 0.35), (0.1, 0.68), (0.25, 0.93), (0.45, 1.0), (0.7, 0.88), (0.88, 0.62), (1.0, 0.38))
_HALF_WIDTH = 0.05
_FACE = 1.25  # half the angle of the face around the head


def _skull(view: View, person: Person, skeleton: Skeleton) -> Tube:
    half = _HALF_WIDTH * person.build.head
    return make_tube(view, skeleton.crown, skeleton.chin, tuple((v, w * half) for v, w in _OVAL), 1.12)


def draw_head(pen: Pen, view: View, person: Person, skeleton: Skeleton) -> None:
    """Neck and head; long hair is drawn apart, since it may lie behind the body."""
    x, y, z = skeleton.neck
    neck = make_tube(view, (x, y + 0.05, z), (x, y - 0.02, z), ((0.0, 0.026), (1.0, 0.032)))
    pen.tube(neck, _SKIN | FAR, edge=False)
    kind = person.extras.hair
    skull = _skull(view, person, skeleton)
    if kind == "bun" and math.cos(view.yaw) > 0:
        _draw_bun(pen, view, person, skeleton)
    pen.tube(skull, _SKIN if kind == "bald" else _HAIR)
    hairline = 0.3 if kind in ("short", "hat") else 0.24
    pen.patch(skull, (-_FACE, _FACE), (hairline, 1.0), _SKIN)
    if kind in ("short", "hat"):
        pen.band(skull, 0.8, 1.0, _SKIN)
    for angle in (-0.42, 0.42):
        across = skull.visible_span(angle - 0.1, angle + 0.1)
        if across is not None:
            pen.disc(skull.place(sum(across) / 2, 0.5), 0.006 * view.scale, 0.006 * view.scale, _EYE)
    if kind == "bun" and math.cos(view.yaw) <= 0:
        _draw_bun(pen, view, person, skeleton)
    if kind == "hat":
        _draw_hat(pen, view, person, skull)


def _draw_bun(pen: Pen, view: View, person: Person, skeleton: Skeleton) -> None:
    x, y, z = skeleton.crown
    radius = (0.022 + 0.014 * person.extras.hair_length) * view.scale
    pen.disc(view.project((x, y - 0.005, z - 0.03)), radius, radius, _HAIR, edge=True)


def _draw_hat(pen: Pen, view: View, person: Person, skull: Tube) -> None:
    low = 0.3 + 0.08 * person.extras.hair_length
    crown = [skull.place(-1.12, low), skull.place(-1.1, 0.05), skull.place(-0.7, -0.1)]
    crown += [skull.place(0.7, -0.1), skull.place(1.1, 0.05), skull.place(1.12, low)]
    pen.fill(crown, _HAT, edge=True)
    if person.extras.brim:  # all round, or a peak in front
        pen.fill(
            [skull.place(-1.7, low), skull.place(-1.7, low + 0.1), skull.place(1.7, low + 0.1), skull.place(1.7, low)],
            _HAT,
        )
        return
    front = skull.visible_span(-0.9, 0.9)
    if front is not None:
        left, right = (edge * (1.8 if abs(edge) > 0.99 else 1.1) for edge in front)
        pen.fill(
            [
                skull.place(left, low),
                skull.place(left, low + 0.1),
                skull.place(right, low + 0.1),
                skull.place(right, low),
            ],
            _HAT,
        )


def draw_long_hair(pen: Pen, view: View, person: Person, skeleton: Skeleton) -> None:
    """Hair that falls behind the shoulders."""
    half = _HALF_WIDTH * person.build.head
    x, y, z = skeleton.crown
    end = (x, skeleton.chin[1] - 0.03 - 0.12 * person.extras.hair_length, z - 0.035)
    widths = ((0.0, 0.5 * half), (0.15, 0.95 * half), (0.4, 1.15 * half), (1.0, 1.0 * half))
    pen.tube(make_tube(view, (x, y - 0.01, z - 0.02), end, widths, 0.8), _HAIR)
