"""Clothes as shells around the body: smoothed, pushed out of the skin, widened to their cut, ended at their hems."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cache

import numpy as np
from scipy.sparse import csr_array

from crossreid.data.synthetic.body import SIDES, FloatArray, Shape, body_model
from crossreid.data.synthetic.mesh import Mesh, cut, grid, neighbour_means, normals_of, solid
from crossreid.data.synthetic.outfit import Lower, Outfit, Upper
from crossreid.data.synthetic.skeleton import hanging, skin
from crossreid.data.synthetic.surfaces import Surface

OVERLAP = 0.03  # metres that the skin goes on under a garment
BOOT_OUTSIDE = 0.4  # narrower trousers go into boots
PROPS = 2  # bones after the body's: things that hang upright from the left and right hand
_BELOW = -1.0  # of a field: not part of the garment


@dataclass(frozen=True)
class Wearer:
    """A body with what clothes need to know of it: heights above the ground in the pose with hanging arms, metres.

    ``hung`` is the motion into that pose, (B, 3, 4).
    """

    shape: Shape
    mesh: Mesh
    hung: FloatArray
    wrist: float
    shoulder: float
    neck: float
    chest: float
    waist: float
    hip: float
    knee: float
    ankle: float
    centre: float  # z of the trunk's axis

    def joint(self, name: str) -> FloatArray:
        """Of the rest pose, (3,)."""
        joint: FloatArray = self.shape.joints[body_model().index(name)]
        return joint

    def bone(self, name: str) -> FloatArray:
        """Weights that tie a point to one bone, (B,)."""
        row = np.zeros(self.mesh.weights.shape[1], dtype=np.float32)
        row[body_model().index(name)] = 1
        return row


@cache
def _means() -> csr_array:
    model = body_model()
    return neighbour_means(model.faces, len(model.parts))


def make_wearer(shape: Shape) -> Wearer:
    """Measure a body."""
    model = body_model()
    hung = hanging(shape)
    cloth, _ = skin(shape.points, model.weights, hung)
    arms = [model.index(f"{bone}.{side}") for bone in ("upperarm", "forearm", "hand") for side, _ in SIDES]
    mesh = Mesh(
        points=shape.points,
        normals=normals_of(shape.points, model.faces),
        weights=np.concatenate([model.weights, np.zeros((len(cloth), PROPS), dtype=np.float32)], axis=1),
        cloth=cloth,
        arm=np.isin(model.parts, arms).astype(np.float32),
        faces=model.faces,
        surface=np.full(len(model.faces), Surface.SKIN),
        two_sided=np.zeros(len(model.faces), dtype=np.bool_),
    )
    joints, _ = skin(shape.joints, np.eye(len(shape.joints), dtype=np.float32), hung)
    at = {name: float(joints[model.index(name), 1]) for name in model.bones}
    return Wearer(
        shape, mesh, hung, wrist=at["hand.L"], shoulder=at["upperarm.L"], neck=at["neck"], chest=at["chest"],
        waist=at["spine"], hip=at["thigh.L"], knee=at["shin.L"], ankle=at["foot.L"],
        centre=float(shape.joints[model.index("spine"), 2]) + 0.03,
    )  # fmt: skip


def dressed(wearer: Wearer, outfit: Outfit) -> list[Mesh]:
    """Skin and clothes from the inside out."""
    upper, lower = outfit.upper, outfit.lower
    fields = [_upper_field(wearer, wearer.mesh, upper), _shoe_field(wearer, wearer.mesh, outfit.boot)]
    meshes = _shoes(wearer, outfit)
    if upper.opened:
        inner = replace(upper, kind="shirt", hem=0.5, thickness=0.008, loose=0.6)
        fields.append(_upper_field(wearer, wearer.mesh, inner))
        meshes.append(_shell(wearer, inner, Surface.INNER))
    if lower.kind == "skirt":
        top = wearer.waist + 0.02
        bottom = wearer.hip - lower.length * (wearer.hip - wearer.ankle)
        meshes.append(_skirt(wearer, top, bottom, 0.012, 0.02 + 0.12 * lower.width, Surface.LOWER))
    else:
        fields.append(_lower_field(wearer, wearer.mesh, lower))
        meshes.append(_trousers(wearer, lower))
    meshes += _upper_meshes(wearer, upper)
    return [cut(wearer.mesh, OVERLAP - np.max(fields, axis=0)), *meshes]


def _upper_meshes(wearer: Wearer, upper: Upper) -> list[Mesh]:
    meshes = [_shell(wearer, upper, Surface.UPPER)]
    if upper.skirted:
        bottom = upper.hem * wearer.shape.height
        meshes.append(_skirt(wearer, wearer.waist, bottom, upper.thickness, upper.flare, Surface.UPPER))
    if upper.opened:
        meshes = [_opened(wearer, mesh) for mesh in meshes]
    if upper.collar:
        meshes.append(_collar(wearer, upper))
    return meshes


def _opened(wearer: Wearer, mesh: Mesh) -> Mesh:
    """Without a strip down the front, wider at the bottom; the inside shows."""
    front = mesh.points[:, 2] - wearer.centre
    gap = 0.035 + 0.06 * np.clip((wearer.chest - mesh.points[:, 1]) / 0.5, 0, 1.5)
    mesh = cut(mesh, np.maximum(np.abs(mesh.points[:, 0]) - gap, -front).astype(np.float32))
    return replace(mesh, two_sided=np.ones_like(mesh.two_sided))


def _upper_field(wearer: Wearer, mesh: Mesh, upper: Upper) -> FloatArray:
    """At least 0 where the garment covers a mesh on the body's vertices, in metres from its hems, (V,)."""
    height, arm = mesh.cloth[:, 1], mesh.arm > 0.5
    sleeve_end = wearer.shoulder - upper.sleeve * (wearer.shoulder - wearer.wrist) - 0.015
    bottom = max(wearer.hip - 0.04, 0.0 if upper.skirted else upper.hem * wearer.shape.height)
    front = np.clip((mesh.points[:, 2] - wearer.joint("neck")[2]) / 0.1, 0, 1)
    neckline = wearer.neck + 0.035 - (0.02 if upper.collar else 0.055) * front
    trunk = np.minimum(height - bottom, neckline - height)
    return np.where(arm, height - sleeve_end, trunk).astype(np.float32)


def _lower_field(wearer: Wearer, mesh: Mesh, lower: Lower) -> FloatArray:
    bottom = wearer.hip - lower.length * (wearer.hip - wearer.ankle) - (0.02 if lower.length == 1 else 0.0)
    inside = np.minimum(wearer.waist + 0.03 - mesh.points[:, 1], mesh.points[:, 1] - bottom)
    return np.where(mesh.arm > 0.5, _BELOW, inside).astype(np.float32)


def _shoe_field(wearer: Wearer, mesh: Mesh, boot: float) -> FloatArray:
    inside = wearer.ankle - 0.01 + boot - mesh.points[:, 1]
    return np.where(mesh.arm > 0.5, _BELOW, inside).astype(np.float32)


def pushed_out(wearer: Wearer, points: FloatArray, thickness: float) -> FloatArray:
    """At least ``thickness`` away from the skin, along the skin's normals."""
    normals = wearer.mesh.normals
    height = ((points - wearer.mesh.points) * normals).sum(1)
    result: FloatArray = points + normals * np.maximum(thickness - height, 0)[:, None]
    return result


def _smooth(points: FloatArray, rounds: int) -> FloatArray:
    for _ in range(rounds):
        points = (_means() @ points).astype(np.float32)
    return points


def _tailored(wearer: Wearer, points: FloatArray, surface: Surface) -> Mesh:
    """A mesh on the body's vertices, moved to ``points``."""
    model = body_model()
    cloth, _ = skin(points, model.weights, wearer.hung)
    return replace(
        wearer.mesh,
        points=points,
        cloth=cloth,
        normals=normals_of(points, model.faces),
        surface=np.full(len(model.faces), surface),
    )


def _shell(wearer: Wearer, upper: Upper, surface: Surface) -> Mesh:
    """The garment of the upper body, without a skirt."""
    thickness = upper.thickness
    points = pushed_out(wearer, _smooth(wearer.mesh.points, 10), thickness)
    points = _straight_trunk(wearer, points, upper.loose)
    for side, _ in SIDES:
        bones = (f"upperarm.{side}", f"forearm.{side}", f"hand.{side}")
        points = _widened(wearer, points, bones, (0.058 + thickness, 0.052 + thickness, 0.036 + thickness))
    mesh = _tailored(wearer, pushed_out(wearer, _smooth(points, 1), thickness), surface)
    return cut(mesh, _upper_field(wearer, mesh, upper))


def _trousers(wearer: Wearer, lower: Lower) -> Mesh:
    tight = lower.kind == "leggings"
    thickness = 0.004 if tight else 0.009
    points = pushed_out(wearer, _smooth(wearer.mesh.points, 2 if tight else 8), thickness)
    if not tight:
        for side, _ in SIDES:
            bones = (f"thigh.{side}", f"shin.{side}", f"foot.{side}")
            points = _widened(wearer, points, bones, (0.09, 0.07 + 0.025 * lower.width, 0.058 + 0.045 * lower.width))
    mesh = _tailored(wearer, pushed_out(wearer, _smooth(points, 1), thickness), Surface.LOWER)
    return cut(mesh, _lower_field(wearer, mesh, lower))


def _shoes(wearer: Wearer, outfit: Outfit) -> list[Mesh]:
    """A rounded wedge around each foot, and the shaft of a boot."""
    meshes = [_shoe(wearer, side, outfit.sole) for side, _ in SIDES]
    if outfit.boot:
        thickness = 0.007 if outfit.lower.width > BOOT_OUTSIDE else 0.02
        mesh = _tailored(wearer, pushed_out(wearer, _smooth(wearer.mesh.points, 3), thickness), Surface.SHOE)
        meshes.append(cut(mesh, np.minimum(_shoe_field(wearer, mesh, outfit.boot), mesh.points[:, 1] - 0.03)))
    return meshes


def _shoe(wearer: Wearer, side: str, sole: float) -> Mesh:
    model = body_model()
    foot = wearer.mesh.points[(model.parts == model.index(f"foot.{side}")) & (wearer.mesh.points[:, 1] < wearer.ankle)]
    rear, front = np.quantile(foot[:, 2], (0.2, 0.8))
    ahead = (foot[foot[:, 2] > front].mean(0) - foot[foot[:, 2] < rear].mean(0)) * [1, 0, 1]
    ahead /= np.linalg.norm(ahead)
    aside = np.array([ahead[2], 0, -ahead[0]])
    along, across = foot @ ahead, foot @ aside
    length, width = (np.ptp(along) / 2 + 0.008), np.ptp(across) / 2 + 0.004
    centre = ahead * (along.max() + along.min()) / 2 + aside * (across.max() + across.min()) / 2
    bone = wearer.bone(f"foot.{side}")
    ball = solid(np.zeros(3, np.float32), (1.0, 1.0, 1.0), bone, Surface.SHOE, boxy=0.62)
    x, y, z = ball.points.T
    narrow = 1 - 0.22 * np.clip(-z, 0, 1)
    top = 0.055 + (wearer.ankle - 0.055) * np.clip(0.25 - z, 0, 1) ** 0.8
    height = np.where(y > 0, top * y, 0.0) + np.where(y <= 0, y * sole, 0.0)
    points = centre + np.outer(x * narrow * width, aside) + np.outer(z * length, ahead) + np.outer(height, [0, 1, 0])
    points = points.astype(np.float32)
    return replace(ball, points=points, cloth=points, normals=normals_of(points, ball.faces))


def _straight_trunk(wearer: Wearer, points: FloatArray, loose: float) -> FloatArray:
    """Cloth that falls from chest and shoulder blades instead of following the waist; ``loose`` in [0, 1]."""
    trunk = (wearer.mesh.arm < 0.5) & (points[:, 1] < wearer.neck) & (points[:, 1] > wearer.hip - 0.1)
    offset = points[trunk] - np.array([0, 0, wearer.centre], dtype=np.float32)
    radius, angle = np.hypot(offset[:, 0], offset[:, 2]), np.arctan2(offset[:, 0], offset[:, 2])
    bust = np.abs(offset[:, 1] - (wearer.chest + wearer.shoulder) / 2) < 0.12
    bins = np.linspace(-np.pi, np.pi, 17)
    place = np.clip(np.digitize(angle, bins) - 1, 0, 15)
    reach = np.array([radius[bust & (place == k)].max(initial=0.1) for k in range(16)])
    reach = (np.roll(reach, 1) + 2 * reach + np.roll(reach, -1)) / 4
    middle = (bins[:-1] + bins[1:]) / 2
    straight = np.interp(angle, middle, reach, period=2 * np.pi) * (0.8 + 0.2 * loose)
    below = np.clip((wearer.chest + 0.1 - offset[:, 1]) / 0.1, 0, 1) * loose
    grown = np.maximum(1, 1 + below * (straight / np.maximum(radius, 0.02) - 1))
    result = points.copy()
    result[trunk, 0] = offset[:, 0] * grown
    result[trunk, 2] = offset[:, 2] * grown + wearer.centre
    return result


def _widened(
    wearer: Wearer, points: FloatArray, bones: tuple[str, str, str], radii: tuple[float, float, float]
) -> FloatArray:
    """At least so far from the line through three joints, where those bones rule; metres at each joint."""
    model = body_model()
    a, b, c = (wearer.joint(name) for name in bones)
    own = np.isin(model.parts, [model.index(name) for name in bones[:2]])
    chosen = points[own]
    share_1 = np.clip((chosen - a) @ (b - a) / ((b - a) @ (b - a)), 0, 1)
    share_2 = np.clip((chosen - b) @ (c - b) / ((c - b) @ (c - b)), 0, 1)
    axis = a + share_1[:, None] * (b - a) + share_2[:, None] * (c - b)
    wanted = np.interp(share_1 + share_2, [0.25, 1, 2], radii) * np.clip((share_1 + share_2) / 0.4, 0, 1)
    offset = chosen - axis
    radius = np.linalg.norm(offset, axis=1)
    result = points.copy()
    result[own] = axis + offset * (np.maximum(wanted, radius) / np.maximum(radius, 1e-3))[:, None]
    return result


def _skirt(wearer: Wearer, top: float, bottom: float, away: float, flare: float, surface: Surface) -> Mesh:
    """A tube around hips and legs, tied to the pelvis above and to both thighs below."""
    rows, columns = 12, 28
    body = wearer.mesh.points[(wearer.mesh.arm < 0.5) & (wearer.mesh.points[:, 1] < wearer.waist + 0.05)]
    body = body[body[:, 1] > max(bottom, wearer.knee) - 0.02]
    offset = body - np.array([0, 0, wearer.centre], dtype=np.float32)
    angles = np.linspace(-np.pi, np.pi, columns, endpoint=False)
    radius, angle = np.hypot(offset[:, 0], offset[:, 2]), np.arctan2(offset[:, 0], offset[:, 2])
    place = np.round((angle + np.pi) / (2 * np.pi) * columns).astype(int) % columns
    heights = np.linspace(top, bottom, rows)
    reach = np.zeros((rows, columns))
    for row, height in enumerate(heights):
        near = np.abs(body[:, 1] - height) < 0.05
        np.maximum.at(reach[row], place[near], radius[near])
    reach = np.maximum.accumulate(reach, axis=0)
    for shift in (-1, 1, -2, 2):
        reach = np.maximum(reach, 0.96 * np.roll(reach, shift, axis=1))
    depth = ((top - heights) / (top - bottom))[:, None]
    pleats = 1 + 0.05 * depth * np.cos(7 * angles)[None, :]
    reach = ((reach + away) + flare * depth) * pleats
    points = np.stack(
        [
            reach * np.sin(angles),
            np.broadcast_to(heights[:, None], reach.shape),
            reach * np.cos(angles) + wearer.centre,
        ],
        -1,
    )
    return grid(points, _skirt_weights(wearer, points), surface, closed=True)


def _skirt_weights(wearer: Wearer, points: FloatArray) -> FloatArray:
    below = np.clip((wearer.hip - points[..., 1]) / 0.35, 0, 1) * 0.8
    left = np.clip(0.5 + points[..., 0] / 0.24, 0.12, 0.88)
    shin = np.clip((wearer.knee + 0.05 - points[..., 1]) / 0.3, 0, 0.45)
    ties = {"pelvis": 1 - below}
    for side, share in (("L", left), ("R", 1 - left)):
        ties[f"thigh.{side}"] = below * share * (1 - shin)
        ties[f"shin.{side}"] = below * share * shin
    shares = [weight[..., None] * wearer.bone(name) for name, weight in ties.items()]
    return np.asarray(np.sum(shares, axis=0), dtype=np.float32)


def _collar(wearer: Wearer, upper: Upper) -> Mesh:
    """A ring around the neck."""
    neck = wearer.mesh.points[np.abs(wearer.mesh.points[:, 1] - wearer.neck - 0.03) < 0.025]
    neck = neck[np.abs(neck[:, 0]) < 0.1]
    centre = neck.mean(0)
    half = np.array([np.abs(neck[:, 0]).max(), np.abs(neck[:, 2] - centre[2]).max()]) + 0.012 + 0.3 * upper.thickness
    angles = np.linspace(0, 2 * np.pi, 16, endpoint=False)
    rows = [(-0.035, 0.02), (0.0, 0.008), (0.03, 0.006)]
    points = np.stack(
        [
            np.stack(
                [(half[0] + out) * np.sin(angles), np.full(16, wearer.neck + 0.03 + up) - 0.02 * np.cos(angles),
                 centre[2] + (half[1] + out) * np.cos(angles)], -1)
            for up, out in rows
        ]
    )  # fmt: skip
    weights = 0.6 * wearer.bone("neck") + 0.4 * wearer.bone("chest")
    return grid(points, np.broadcast_to(weights, (*points.shape[:2], len(weights))), Surface.UPPER, closed=True)
