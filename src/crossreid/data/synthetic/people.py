"""An identity: everything that stays the same from frame to frame and from camera to camera, and its figure."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from crossreid.data.synthetic.accessories import Head, accessories, hand_grip, make_head
from crossreid.data.synthetic.body import SIDES, SLIDERS, FloatArray, Shape, body_model, make_shape
from crossreid.data.synthetic.gait import Gait, Hold, sample_gait
from crossreid.data.synthetic.garments import dressed
from crossreid.data.synthetic.materials import Wardrobe, sample_wardrobe
from crossreid.data.synthetic.mesh import Mesh, joined
from crossreid.data.synthetic.outfit import Outfit, sample_outfit
from crossreid.data.synthetic.skeleton import Rotations, skin, transforms
from crossreid.data.synthetic.wearer import Wearer, make_wearer

_STREAM = 2


@dataclass(frozen=True)
class Person:
    """One identity: sliders of the body in [0, 1], gait, outfit and materials."""

    sliders: dict[str, float]
    gait: Gait
    outfit: Outfit
    wardrobe: Wardrobe


@dataclass(frozen=True)
class Figure:
    """A person's mesh in the rest pose, with what posing and patterns need. ``girth``: radians that spread the arms."""

    person: Person
    wearer: Wearer
    head: Head
    mesh: Mesh
    girth: float

    @property
    def shape(self) -> Shape:
        """The body under the clothes."""
        return self.wearer.shape


def sample_person(seed: int, pid: int) -> Person:
    """The identity ``pid`` of the world ``seed``."""
    rng = np.random.default_rng((seed, _STREAM, pid))
    sliders = {name: float(rng.random()) for name in SLIDERS}
    # these three are drawn again, from distributions of their own
    sliders["gender"] = float(rng.choice([rng.uniform(0, 0.2), rng.uniform(0.8, 1)]))
    sliders["height"] = float(np.clip(rng.normal(0.5, 0.2), 0, 1))
    sliders["weight"] = float(rng.beta(1.2, 1.4))
    outfit = sample_outfit(sliders["gender"], rng)
    gait = _holding(sample_gait(rng), outfit, rng)
    wardrobe = sample_wardrobe(rng)
    return Person(sliders, gait, outfit, wardrobe)


def _holding(gait: Gait, outfit: Outfit, rng: np.random.Generator) -> Gait:
    if outfit.side > 0:  # of the bag
        side, other = "L", "R"
    else:
        side, other = "R", "L"
    hold: dict[str, Hold] = {"L": "free", "R": "free"}
    if outfit.bag in ("hand", "tote"):
        hold[side] = "carry"
    elif outfit.bag in ("backpack", "shoulder") and rng.random() < 0.2:
        hold[side] = "strap"
    if outfit.thing and rng.random() < 0.6:
        hold[other] = "phone"
    elif outfit.thing:
        hold[other] = "carry"
    return replace(gait, hold=hold)


def make_figure(person: Person) -> Figure:
    """Body, clothes, hair and bags of a person as one mesh."""
    wearer = make_wearer(make_shape(person.sliders))
    mesh = joined(dressed(wearer, person.outfit) + accessories(wearer, person.outfit))
    girth = 1.6 * person.outfit.upper.thickness + 0.10 * person.sliders["weight"] ** 2
    return Figure(person, wearer, make_head(wearer), mesh, float(girth))


def posed(figure: Figure, pose: Rotations) -> tuple[FloatArray, FloatArray]:
    """Points and unit normals of the figure in a pose, (V, 3) each, with the soles on y = 0."""
    motion = transforms(figure.shape, pose)  # (B, 3, 4)
    upright = motion[0, :, :3]  # carried things turn with the pelvis alone
    props = []
    for side, sign in SIDES:
        hand = motion[body_model().index(f"hand.{side}")]
        grip = hand_grip(figure.wearer, sign)
        moved = hand[:, :3] @ grip + hand[:, 3] - upright @ grip  # takes the grip to where the hand is
        props.append(np.concatenate([upright, moved[:, None]], axis=1))
    motion = np.concatenate([motion, np.stack(props)])
    points, rotations = skin(figure.mesh.points, figure.mesh.weights, motion)
    normals = np.einsum("vij,vj->vi", rotations, figure.mesh.normals)
    points[:, 1] -= points[:, 1].min()
    return points, normals / np.linalg.norm(normals, axis=1, keepdims=True)
