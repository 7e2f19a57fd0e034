"""Clothes as shells around the body, ended at their hems."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from crossreid.data.synthetic.body import SIDES, FloatArray
from crossreid.data.synthetic.mesh import Mesh, cut, grid
from crossreid.data.synthetic.outfit import Lower, Outfit, Upper
from crossreid.data.synthetic.shoes import shoe_field, shoes
from crossreid.data.synthetic.skirts import skirt
from crossreid.data.synthetic.surfaces import Surface
from crossreid.data.synthetic.tailoring import pushed_out, smoothed, straight_trunk, tailored, widened
from crossreid.data.synthetic.wearer import Wearer

OVERLAP = 0.03  # metres that the skin goes on under a garment
_BELOW = -1.0  # of a field: not part of the garment


def dressed(wearer: Wearer, outfit: Outfit) -> list[Mesh]:
    """Skin and clothes from the inside out."""
    upper = outfit.upper
    lower = outfit.lower
    fields = [_upper_field(wearer, wearer.mesh, upper), shoe_field(wearer, wearer.mesh, outfit.boot)]
    meshes = shoes(wearer, outfit)
    if upper.opened:
        inner = replace(upper, kind="shirt", hem=0.5, thickness=0.008, loose=0.6)
        fields.append(_upper_field(wearer, wearer.mesh, inner))
        meshes.append(_shell(wearer, inner, Surface.INNER))
    if lower.kind == "skirt":
        top = wearer.waist + 0.02
        bottom = wearer.hip - lower.length * (wearer.hip - wearer.ankle)
        meshes.append(skirt(wearer, top, bottom, 0.012, 0.02 + 0.12 * lower.width, Surface.LOWER))
    else:
        fields.append(_lower_field(wearer, wearer.mesh, lower))
        meshes.append(_trousers(wearer, lower))
    meshes += _upper_meshes(wearer, upper)
    skin = cut(wearer.mesh, OVERLAP - np.max(fields, axis=0))  # what no garment covers
    return [skin, *meshes]


def _upper_meshes(wearer: Wearer, upper: Upper) -> list[Mesh]:
    meshes = [_shell(wearer, upper, Surface.UPPER)]
    if upper.skirted:
        bottom = upper.hem * wearer.shape.height
        meshes.append(skirt(wearer, wearer.waist, bottom, upper.thickness, upper.flare, Surface.UPPER))
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
    height = mesh.cloth[:, 1]
    arm = mesh.arm > 0.5
    sleeve_end = wearer.shoulder - upper.sleeve * (wearer.shoulder - wearer.wrist) - 0.015
    bottom = wearer.hip - 0.04  # the shell ends at the hips: what hangs lower is a skirt
    if not upper.skirted:
        bottom = max(bottom, upper.hem * wearer.shape.height)
    front = np.clip((mesh.points[:, 2] - wearer.joint("neck")[2]) / 0.1, 0, 1)
    dip = 0.02 if upper.collar else 0.055  # of the neckline in front, metres
    neckline = wearer.neck + 0.035 - dip * front
    trunk = np.minimum(height - bottom, neckline - height)
    return np.where(arm, height - sleeve_end, trunk).astype(np.float32)


def _lower_field(wearer: Wearer, mesh: Mesh, lower: Lower) -> FloatArray:
    bottom = wearer.hip - lower.length * (wearer.hip - wearer.ankle)
    if lower.length == 1:  # long trousers end below the ankle
        bottom -= 0.02
    inside = np.minimum(wearer.waist + 0.03 - mesh.points[:, 1], mesh.points[:, 1] - bottom)
    return np.where(mesh.arm > 0.5, _BELOW, inside).astype(np.float32)


def _shell(wearer: Wearer, upper: Upper, surface: Surface) -> Mesh:
    """The garment of the upper body, without a skirt."""
    thickness = upper.thickness
    points = pushed_out(wearer, smoothed(wearer.mesh.points, 10), thickness)
    points = straight_trunk(wearer, points, upper.loose)
    for side, _ in SIDES:
        bones = (f"upperarm.{side}", f"forearm.{side}", f"hand.{side}")
        radii = (0.058 + thickness, 0.052 + thickness, 0.036 + thickness)
        points = widened(wearer, points, bones, radii)
    mesh = tailored(wearer, pushed_out(wearer, smoothed(points, 1), thickness), surface)
    return cut(mesh, _upper_field(wearer, mesh, upper))


def _trousers(wearer: Wearer, lower: Lower) -> Mesh:
    if lower.kind == "leggings":
        thickness = 0.004
        points = pushed_out(wearer, smoothed(wearer.mesh.points, 2), thickness)
    else:
        thickness = 0.009
        points = pushed_out(wearer, smoothed(wearer.mesh.points, 8), thickness)
        radii = (0.09, 0.07 + 0.025 * lower.width, 0.058 + 0.045 * lower.width)
        for side, _ in SIDES:
            bones = (f"thigh.{side}", f"shin.{side}", f"foot.{side}")
            points = widened(wearer, points, bones, radii)
    mesh = tailored(wearer, pushed_out(wearer, smoothed(points, 1), thickness), Surface.LOWER)
    return cut(mesh, _lower_field(wearer, mesh, lower))


def _collar(wearer: Wearer, upper: Upper) -> Mesh:
    """A ring around the neck."""
    neck = wearer.mesh.points[np.abs(wearer.mesh.points[:, 1] - wearer.neck - 0.03) < 0.025]
    neck = neck[np.abs(neck[:, 0]) < 0.1]
    centre = neck.mean(0)
    half = np.array([np.abs(neck[:, 0]).max(), np.abs(neck[:, 2] - centre[2]).max()]) + 0.012 + 0.3 * upper.thickness
    angles = np.linspace(0, 2 * np.pi, 16, endpoint=False)
    rings = []
    for up, out in ((-0.035, 0.02), (0.0, 0.008), (0.03, 0.006)):  # metres above and away from the neck
        x = (half[0] + out) * np.sin(angles)
        y = np.full(16, wearer.neck + 0.03 + up) - 0.02 * np.cos(angles)  # lower in front
        z = centre[2] + (half[1] + out) * np.cos(angles)
        rings.append(np.stack([x, y, z], -1))
    points = np.stack(rings)
    weights = 0.6 * wearer.bone("neck") + 0.4 * wearer.bone("chest")
    return grid(points, np.broadcast_to(weights, (*points.shape[:2], len(weights))), Surface.UPPER, closed=True)
