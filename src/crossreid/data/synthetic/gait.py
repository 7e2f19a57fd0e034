"""How a person stands and walks: joint angles as functions of the phase of a step."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np

from crossreid.data.synthetic.body import SIDES, FloatArray, Shape
from crossreid.data.synthetic.skeleton import HANG, Rotations, lowered_arms, turn

STANDING_SHARE = 0.2  # of the frames; the others are somewhere in a stride
Hold = Literal["free", "carry", "strap", "phone", "front"]


@dataclass(frozen=True, slots=True)
class Gait:
    """One person's way of walking; angles in radians.

    Attributes:
        stride: swing of the thighs. swing: of the arms. elbow: how bent they hang. away: of the arms from the body.
        lean: of the trunk to the front. stoop: of the neck. toes: turned out. base: how far the legs are spread.
        hold: what each arm does, by side: hangs free, carries a weight, keeps a strap, holds a phone, lies in front.
    """

    stride: float
    swing: float
    elbow: float
    away: float
    lean: float
    stoop: float
    toes: float
    base: float
    hold: dict[str, Hold]


def sample_gait(rng: np.random.Generator) -> Gait:
    """A way of walking with both arms free."""
    return Gait(
        stride=float(rng.uniform(0.26, 0.46)),
        swing=float(rng.uniform(0.12, 0.45)),
        elbow=float(rng.uniform(0.12, 0.4)),
        away=float(HANG + rng.uniform(-0.02, 0.08)),
        lean=float(rng.normal(0.04, 0.03)),
        stoop=float(rng.uniform(-0.02, 0.3)),
        toes=float(rng.uniform(0.0, 0.22)),
        base=float(rng.uniform(-0.06, 0.01)),
        hold={"L": "free", "R": "free"},
    )


def sample_pose(gait: Gait, shape: Shape, girth: float, rng: np.random.Generator) -> Rotations:
    """Joint angles of one moment. ``girth`` spreads the arms: radians that clothes and build add."""
    standing = rng.random() < STANDING_SHARE
    phase = float(rng.uniform(0, 2 * math.pi))
    effort = 0.06  # standing still is a stride of almost no size
    if not standing:
        effort = float(rng.uniform(0.85, 1.1))
    sway = effort * math.cos(phase)
    nod = float(rng.normal(-0.4 * gait.stoop, 0.08))  # the head is held up against the stoop of the neck
    glance = float(rng.normal(-0.08 * sway, 0.22))
    pose: Rotations = {
        "pelvis": turn("y", -0.12 * sway) @ turn("z", 0.03 * effort * math.sin(phase)),
        "spine": turn("x", gait.lean) @ turn("y", 0.10 * sway),
        "chest": turn("x", 0.4 * gait.stoop) @ turn("y", 0.12 * sway),
        "neck": turn("x", 0.5 * gait.stoop),
        "head": turn("x", nod) @ turn("y", glance),
    }
    lowered = lowered_arms(shape, gait.away + girth)
    for side, sign in SIDES:
        own = phase
        if sign < 0:  # the right leg is half a stride behind the left one
            own += math.pi
        pose |= _leg(side, sign, own, effort, gait)
        chance = float(rng.normal(0, 0.06))
        # arms swing against the legs
        pose |= _arm(side, sign, own + math.pi, effort, gait, lowered[side], chance)
    return pose


def _leg(side: str, sign: int, phase: float, effort: float, gait: Gait) -> Rotations:
    forward = effort * gait.stride * math.cos(phase) + 0.05 * effort
    bent = 0.06 + effort * 2.3 * gait.stride * max(0.0, -math.sin(phase - 0.25)) ** 1.5
    lifted = effort * (0.75 * max(0.0, -math.cos(phase - 0.5)) ** 2 - 0.35 * max(0.0, math.cos(phase)) ** 4)
    level = forward - bent  # what the foot would be tilted by
    # mostly turned back to the ground, with the heel lifted behind and the toes in front
    tilt = level * 0.85 + lifted * 0.6
    return {
        f"thigh.{side}": turn("x", -forward) @ turn("z", sign * gait.base) @ turn("y", sign * gait.toes),
        f"shin.{side}": turn("x", bent),
        f"foot.{side}": turn("x", tilt),
    }


def _arm(
    side: str,
    sign: int,
    phase: float,
    effort: float,
    gait: Gait,
    lowered: tuple[FloatArray, FloatArray],
    chance: float,
) -> Rotations:
    hold = gait.hold[side]
    swing = effort * gait.swing * math.cos(phase) + chance
    elbow = gait.elbow + 0.5 * max(0.0, swing)
    inward = 0.0
    match hold:
        case "carry":
            swing *= 0.25
            elbow = 0.5 * gait.elbow
        case "strap":
            swing = -0.15 + 0.15 * swing
            elbow = 2.25
            inward = 0.5
        case "phone":
            swing = 0.35 + 0.1 * swing
            elbow = 1.75 + chance
            inward = 0.45
        case "front":
            swing = 0.1 + 0.1 * swing
            elbow = 1.25 + chance
            inward = 0.75
    upper, forearm = lowered
    bend = turn("y", -sign * inward) @ turn("x", -elbow)
    wrist: FloatArray = np.eye(3, dtype=np.float32)
    if hold == "free":
        wrist = turn("x", -0.12)
    # each bend in the axes of the arm that hangs straight
    return {
        f"upperarm.{side}": turn("x", -swing) @ upper,
        f"forearm.{side}": upper.T @ bend @ forearm,
        f"hand.{side}": forearm.T @ wrist @ forearm,
    }
