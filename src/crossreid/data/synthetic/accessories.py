"""Hair, headwear, bags and carried things: small meshes tied to bones."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from crossreid.data.synthetic.body import FloatArray, body_model
from crossreid.data.synthetic.mesh import Mesh, cut, grid, solid
from crossreid.data.synthetic.outfit import Outfit
from crossreid.data.synthetic.surfaces import Surface
from crossreid.data.synthetic.wearer import PROPS, Wearer

# Lower edge of the hair: height in the head (0 chin, 1 crown) at a depth (0 back, 1 tip of the nose).
_HAIRLINE = ((0.0, 0.3, 0.48, 0.58, 0.72, 1.0), (0.16, 0.24, 0.44, 0.52, 0.76, 0.84))
# How far kinds of hair reach below that edge, in head heights.
_LOWER_EDGE = {"short": 0.0, "full": 0.04, "bob": 0.06, "long": 0.05}


@dataclass(frozen=True)
class Head:
    """A head's box: ``low`` and ``high`` corners, and each vertex's place in it (V, 3), [0, 1]; -1 off the head."""

    low: FloatArray
    high: FloatArray
    place: FloatArray

    @property
    def size(self) -> FloatArray:
        """Width, height, depth in metres."""
        return self.high - self.low

    @property
    def centre(self) -> FloatArray:
        """(3,)."""
        return (self.low + self.high) / 2


def make_head(wearer: Wearer) -> Head:
    """Measure a head."""
    model = body_model()
    points = wearer.mesh.points
    own = model.parts == model.index("head")
    low = points[own].min(0)
    high = points[own].max(0)
    place = (points - low) / (high - low)
    return Head(low, high, np.where(own[:, None], place, -1).astype(np.float32))


def accessories(wearer: Wearer, outfit: Outfit) -> list[Mesh]:
    """All of an outfit's."""
    head = make_head(wearer)
    meshes = _hair(wearer, head, outfit) + _headwear(wearer, head, outfit) + _bag(wearer, outfit)
    if outfit.upper.hood and outfit.headwear != "hood":
        meshes.append(_hood_down(wearer, outfit))
    if outfit.thing:
        meshes.append(_thing(wearer, outfit))
    return meshes


def _head_shell(wearer: Wearer, field: FloatArray, thickness: FloatArray, surface: Surface) -> Mesh:
    points = wearer.mesh.points + wearer.mesh.normals * thickness[:, None]
    whole = replace(wearer.mesh, points=points.astype(np.float32), surface=np.full(len(wearer.mesh.faces), surface))
    return cut(whole, field.astype(np.float32))


def _scalp(head: Head, lower: float) -> FloatArray:
    """At least 0 under the hair, in head heights from its edge; ``lower`` brings the edge down."""
    line = np.interp(head.place[:, 2], *_HAIRLINE) - lower
    field: FloatArray = np.where(head.place[:, 1] < 0, -1.0, head.place[:, 1] - line).astype(np.float32)
    return field


def _hair(wearer: Wearer, head: Head, outfit: Outfit) -> list[Mesh]:
    if outfit.hair == "bald" or outfit.headwear == "hood":
        return []
    field = _scalp(head, _LOWER_EDGE.get(outfit.hair, 0.02))
    volume = 0.006 + 0.012 * outfit.hair_volume
    if outfit.hair in ("full", "bob"):
        volume += 0.014
    if outfit.headwear != "none":  # pressed flat
        volume = 0.006
    meshes = [_head_shell(wearer, field, volume * np.clip(field / 0.1, 0.25, 1), Surface.HAIR)]
    if outfit.hair == "bob":
        meshes.append(_curtain(wearer, head, 0.10 + 0.05 * outfit.hair_length, volume))
    if outfit.hair == "long":
        meshes.append(_curtain(wearer, head, 0.24 + 0.22 * outfit.hair_length, volume))
    back = np.array([0, head.low[1] + 0.62 * head.size[1], head.low[2] - 0.015], dtype=np.float32)
    if outfit.hair == "bun":
        knot = back + np.array([0, 0.05, 0])
        meshes.append(solid(knot, (0.042, 0.042, 0.038), wearer.bone("head"), Surface.HAIR))
    if outfit.hair == "ponytail":
        half = 0.10 + 0.07 * outfit.hair_length
        weights = 0.75 * wearer.bone("head") + 0.25 * wearer.bone("chest")
        middle = back - np.array([0, half * 0.8, 0.012])
        meshes.append(solid(middle, (0.033, half, 0.03), weights, Surface.HAIR))
    return meshes


def _curtain(wearer: Wearer, head: Head, length: float, volume: float) -> Mesh:
    """Hair that falls around the back of the head over the shoulders."""
    angles = np.linspace(np.radians(72), np.radians(288), 17)
    drop = np.linspace(0, 1, 9)[:, None]
    half_x = head.size[0] / 2 + 0.8 * volume
    half_z = head.size[2] * 0.44 + 0.8 * volume
    start = head.low[1] + 0.62 * head.size[1]
    heights = start - drop * length
    on_shoulders = np.clip((wearer.neck + 0.02 - heights) / 0.12, 0, 1)
    out = 1 + 0.10 * np.sin(np.pi * drop) + 0.35 * on_shoulders
    x = half_x * out * np.sin(angles)
    behind = np.clip((wearer.neck + 0.05 - heights) / 0.1, 0, 1) * 0.03
    z = head.low[2] + 0.52 * head.size[2] + half_z * np.minimum(out, 1.12) * np.cos(angles) - behind
    points = np.stack([x, np.broadcast_to(heights, x.shape), z], -1)
    down = np.clip(drop * length / 0.3, 0, 0.8)[..., None]
    weights = (1 - down) * wearer.bone("head") + down * wearer.bone("chest")
    return grid(points, np.broadcast_to(weights, (*x.shape, weights.shape[-1])), Surface.HAIR, closed=False)


def _headwear(wearer: Wearer, head: Head, outfit: Outfit) -> list[Mesh]:
    kind = outfit.headwear
    height = head.place[:, 1]
    if kind == "none":
        return []
    if kind == "hood":
        face = np.hypot((head.place[:, 0] - 0.5) / 0.42, (height - 0.42) / 0.47) - 1
        field = np.where(height < 0, -1, np.maximum(face, (0.62 - head.place[:, 2]) * 3))
        return [_head_shell(wearer, field, np.full(len(height), 0.03), Surface.UPPER), _hood_down(wearer, outfit)]
    tilt = 0.16 * (head.place[:, 2] - 0.5)
    edge = {"cap": 0.70, "beanie": 0.62, "brim": 0.72}[kind]
    field = np.where(height < 0, -1, height - edge - tilt)
    top = 0.022 if kind == "beanie" else 0.012  # metres more of air above the crown than at the edge
    room = 0.016 + top * np.clip(field / 0.2, 0, 1)
    meshes = [_head_shell(wearer, field, room, Surface.HAT)]
    if kind != "beanie":
        meshes.append(_brim(wearer, head, edge, around=kind == "brim"))
    return meshes


def _brim(wearer: Wearer, head: Head, edge: float, *, around: bool) -> Mesh:
    shape: FloatArray | float
    if around:
        reach = 0.065
        angles = np.linspace(-np.pi, np.pi, 25)
        shape = 1.0
    else:  # the visor of a cap
        reach = 0.075
        angles = np.linspace(-1.05, 1.05, 13)
        shape = np.cos(angles * 1.2)
    half_x = head.size[0] / 2 + 0.012
    half_z = head.size[2] / 2 + 0.004
    level = head.low[1] + edge * head.size[1]
    depth = np.cos(angles)
    rows = []
    for out in (0.0, 1.0):  # from the head to the rim
        away = out * reach * shape
        x = (half_x + away) * np.sin(angles)
        y = level + 0.16 * head.size[1] * 0.5 * depth - 0.012 * out
        z = head.centre[2] + (half_z + away) * depth
        rows.append(np.stack([x, y, z], -1))
    points = np.stack(rows)
    weights = np.broadcast_to(wearer.bone("head"), (*points.shape[:2], len(wearer.bone("head"))))
    return grid(points, weights, Surface.HAT, closed=False)


def _hood_down(wearer: Wearer, outfit: Outfit) -> Mesh:
    """A bundle of cloth behind the neck."""
    centre = wearer.joint("neck") + np.array([0, 0.02, -0.07 - outfit.upper.thickness], dtype=np.float32)
    return solid(centre, (0.115, 0.045, 0.055), wearer.bone("chest"), Surface.UPPER)


def back_of_chest(wearer: Wearer) -> float:
    """z of the skin between the shoulder blades."""
    points = wearer.mesh.points
    near = (np.abs(points[:, 1] - wearer.chest) < 0.12) & (np.abs(points[:, 0]) < 0.12)
    return float(points[near, 2].min())


def _bag(wearer: Wearer, outfit: Outfit) -> list[Mesh]:
    size = outfit.bag_size
    side = outfit.side
    thick = outfit.upper.thickness
    if outfit.bag == "backpack":
        half = (0.13 + 0.03 * size, 0.17 + 0.07 * size, 0.06 + 0.04 * size)
        centre = np.array([0, wearer.shoulder - half[1] * 0.9, back_of_chest(wearer) - thick - half[2] * 0.8])
        return [solid(centre, half, wearer.bone("chest"), Surface.BAG, boxy=0.45)]
    if outfit.bag == "shoulder":
        half = (0.045 + 0.02 * size, 0.09 + 0.06 * size, 0.12 + 0.06 * size)
        level = np.abs(wearer.mesh.points[:, 1] - wearer.hip) < 0.06
        hips = float(np.abs(wearer.mesh.points[level & (wearer.mesh.arm < 0.5), 0]).max())
        centre = np.array([side * (hips + thick + half[0] * 0.7), wearer.hip + 0.02, wearer.centre - 0.03])
        return [solid(centre, half, wearer.bone("pelvis"), Surface.BAG, boxy=0.4)]
    if outfit.bag in ("hand", "tote"):
        tall = 1.6 if outfit.bag == "tote" else 1.0
        half = (0.05 + 0.02 * size, (0.09 + 0.05 * size) * tall, 0.14 + 0.05 * size)
        grip = hand_grip(wearer, side)
        below = np.array([0, half[1] + 0.07, 0], dtype=np.float32)
        weights = prop_weights(wearer, side)
        straps = solid(grip - below * 0.5, (0.006, below[1] * 0.55, 0.05), weights, Surface.BAG)
        return [solid(grip - below, half, weights, Surface.BAG, boxy=0.4), straps]
    return []


def hand_grip(wearer: Wearer, side: int) -> FloatArray:
    """Where a hand holds things, (3,) in the rest pose."""
    name = "L" if side > 0 else "R"
    wrist = wearer.joint(f"hand.{name}")
    elbow = wearer.joint(f"forearm.{name}")
    grip: FloatArray = wrist + 0.09 * (wrist - elbow) / np.linalg.norm(wrist - elbow)
    return grip.astype(np.float32)


def prop_weights(wearer: Wearer, side: int) -> FloatArray:
    """Ties a thing to the upright bone of a hand, (B,)."""
    row = np.zeros(wearer.mesh.weights.shape[1], dtype=np.float32)
    left = -PROPS
    row[left if side > 0 else left + 1] = 1
    return row


def _thing(wearer: Wearer, outfit: Outfit) -> Mesh:
    """A phone, a cup or a paper in the hand that carries no bag."""
    centre = hand_grip(wearer, -outfit.side) + np.array([0, 0.03, 0.02], dtype=np.float32)
    half = (0.033, 0.055, 0.033)
    if outfit.bag_size < 0.6:  # flat, such as a phone
        half = (0.035, 0.07, 0.012)
    return solid(centre, half, prop_weights(wearer, -outfit.side), Surface.THING, boxy=0.4)
