"""Synchronous pairs: one moment of one person, seen by a visible and a long-wave thermal camera side by side."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from crossreid.data.synthetic.cameras import CAMERA, Camera, View, sample_view
from crossreid.data.synthetic.people import Figure
from crossreid.data.synthetic.render import placed, take

BASELINE = 0.12  # metres between the two cameras
_STREAM = 7

VISIBLE: Camera = replace(CAMERA[4], place="street", at=(0.6, 8.0), heading=0.05, distance=(5.0, 8.0), yaws=(0.0,))
THERMAL: Camera = replace(
    VISIBLE, spectrum="thermal", at=(VISIBLE.at[0] + BASELINE, VISIBLE.at[1]), tint=(1.0, 1.0, 1.0), exposure=(0.92, 1.08),
    gamma=(0.9, 1.1), noise=(0.006, 0.015), blur=(0.7, 1.1),
)  # fmt: skip


def looks_away(seed: int, pid: int) -> bool:
    """Whether a person is seen from behind in all frames, as people pass RegDB's cameras in one direction."""
    return bool(np.random.default_rng((seed, _STREAM, pid)).random() < 0.45)


def render_pair(
    figure: Figure, seed: int, pid: int, frame: int, size: tuple[int, int]
) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """The visible and the thermal image of one moment, (height, width, 3) each; thermal has three equal channels."""
    rng = np.random.default_rng((seed, _STREAM, pid, frame))
    view = sample_view(VISIBLE, rng)
    if looks_away(seed, pid):
        view = replace(view, yaw=view.yaw + math.pi)
    points, normals = placed(figure, view, rng)
    visible = take(figure, VISIBLE, view, points, normals, size, rng)
    beside = np.array([BASELINE, 0, 0], dtype=np.float32)
    # the thermal camera hangs to the right, so that the person stands further to its left
    moved = View(view.yaw, view.aside - BASELINE, view.distance)
    thermal = take(figure, THERMAL, moved, points - beside, normals, size, rng)
    return visible, thermal
