"""A body measured for its clothes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from crossreid.data.synthetic.body import SIDES, FloatArray, Shape, body_model
from crossreid.data.synthetic.mesh import Mesh, normals_of
from crossreid.data.synthetic.skeleton import hanging, skin
from crossreid.data.synthetic.surfaces import Surface

PROPS = 2  # bones after the body's: things that hang upright from the left and right hand


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


def make_wearer(shape: Shape) -> Wearer:
    """Measure a body."""
    model = body_model()
    hung = hanging(shape)
    cloth, _ = skin(shape.points, model.weights, hung)
    arms = []
    for side, _ in SIDES:
        for bone in ("upperarm", "forearm", "hand"):
            arms.append(model.index(f"{bone}.{side}"))
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
