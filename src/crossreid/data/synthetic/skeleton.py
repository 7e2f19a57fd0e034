"""Posing: forward kinematics of the bones and linear blend skinning."""

from __future__ import annotations

import math

import numpy as np

from crossreid.data.synthetic.body import SIDES, FloatArray, Shape, body_model

HANG = 0.10  # radians between a hanging arm and the plumb line

Rotations = dict[str, FloatArray]  # local rotation of some bones, (3, 3) in the axes of the rest pose


def turn(axis: str, angle: float) -> FloatArray:
    """Right-handed rotation about ``x``, ``y`` or ``z``, (3, 3)."""
    c = math.cos(angle)
    s = math.sin(angle)
    rows = {
        "x": [[1, 0, 0], [0, c, -s], [0, s, c]],
        "y": [[c, 0, s], [0, 1, 0], [-s, 0, c]],
        "z": [[c, -s, 0], [s, c, 0], [0, 0, 1]],
    }
    return np.array(rows[axis], dtype=np.float32)


def transforms(shape: Shape, rotations: Rotations) -> FloatArray:
    """Rigid motion of every bone from the rest pose, (B, 3, 4); bones that are not named keep to their parent."""
    model = body_model()
    result = np.zeros((len(model.bones), 3, 4), dtype=np.float32)
    for bone, (name, parent) in enumerate(zip(model.bones, model.parents, strict=True)):
        joint = shape.joints[bone]
        local = rotations.get(name, np.eye(3, dtype=np.float32))
        if parent < 0:
            turned = local
            moved = joint
        else:
            turned = result[parent, :, :3] @ local
            moved = result[parent, :, :3] @ joint + result[parent, :, 3]
        result[bone, :, :3] = turned
        result[bone, :, 3] = moved - turned @ joint  # so that the joint of the rest pose lands where it has moved to
    return result


def skin(points: FloatArray, weights: FloatArray, motion: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Linear blend skinning: (V, 3), (V, B), (B, 3, 4) -> posed points (V, 3) and blended rotations (V, 3, 3)."""
    blended = (weights @ motion.reshape(len(motion), 12)).reshape(-1, 3, 4)
    posed = np.einsum("vij,vj->vi", blended[:, :, :3], points) + blended[:, :, 3]
    return posed.astype(np.float32), blended[:, :, :3]


def lowered_arms(shape: Shape, away: float = HANG) -> dict[str, tuple[FloatArray, FloatArray]]:
    """Rotations of upper arm and forearm, by side, with which the arm hangs straight, ``away`` radians off the plumb line."""
    model = body_model()
    result: dict[str, tuple[FloatArray, FloatArray]] = {}
    for side, sign in SIDES:
        shoulder = shape.joints[model.index(f"upperarm.{side}")]
        elbow = shape.joints[model.index(f"forearm.{side}")]
        wrist = shape.joints[model.index(f"hand.{side}")]
        target = np.array([sign * math.sin(away), -math.cos(away), 0.0], dtype=np.float32)
        upper = _onto(elbow - shoulder, target)
        result[side] = (upper, _onto(upper @ (wrist - elbow), target) @ upper)
    return result


def hanging(shape: Shape) -> FloatArray:
    """Motion into the pose in which patterns are defined: upright, arms hanging straight; (B, 3, 4)."""
    pose: Rotations = {}
    for side, (upper, forearm) in lowered_arms(shape).items():
        pose |= {f"upperarm.{side}": upper, f"forearm.{side}": upper.T @ forearm}
    return transforms(shape, pose)


def _onto(direction: FloatArray, target: FloatArray) -> FloatArray:
    """The smallest rotation that takes a direction onto a unit vector, (3, 3)."""
    start = direction / np.linalg.norm(direction)
    x, y, z = np.cross(start, target)
    # Rodrigues' formula, I + K + K K / (1 + cos), K being the matrix of the cross product
    cross = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]], dtype=np.float32)
    matrix: FloatArray = np.eye(3, dtype=np.float32) + cross + cross @ cross / (1 + float(start @ target))
    return matrix
