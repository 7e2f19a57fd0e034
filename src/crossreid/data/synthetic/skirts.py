"""Skirts, and what hangs below the hips of dresses and coats."""

from __future__ import annotations

import numpy as np

from crossreid.data.synthetic.body import FloatArray
from crossreid.data.synthetic.mesh import Mesh, grid
from crossreid.data.synthetic.surfaces import Surface
from crossreid.data.synthetic.wearer import Wearer


def skirt(wearer: Wearer, top: float, bottom: float, away: float, flare: float, surface: Surface) -> Mesh:
    """A tube around hips and legs, tied to the pelvis above and to both thighs below."""
    rows, columns = 12, 28
    below_waist = (wearer.mesh.arm < 0.5) & (wearer.mesh.points[:, 1] < wearer.waist + 0.05)
    body = wearer.mesh.points[below_waist]
    body = body[body[:, 1] > max(bottom, wearer.knee) - 0.02]
    offset = body - np.array([0, 0, wearer.centre], dtype=np.float32)
    angles = np.linspace(-np.pi, np.pi, columns, endpoint=False)
    radius = np.hypot(offset[:, 0], offset[:, 2])
    angle = np.arctan2(offset[:, 0], offset[:, 2])
    place = np.round((angle + np.pi) / (2 * np.pi) * columns).astype(int) % columns
    heights = np.linspace(top, bottom, rows)
    # how far the body reaches out at each height and in each direction
    reach = np.zeros((rows, columns))
    for row, height in enumerate(heights):
        near = np.abs(body[:, 1] - height) < 0.05
        np.maximum.at(reach[row], place[near], radius[near])
    reach = np.maximum.accumulate(reach, axis=0)  # cloth hangs straight down from where it is widest
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
    return grid(points, _weights(wearer, points), surface, closed=True)


def _weights(wearer: Wearer, points: FloatArray) -> FloatArray:
    below = np.clip((wearer.hip - points[..., 1]) / 0.35, 0, 1) * 0.8
    left = np.clip(0.5 + points[..., 0] / 0.24, 0.12, 0.88)
    shin = np.clip((wearer.knee + 0.05 - points[..., 1]) / 0.3, 0, 0.45)
    ties = {"pelvis": 1 - below}
    for side, share in (("L", left), ("R", 1 - left)):
        ties[f"thigh.{side}"] = below * share * (1 - shin)
        ties[f"shin.{side}"] = below * share * shin
    shares = [weight[..., None] * wearer.bone(name) for name, weight in ties.items()]
    return np.asarray(np.sum(shares, axis=0), dtype=np.float32)
