"""Patterns on garments: which parts of a tube of cloth carry the second tone. The same in visible and in infrared."""

from __future__ import annotations

import math
from collections.abc import Callable

from crossreid.data.synthetic.drawing import Pen, Spot, Tube
from crossreid.data.synthetic.materials import Material
from crossreid.data.synthetic.people import Lower, Upper, UpperPattern

_UPPER, _TONE = int(Material.UPPER), int(Material.UPPER_TONE)


def rings(pen: Pen, tube: Tube, period: float, duty: float, material: int, offset: float = 0.0) -> None:
    """Horizontal stripes; ``period`` and ``offset`` (cloth above this tube) in body heights, ``duty`` in (0, 1)."""
    step = period / tube.length
    v = -math.fmod(offset, period) / tube.length + step * (1 - duty)
    while v < 1:
        pen.band(tube, v, v + step * duty, material)
        v += step


def lines(pen: Pen, tube: Tube, period: float, duty: float, material: int) -> None:
    """Stripes along the tube; a period of 0.06 body heights goes 17 times round, 0.18 six times."""
    count = max(6, round(1.0 / period))
    step = 2 * math.pi / count
    for index in range(count):
        pen.patch(tube, (index * step, (index + duty) * step), (0.0, 1.0), material)


def paint_upper(pen: Pen, torso: Tube, upper: Upper) -> None:
    """The garment of the upper body without sleeves; v runs from the neck to the hem."""
    pen.tube(torso, _UPPER)
    painter = _PAINTERS.get(upper.pattern)
    if painter is not None:
        painter(pen, torso, upper)
    if upper.cuffs:
        pen.band(torso, 0.94, 1.0, _TONE)


def _rings(pen: Pen, torso: Tube, upper: Upper) -> None:
    rings(pen, torso, upper.period, upper.duty, _TONE)


def _lines(pen: Pen, torso: Tube, upper: Upper) -> None:
    lines(pen, torso, upper.period, upper.duty, _TONE)


def _checks(pen: Pen, torso: Tube, upper: Upper) -> None:
    rings(pen, torso, upper.period, 0.35, _TONE)
    lines(pen, torso, upper.period, 0.35, _TONE)


def _band(pen: Pen, torso: Tube, upper: Upper) -> None:
    half = 0.08 + 0.12 * upper.size
    pen.band(torso, upper.place - half, upper.place + half, _TONE)


def _split(pen: Pen, torso: Tube, upper: Upper) -> None:
    pen.band(torso, 0.3 + 0.5 * upper.place, 1.0, _TONE)


def _yoke(pen: Pen, torso: Tube, upper: Upper) -> None:
    pen.band(torso, 0.0, 0.18 + 0.2 * upper.size, _TONE)


def _sides(pen: Pen, torso: Tube, upper: Upper) -> None:
    half = 0.3 + 0.45 * upper.size
    for side in (-math.pi / 2, math.pi / 2):
        pen.patch(torso, (side - half, side + half), (0.1, 1.0), _TONE)


def _sash(pen: Pen, torso: Tube, upper: Upper) -> None:
    way = 1 if upper.shape % 2 else -1
    half = 0.25 + 0.3 * upper.size
    for back in (0.0, math.pi):
        diagonal(pen, torso, back, way if back == 0.0 else -way, half, _TONE)


def diagonal(pen: Pen, tube: Tube, centre: float, way: int, half: float, material: int) -> None:
    """A belt across the front (centre 0) or the back (pi), falling towards positive angles for ``way`` 1."""
    steps = 8
    for index in range(steps):
        angle = centre + way * (-1.1 + 2.2 * (index + 0.5) / steps)
        pen.patch(tube, (angle - half, angle + half), (index / steps, (index + 1) / steps), material)


def _print(pen: Pen, torso: Tube, upper: Upper) -> None:
    size = 0.45 + 0.45 * upper.size
    centre_v = 0.25 + 0.3 * upper.place
    corners = [(size * x, 0.45 * size * y) for x, y in _PRINTS[upper.shape]]
    for angle in (0.0, math.pi) if upper.back_print else (0.0,):
        pen.shape(torso, (angle, centre_v), corners, _TONE)


def _open(pen: Pen, torso: Tube, upper: Upper) -> None:
    half = 0.2 + 0.35 * upper.size
    pen.shape(torso, (0.0, 0.5), [(-half, -0.5), (half, -0.5), (half * 1.3, 0.5), (-half * 1.3, 0.5)], _TONE)


_PRINTS: tuple[list[Spot], ...] = (
    [(math.cos(k * math.pi / 6), math.sin(k * math.pi / 6)) for k in range(12)],
    [(-1.1, -0.55), (1.1, -0.55), (1.1, 0.55), (-1.1, 0.55)],
    [(0.0, -1.0), (1.1, 0.9), (-1.1, 0.9)],
    [(-0.4, -1.1), (0.4, -1.1), (0.4, -0.3), (1.1, -0.3), (1.1, 0.3), (0.4, 0.3), (0.4, 1.1), (-0.4, 1.1), (-0.4, 0.3),
     (-1.1, 0.3), (-1.1, -0.3), (-0.4, -0.3)],
)  # fmt: skip

_PAINTERS: dict[UpperPattern, Callable[[Pen, Tube, Upper], None]] = {
    "hstripes": _rings,
    "vstripes": _lines,
    "checks": _checks,
    "band": _band,
    "split": _split,
    "yoke": _yoke,
    "sides": _sides,
    "sash": _sash,
    "print": _print,
    "open": _open,
}


def paint_sleeve(pen: Pen, tube: Tube, upper: Upper, far: int, offset: float) -> None:
    """One part of a sleeve; ``offset`` is the cloth above it in body heights."""
    pen.limb(tube, (_TONE if upper.pattern == "sleeves" else _UPPER) | far)
    if upper.pattern in ("hstripes", "checks"):
        rings(pen, tube, upper.period, upper.duty, _TONE | far, offset)
    elif upper.pattern == "vstripes":
        pen.patch(tube, (1.2, 1.9), (0.0, 1.0), _TONE | far)
        pen.patch(tube, (-1.9, -1.2), (0.0, 1.0), _TONE | far)


def paint_lower(pen: Pen, tube: Tube, lower: Lower, side: int, far: int, offset: float, last: bool) -> None:
    """One part of a trouser leg (side -1 or 1) or a skirt (side 0); ``last`` says that it ends at the hem."""
    base, tone = int(Material.LOWER) | far, int(Material.LOWER_TONE) | far
    colour = tone if lower.pattern == "two_legs" and side > 0 else base
    if side:
        pen.limb(tube, colour)
    else:
        pen.tube(tube, colour)
    if lower.pattern in ("hstripes", "checks"):
        rings(pen, tube, lower.period, 0.45, tone, offset)
    if lower.pattern == "checks" or (lower.pattern == "two_legs" and side == 0):
        lines(pen, tube, lower.period, 0.45, tone)
    elif lower.pattern == "side_stripe":
        half = 0.35 + 0.5 * lower.size
        for angle in (side,) if side else (-1, 1):
            pen.patch(tube, (angle * math.pi / 2 - half, angle * math.pi / 2 + half), (0.0, 1.0), tone)
    elif lower.pattern == "hem" and last:
        pen.band(tube, 1 - (0.04 + 0.09 * lower.size) / tube.length, 1.0, tone)
    elif lower.pattern == "patches" and offset == 0.0:
        pen.patch(tube, (-1.0, 1.0), (0.3 + 0.3 * lower.place, 0.6 + 0.4 * lower.place), tone)
