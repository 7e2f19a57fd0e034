"""A walking skeleton in three dimensions: X to the person's side, Y up, Z forward; lengths in body heights."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from crossreid.data.synthetic.people import Build

Point = tuple[float, float, float]

SHOULDER_Y, CHIN_Y, TOP_Y = 0.815, 0.865, 1.0
_ANKLE_Y = 0.045
_UPPER_ARM, _FOREARM = 0.165, 0.15


@dataclass(frozen=True, slots=True)
class Pose:
    """What changes from frame to frame; angles in radians."""

    phase: float
    swing: float  # largest angle of the thigh
    arms: tuple[float, float]  # angle added to each arm: left, right
    elbows: tuple[float, float]
    abduction: float
    lean: float


def sample_pose(build: Build, rng: np.random.Generator) -> Pose:
    """A moment of a walk (or of standing, when the swing is small)."""
    swing = build.stride * (rng.uniform(0.02, 0.12) if rng.random() < 0.25 else rng.uniform(0.2, 0.5))
    return Pose(
        phase=float(rng.uniform(0, 2 * math.pi)),
        swing=float(swing),
        arms=(float(rng.normal(0, 0.12)), float(rng.normal(0, 0.12))),
        elbows=(_elbow(rng), _elbow(rng)),
        abduction=float(rng.uniform(0.06, 0.2)),
        lean=float(rng.normal(0.02, 0.03)),
    )


def _elbow(rng: np.random.Generator) -> float:
    return float(rng.uniform(1.2, 2.0) if rng.random() < 0.08 else rng.uniform(0.05, 0.6))


@dataclass(frozen=True, slots=True)
class Leg:
    """Joints of one leg."""

    hip: Point
    knee: Point
    ankle: Point
    toe: Point


@dataclass(frozen=True, slots=True)
class Arm:
    """Joints of one arm."""

    shoulder: Point
    elbow: Point
    wrist: Point
    hand: Point


@dataclass(frozen=True, slots=True)
class Skeleton:
    """Joints; pairs are (left, right) with X negative and positive. ``drop`` is how far the hips sank from standing."""

    legs: tuple[Leg, Leg]
    arms: tuple[Arm, Arm]
    pelvis: Point
    neck: Point
    chin: Point
    crown: Point
    drop: float


def make_skeleton(build: Build, pose: Pose) -> Skeleton:
    """Joints of this build in this pose, the lower foot on the ground."""
    legs = (_leg(build, pose, -1, 0.0), _leg(build, pose, 1, 0.0))
    drop = min(leg.ankle[1] for leg in legs) - _ANKLE_Y
    legs = (_leg(build, pose, -1, drop), _leg(build, pose, 1, drop))
    neck = _leaned(0.0, CHIN_Y - 0.02, build, pose, drop)
    chin = _leaned(0.0, CHIN_Y, build, pose, drop)
    crown = _leaned(0.0, CHIN_Y + (TOP_Y - CHIN_Y) * build.head, build, pose, drop)
    arms = (_arm(build, pose, -1, drop), _arm(build, pose, 1, drop))
    return Skeleton(legs, arms, (0.0, build.hip - drop, 0.0), neck, chin, crown, drop)


def _leaned(x: float, y: float, build: Build, pose: Pose, drop: float) -> Point:
    up = y - build.hip
    return (x, build.hip + up * math.cos(pose.lean) - drop, up * math.sin(pose.lean))


def _leg(build: Build, pose: Pose, side: int, drop: float) -> Leg:
    phase = pose.phase + (0.0 if side > 0 else math.pi)
    thigh = pose.swing * math.sin(phase)
    flex = 2.0 * pose.swing * max(0.0, math.cos(phase)) + 0.04
    length = (build.hip - _ANKLE_Y) / 2
    hip = (side * build.hips * 0.52, build.hip - drop, 0.0)
    knee = _swung(hip, thigh, length)
    ankle = _swung(knee, thigh - flex, length)
    toe = (ankle[0] + side * 0.012, ankle[1] - 0.03 - 0.05 * math.sin(flex), ankle[2] + 0.085)
    return Leg(hip, knee, ankle, toe)


def _arm(build: Build, pose: Pose, side: int, drop: float) -> Arm:
    index = 0 if side < 0 else 1
    phase = pose.phase + (math.pi if side > 0 else 0.0)
    upper = 0.8 * pose.swing * math.sin(phase) + pose.arms[index]
    lower = upper + pose.elbows[index]
    shoulder = _leaned(side * 0.94 * build.shoulders, SHOULDER_Y - 0.012 - 0.02 * build.limbs, build, pose, drop)
    elbow = _swung(shoulder, upper, _UPPER_ARM, side * pose.abduction)
    wrist = _swung(elbow, lower, _FOREARM, side * pose.abduction * 0.6)
    hand = _swung(wrist, lower, 0.05, 0.0)
    return Arm(shoulder, elbow, wrist, hand)


def _swung(start: Point, angle: float, length: float, outward: float = 0.0) -> Point:
    down = length * math.cos(outward)
    return (
        start[0] + length * math.sin(outward),
        start[1] - down * math.cos(angle),
        start[2] + down * math.sin(angle),
    )
