"""Triangle meshes in the rest pose: joining, cutting along a level, smoothing, and simple solids."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array, csr_array

from crossreid.data.synthetic.body import FloatArray, IntArray


@dataclass(frozen=True)
class Mesh:
    """V vertices and F triangles.

    Attributes:
        points: (V, 3), metres. normals: outward, (V, 3). weights: of the bones, (V, B).
        cloth: where a pattern finds the vertex: its place while the arms hang straight (V, 3).
        arm: 1 on the arms, 0 elsewhere, (V,). faces: counter-clockwise from outside, (F, 3).
        surface: what each face is made of, (F,). two_sided: faces that show their inside too, (F,).
    """

    points: FloatArray
    normals: FloatArray
    weights: FloatArray
    cloth: FloatArray
    arm: FloatArray
    faces: IntArray
    surface: IntArray
    two_sided: NDArray[np.bool_]


def joined(meshes: list[Mesh]) -> Mesh:
    """All of them as one."""
    starts = np.cumsum([0] + [len(mesh.points) for mesh in meshes[:-1]])
    faces = []  # corners are counted on over all meshes
    for mesh, start in zip(meshes, starts, strict=True):
        faces.append(mesh.faces + start)
    return Mesh(
        points=np.concatenate([mesh.points for mesh in meshes]),
        normals=np.concatenate([mesh.normals for mesh in meshes]),
        weights=np.concatenate([mesh.weights for mesh in meshes]),
        cloth=np.concatenate([mesh.cloth for mesh in meshes]),
        arm=np.concatenate([mesh.arm for mesh in meshes]),
        faces=np.concatenate(faces),
        surface=np.concatenate([mesh.surface for mesh in meshes]),
        two_sided=np.concatenate([mesh.two_sided for mesh in meshes]),
    )


def cut(mesh: Mesh, field: FloatArray) -> Mesh:
    """The part where ``field`` (V,), linear on each triangle, is at least 0; triangles are cut along the level."""
    kept = field >= 0
    number = kept[mesh.faces].sum(1)  # corners of each face that stay
    whole = np.flatnonzero(number == 3)
    faces = [mesh.faces[whole]]
    parents = [whole]  # of each new face the old one, whose surface it has
    # the two ends of each cut edge; the new vertices, one an edge, stand behind the old ones
    starts: list[IntArray] = []
    ends: list[IntArray] = []
    count = len(mesh.points)
    for wanted in (1, 2):
        chosen = np.flatnonzero(number == wanted)
        corners = mesh.faces[chosen]
        differs = kept[corners] if wanted == 1 else ~kept[corners]
        lone = differs.argmax(1)  # the corner that differs from the two others
        # the corners in their order, which keeps the outside outside, from the lone one on
        a, b, c = (np.take_along_axis(corners, ((lone + k) % 3)[:, None], 1)[:, 0] for k in range(3))
        ab = count + np.arange(len(chosen))
        ac = ab + len(chosen)
        count += 2 * len(chosen)
        starts += [a, a]
        ends += [b, c]
        if wanted == 1:  # the tip at the lone corner stays
            faces.append(np.stack([a, ab, ac], axis=1))
            parents.append(chosen)
        else:  # the tip goes, and four corners stay: two triangles
            faces += [np.stack([ab, b, c], axis=1), np.stack([ab, c, ac], axis=1)]
            parents += [chosen, chosen]
    start = np.concatenate(starts)
    end = np.concatenate(ends)
    # where the field is 0 on the way from start to end
    share = (field[start] / (field[start] - field[end])).astype(np.float32)
    parent = np.concatenate(parents)

    def extended(values: FloatArray) -> FloatArray:
        part = share.reshape(-1, *[1] * (values.ndim - 1))
        return np.concatenate([values, values[start] * (1 - part) + values[end] * part])

    result = Mesh(
        extended(mesh.points), extended(mesh.normals), extended(mesh.weights), extended(mesh.cloth), extended(mesh.arm),
        np.concatenate(faces), mesh.surface[parent], mesh.two_sided[parent],
    )  # fmt: skip
    return _without_strays(result)


def _without_strays(mesh: Mesh) -> Mesh:
    """Without vertices that no face uses."""
    used, faces = np.unique(mesh.faces, return_inverse=True)
    return Mesh(
        mesh.points[used], mesh.normals[used], mesh.weights[used], mesh.cloth[used], mesh.arm[used],
        faces.reshape(-1, 3), mesh.surface, mesh.two_sided,
    )  # fmt: skip


def normals_of(points: FloatArray, faces: IntArray) -> FloatArray:
    """Unit normals of the vertices, weighted by the area of the faces around, (V, 3)."""
    corners = points[faces]
    flat = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])  # its length is twice the area
    sums = []
    for axis in range(3):
        sums.append(np.bincount(faces.ravel(), np.repeat(flat[:, axis], 3), len(points)))
    total = np.stack(sums, axis=1)
    length = np.linalg.norm(total, axis=1, keepdims=True)
    unit: FloatArray = (total / np.maximum(length, 1e-12)).astype(np.float32)
    return unit


def neighbour_means(faces: IntArray, count: int) -> csr_array:
    """The matrix that replaces each vertex by the mean of its neighbours, (V, V)."""
    ends = [(0, 1), (0, 2), (1, 0), (1, 2), (2, 0), (2, 1)]  # each corner of a face with the two others
    rows = np.concatenate([faces[:, one] for one, _ in ends])
    columns = np.concatenate([faces[:, other] for _, other in ends])
    links = coo_array((np.ones(len(rows), dtype=np.float32), (rows, columns)), shape=(count, count)).tocsr()
    links.data[:] = 1  # an edge belongs to two faces
    degree = np.maximum(np.asarray(links.sum(1)).ravel(), 1)
    return csr_array(links.multiply(1 / degree[:, None]))


def grid(points: FloatArray, weights: FloatArray, surface: int, *, closed: bool, two_sided: bool = True) -> Mesh:
    """A sheet of (rows, columns, 3) points; ``closed`` joins the last column to the first. Weights (rows, columns, B).

    Seen from outside, columns run to the right and rows run down.
    """
    rows, columns = points.shape[:2]
    cells = columns if closed else columns - 1  # in a row
    row, column = np.meshgrid(np.arange(rows - 1), np.arange(cells), indexing="ij")
    following = (column + 1) % columns
    # the corners of a cell: a and b above, c and d below them
    a = row * columns + column
    b = row * columns + following
    c = a + columns
    d = b + columns
    upper = np.stack([a, c, b], -1).reshape(-1, 3)
    lower = np.stack([b, c, d], -1).reshape(-1, 3)
    faces = np.concatenate([upper, lower])
    flat = points.reshape(-1, 3).astype(np.float32)
    return Mesh(
        points=flat,
        normals=normals_of(flat, faces),
        weights=weights.reshape(len(flat), -1).astype(np.float32),
        cloth=flat,
        arm=np.zeros(len(flat), dtype=np.float32),
        faces=faces,
        surface=np.full(len(faces), surface),
        two_sided=np.full(len(faces), two_sided),
    )


def solid(
    centre: FloatArray, half: tuple[float, float, float], weights: FloatArray, surface: int, *, boxy: float = 1.0
) -> Mesh:
    """A super-ellipsoid: 1 is round, towards 0 a box. ``half`` are its half axes, ``weights`` (B,) of every vertex."""
    down, around = np.meshgrid(np.linspace(0, np.pi, 9), np.linspace(0, 2 * np.pi, 16, endpoint=False), indexing="ij")

    def power(values: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.sign(values) * np.abs(values) ** boxy

    ring = power(np.sin(down))
    ball = np.stack([ring * power(np.sin(around)), power(np.cos(down)), ring * power(np.cos(around))], -1)
    points = (centre + ball * np.array(half)).astype(np.float32)
    ties = np.broadcast_to(weights, (*down.shape, len(weights)))
    mesh = grid(points, ties, surface, closed=True, two_sided=False)
    outward = (ball / np.array(half)).reshape(-1, 3)  # normals of an ellipsoid, kept round so that edges look soft
    unit = outward / np.linalg.norm(outward, axis=1, keepdims=True)
    return replace(mesh, normals=unit.astype(np.float32))
