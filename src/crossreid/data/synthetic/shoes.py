"""Shoes and boots."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from crossreid.data.synthetic.body import SIDES, FloatArray, body_model
from crossreid.data.synthetic.mesh import Mesh, cut, normals_of, solid
from crossreid.data.synthetic.outfit import Outfit
from crossreid.data.synthetic.surfaces import Surface
from crossreid.data.synthetic.tailoring import pushed_out, smoothed, tailored
from crossreid.data.synthetic.wearer import Wearer

BOOT_OUTSIDE = 0.4  # narrower trousers go into boots
_BELOW = -1.0  # of a field: not part of the garment


def shoe_field(wearer: Wearer, mesh: Mesh, boot: float) -> FloatArray:
    """At least 0 below the upper end of shoe or boot, metres, (V,)."""
    inside = wearer.ankle - 0.01 + boot - mesh.points[:, 1]
    return np.where(mesh.arm > 0.5, _BELOW, inside).astype(np.float32)


def shoes(wearer: Wearer, outfit: Outfit) -> list[Mesh]:
    """A rounded wedge around each foot, and the shaft of a boot."""
    meshes = [_shoe(wearer, side, outfit.sole) for side, _ in SIDES]
    if outfit.boot:
        thickness = 0.007 if outfit.lower.width > BOOT_OUTSIDE else 0.02
        points = pushed_out(wearer, smoothed(wearer.mesh.points, 3), thickness)
        mesh = tailored(wearer, points, Surface.SHOE)
        below_end = shoe_field(wearer, mesh, outfit.boot)
        above_shoe = mesh.points[:, 1] - 0.03
        meshes.append(cut(mesh, np.minimum(below_end, above_shoe)))
    return meshes


def _shoe(wearer: Wearer, side: str, sole: float) -> Mesh:
    model = body_model()
    of_foot = (model.parts == model.index(f"foot.{side}")) & (wearer.mesh.points[:, 1] < wearer.ankle)
    foot = wearer.mesh.points[of_foot]
    rear, front = np.quantile(foot[:, 2], (0.2, 0.8))
    ahead = (foot[foot[:, 2] > front].mean(0) - foot[foot[:, 2] < rear].mean(0)) * [1, 0, 1]
    ahead /= np.linalg.norm(ahead)
    aside = np.array([ahead[2], 0, -ahead[0]])
    along = foot @ ahead
    across = foot @ aside
    length = np.ptp(along) / 2 + 0.008
    width = np.ptp(across) / 2 + 0.004
    centre = ahead * (along.max() + along.min()) / 2 + aside * (across.max() + across.min()) / 2
    bone = wearer.bone(f"foot.{side}")
    ball = solid(np.zeros(3, np.float32), (1.0, 1.0, 1.0), bone, Surface.SHOE, boxy=0.62)
    x, y, z = ball.points.T
    narrow = 1 - 0.22 * np.clip(-z, 0, 1)  # towards the heel
    top = 0.055 + (wearer.ankle - 0.055) * np.clip(0.25 - z, 0, 1) ** 0.8
    height = np.where(y > 0, top * y, 0.0) + np.where(y <= 0, y * sole, 0.0)
    points = centre + np.outer(x * narrow * width, aside) + np.outer(z * length, ahead) + np.outer(height, [0, 1, 0])
    points = points.astype(np.float32)
    return replace(ball, points=points, cloth=points, normals=normals_of(points, ball.faces))
