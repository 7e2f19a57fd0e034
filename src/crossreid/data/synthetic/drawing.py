"""From three dimensions to polygons: a camera's view, tubes of cloth around bones, and the pen that fills them."""

from __future__ import annotations

import math
from dataclasses import dataclass

from PIL import Image, ImageDraw

from crossreid.data.synthetic.materials import EDGE, FAR
from crossreid.data.synthetic.pose import Point

Spot = tuple[float, float]  # a place in the drawing, in its pixels, x to the right and y down

_TURN = 2 * math.pi


@dataclass(frozen=True, slots=True)
class View:
    """How a camera sees the person.

    Attributes:
        yaw: turn of the person in radians: 0 faces the camera, pi shows the back, pi / 2 walks to the right.
        scale: pixels for one body height.
        centre: column of the body's axis. ground: row of the ground below it.
        tilt: how much larger the head is than the feet (a camera above the person), [0, 0.5].
        pitch: how far a point one body height nearer to the camera sinks in the picture, [0, 0.5].
    """

    yaw: float
    scale: float
    centre: float
    ground: float
    tilt: float
    pitch: float

    def depth(self, point: Point) -> float:
        """Distance towards the camera from the body's axis, in body heights."""
        return point[2] * math.cos(self.yaw) - point[0] * math.sin(self.yaw)

    def project(self, point: Point) -> Spot:
        """Where a point of the body falls in the drawing."""
        x = point[0] * math.cos(self.yaw) + point[2] * math.sin(self.yaw)
        up = point[1] + self.tilt * point[1] * (point[1] - 1) / 2 - self.pitch * self.depth(point)
        return (self.centre + x * self.size_at(point[1]), self.ground - up * self.scale)

    def size_at(self, height: float) -> float:
        """Pixels of one body height across, for things at this height above the ground."""
        return self.scale * (1 + self.tilt * (height - 0.5))


@dataclass(frozen=True, slots=True)
class Tube:
    """Cloth (or skin) around a bone.

    A place on it is (angle, v): the angle around the body, 0 in front and pi / 2 at the person's side of positive X, and v in
    [0, 1] from ``start`` to ``end``. ``profile`` holds (v, half width in pixels), ascending; ``turn`` is added to an angle to
    face the camera at 0; ``length`` is in body heights.
    """

    start: Spot
    end: Spot
    profile: tuple[tuple[float, float], ...]
    turn: float
    length: float

    def place(self, across: float, v: float) -> Spot:
        """The point at ``across`` in [-1, 1] from the left outline to the right one."""
        dx, dy = self.end[0] - self.start[0], self.end[1] - self.start[1]
        norm = math.hypot(dx, dy) or 1.0
        reach = across * self._half_width(v)
        return (self.start[0] + dx * v + dy / norm * reach, self.start[1] + dy * v - dx / norm * reach)

    def _half_width(self, v: float) -> float:
        low_v, low = self.profile[0]
        for high_v, high in self.profile:
            if v <= high_v:
                span = high_v - low_v
                return low + (high - low) * (v - low_v) / span if span > 0 else high
            low_v, low = high_v, high
        return low

    def strip(self, left: float, right: float, v0: float, v1: float) -> list[Spot]:
        """Outline of the part between two places across and two places along."""
        stops = [v0, *(v for v, _ in self.profile if v0 < v < v1), v1]
        return [self.place(left, v) for v in stops] + [self.place(right, v) for v in reversed(stops)]

    def visible_span(self, angle0: float, angle1: float) -> tuple[float, float] | None:
        """Places across of the part between two angles (angle0 < angle1) that faces the camera, None if it is hidden."""
        low = angle0 + self.turn
        shift = _TURN * math.floor((low + math.pi) / _TURN)
        low, high = low - shift, angle1 + self.turn - shift
        quarter = math.pi / 2
        if low > quarter:  # begins behind; may come round again
            low, high = low - _TURN, high - _TURN
        low, high = max(low, -quarter), min(high, quarter)
        return (math.sin(low), math.sin(high)) if high > low else None


class Pen:
    """Fills polygons of a drawing with the index of a material; later ones cover earlier ones."""

    def __init__(self, width: int, height: int) -> None:
        self.image = Image.new("L", (width, height), 0)
        self._draw = ImageDraw.Draw(self.image)

    def fill(self, outline: list[Spot], material: int, *, edge: bool = False) -> None:
        """A polygon, with a darker contour if asked."""
        self._draw.polygon(outline, fill=material, outline=material | EDGE if edge else material)

    def disc(self, centre: Spot, rx: float, ry: float, material: int, *, edge: bool = False) -> None:
        """An ellipse with half axes in pixels."""
        x, y = centre
        box = (x - rx, y - ry, x + rx, y + ry)
        self._draw.ellipse(box, fill=material, outline=material | EDGE if edge else material)

    def tube(self, tube: Tube, material: int, *, edge: bool = True) -> None:
        """The whole tube."""
        self.fill(tube.strip(-1, 1, 0, 1), material, edge=edge)

    def limb(self, tube: Tube, material: int) -> None:
        """The whole tube with a round upper end, so that a bent joint has no gap."""
        radius = tube.profile[0][1]
        self.disc(tube.start, radius, radius, material, edge=True)
        self.tube(tube, material)

    def band(self, tube: Tube, v0: float, v1: float, material: int) -> None:
        """A ring around the tube."""
        v0, v1 = max(v0, 0.0), min(v1, 1.0)
        if v1 > v0:
            self.fill(tube.strip(-1, 1, v0, v1), material)

    def patch(self, tube: Tube, angles: tuple[float, float], span: tuple[float, float], material: int) -> None:
        """The visible part of a patch between two angles and two places along the tube."""
        across = tube.visible_span(*angles)
        v0, v1 = max(span[0], 0.0), min(span[1], 1.0)
        if across is not None and v1 > v0:
            self.fill(tube.strip(*across, v0, v1), material)

    def shape(self, tube: Tube, centre: tuple[float, float], corners: list[Spot], material: int) -> None:
        """A flat figure on the tube: ``corners`` are (angle, v) around ``centre`` (angle, v); hidden when its centre is."""
        facing = math.remainder(centre[0] + tube.turn, _TURN)
        if abs(facing) < math.radians(80):
            quarter = math.pi / 2
            angles = [min(max(facing + angle, -quarter), quarter) for angle, _ in corners]
            spots = [
                tube.place(math.sin(a), min(max(centre[1] + v, 0.0), 1.0))
                for a, (_, v) in zip(angles, corners, strict=True)
            ]
            self.fill(spots, material)


def make_tube(
    view: View, start: Point, end: Point, widths: tuple[tuple[float, float], ...], flatness: float = 1.0
) -> Tube:
    """A tube between two joints.

    Args:
        view: the camera's view.
        start, end: joints in body heights.
        widths: (v, half width from side to side in body heights).
        flatness: depth of the cross-section over its width; 1 is round.
    """
    a, b = math.cos(view.yaw), flatness * math.sin(view.yaw)
    seen = math.hypot(a, b) * view.size_at((start[1] + end[1]) / 2)
    profile = tuple((v, width * seen) for v, width in widths)
    length = math.dist(start, end)
    return Tube(view.project(start), view.project(end), profile, math.atan2(b, a), length)


def far_bit(view: View, point: Point, margin: float = 0.03) -> int:
    """FAR where a joint lies on the far side of the body, else 0."""
    return FAR if view.depth(point) < -margin else 0
