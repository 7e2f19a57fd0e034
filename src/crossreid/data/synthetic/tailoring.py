"""Shaping a shell around the body: smoothing, pushing out of the skin, widening to a cut."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import numpy as np
from scipy.sparse import csr_array

from crossreid.data.synthetic.body import FloatArray, body_model
from crossreid.data.synthetic.mesh import Mesh, neighbour_means, normals_of
from crossreid.data.synthetic.skeleton import skin
from crossreid.data.synthetic.surfaces import Surface
from crossreid.data.synthetic.wearer import Wearer


@cache
def _means() -> csr_array:
    model = body_model()
    return neighbour_means(model.faces, len(model.parts))


def pushed_out(wearer: Wearer, points: FloatArray, thickness: float) -> FloatArray:
    """At least ``thickness`` away from the skin, along the skin's normals."""
    normals = wearer.mesh.normals
    height = ((points - wearer.mesh.points) * normals).sum(1)
    result: FloatArray = points + normals * np.maximum(thickness - height, 0)[:, None]
    return result


def smoothed(points: FloatArray, rounds: int) -> FloatArray:
    """Each vertex moved to the mean of its neighbours, so many times, (V, 3)."""
    for _ in range(rounds):
        points = (_means() @ points).astype(np.float32)
    return points


def tailored(wearer: Wearer, points: FloatArray, surface: Surface) -> Mesh:
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


def straight_trunk(wearer: Wearer, points: FloatArray, loose: float) -> FloatArray:
    """Cloth that falls from chest and shoulder blades instead of following the waist; ``loose`` in [0, 1]."""
    trunk = (wearer.mesh.arm < 0.5) & (points[:, 1] < wearer.neck) & (points[:, 1] > wearer.hip - 0.1)
    offset = points[trunk] - np.array([0, 0, wearer.centre], dtype=np.float32)
    radius = np.hypot(offset[:, 0], offset[:, 2])
    angle = np.arctan2(offset[:, 0], offset[:, 2])
    # how far chest and shoulder blades reach out, in each of 16 directions, smoothed around
    bust = np.abs(offset[:, 1] - (wearer.chest + wearer.shoulder) / 2) < 0.12
    bins = np.linspace(-np.pi, np.pi, 17)
    place = np.clip(np.digitize(angle, bins) - 1, 0, 15)
    farthest = []
    for sector in range(16):
        farthest.append(radius[bust & (place == sector)].max(initial=0.1))
    reach = np.array(farthest)
    reach = (np.roll(reach, 1) + 2 * reach + np.roll(reach, -1)) / 4
    middle = (bins[:-1] + bins[1:]) / 2
    straight = np.interp(angle, middle, reach, period=2 * np.pi) * (0.8 + 0.2 * loose)
    below = np.clip((wearer.chest + 0.1 - offset[:, 1]) / 0.1, 0, 1) * loose
    grown = np.maximum(1, 1 + below * (straight / np.maximum(radius, 0.02) - 1))
    result = points.copy()
    result[trunk, 0] = offset[:, 0] * grown
    result[trunk, 2] = offset[:, 2] * grown + wearer.centre
    return result


def widened(
    wearer: Wearer, points: FloatArray, bones: tuple[str, str, str], radii: tuple[float, float, float]
) -> FloatArray:
    """At least so far from the line through three joints, where those bones rule; metres at each joint."""
    model = body_model()
    a = wearer.joint(bones[0])
    b = wearer.joint(bones[1])
    c = wearer.joint(bones[2])
    own = np.isin(model.parts, [model.index(name) for name in bones[:2]])
    chosen = points[own]
    # how far along each of the two bones a vertex lies, [0, 1]: their sum runs over the three joints
    share_1 = np.clip((chosen - a) @ (b - a) / ((b - a) @ (b - a)), 0, 1)
    share_2 = np.clip((chosen - b) @ (c - b) / ((c - b) @ (c - b)), 0, 1)
    axis = a + share_1[:, None] * (b - a) + share_2[:, None] * (c - b)
    wanted = np.interp(share_1 + share_2, [0.25, 1, 2], radii) * np.clip((share_1 + share_2) / 0.4, 0, 1)
    offset = chosen - axis
    radius = np.linalg.norm(offset, axis=1)
    result = points.copy()
    result[own] = axis + offset * (np.maximum(wanted, radius) / np.maximum(radius, 1e-3))[:, None]
    return result
