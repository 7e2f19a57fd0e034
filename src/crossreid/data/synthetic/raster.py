"""A z-buffer in numpy: every triangle's bounding box is tested pixel by pixel, all triangles at once.

Barycentric coordinates are linear on the screen, not in perspective: a triangle of a few centimetres at some metres'
distance differs by less than a hundredth.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from crossreid.data.synthetic.body import FloatArray, IntArray


@dataclass(frozen=True, slots=True)
class Fragments:
    """The pixels that show a surface, in ascending order of ``pixel``.

    Attributes:
        pixel: row x width + column, (P,). face: index of the nearest triangle, (P,).
        shares: barycentric coordinates of its three corners, (P, 3). depth: (P,).
    """

    pixel: IntArray
    face: IntArray
    shares: FloatArray
    depth: FloatArray

    def interpolate(self, values: FloatArray, faces: IntArray) -> FloatArray:
        """Values of the corners (V, D) at the pixels, (P, D)."""
        corners = values[faces[self.face]]
        blended: FloatArray = np.einsum("pk,pkd->pd", self.shares, corners)
        return blended


def rasterise(
    screen: FloatArray, depth: FloatArray, faces: IntArray, size: tuple[int, int], two_sided: NDArray[np.bool_]
) -> Fragments:
    """Find the nearest triangle of every pixel; pixel (row, column) is sampled at its centre, +0.5.

    Args:
        screen: corners in pixels, x to the right and y down, (V, 2). depth: distance from the camera, (V,).
        faces: (F, 3), clockwise on this screen (y down) seen from outside. size: (height, width).
        two_sided: faces that show their inside too, (F,).
    """
    height, width = size
    corners = screen[faces]  # (F, 3, 2)
    edge_1, edge_2 = corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]
    area = edge_1[:, 0] * edge_2[:, 1] - edge_1[:, 1] * edge_2[:, 0]
    low = np.ceil(corners.min(1) - 0.5).astype(np.int64)
    high = np.floor(corners.max(1) - 0.5).astype(np.int64)
    low = np.maximum(low, 0)
    high = np.minimum(high, (width - 1, height - 1))
    extent = high - low + 1
    # Outside faces come out with negative area on a screen whose y points down.
    seen = np.flatnonzero((extent > 0).all(1) & ((area < -1e-9) | (two_sided & (area > 1e-9))))
    counts = extent[seen].prod(1)
    owner = np.repeat(np.arange(len(seen)), counts)
    step = np.arange(len(owner)) - np.repeat(np.cumsum(counts) - counts, counts)
    columns = extent[seen, 0][owner]
    row = step // columns
    x = low[seen, 0][owner] + (step - row * columns)
    y = low[seen, 1][owner] + row
    pixel = y * width + x
    table = _edge_functions(corners[seen], area[seen])
    share_1, share_2 = _shares(table, owner, x, y)
    share_0 = 1 - share_1 - share_2
    inside = np.flatnonzero((share_0 >= 0) & (share_1 >= 0) & (share_2 >= 0))
    owner, pixel = owner[inside], pixel[inside]
    shares = np.stack([share_0[inside], share_1[inside], share_2[inside]], axis=1)
    far = depth[faces[seen]]
    distance = np.einsum("pk,pk->p", shares, far[owner])
    order = np.lexsort((distance, pixel))
    first = np.ones(len(order), dtype=np.bool_)
    first[1:] = np.diff(pixel[order]) != 0
    nearest = order[first]
    return Fragments(pixel[nearest], seen[owner[nearest]], shares[nearest], distance[nearest])


def _edge_functions(corners: FloatArray, area: FloatArray) -> FloatArray:
    """Coefficients of the second and third barycentric coordinate as a x + b y + c, (F, 6)."""
    (ax, ay), (bx, by), (cx, cy) = (corners[:, k].T for k in range(3))
    second = np.stack([cy - ay, -(cx - ax), -(cy - ay) * ax + (cx - ax) * ay])
    third = np.stack([-(by - ay), bx - ax, (by - ay) * ax - (bx - ax) * ay])
    table: FloatArray = (np.concatenate([second, third]) / area).T.astype(np.float32)
    return table


def _shares(table: FloatArray, owner: IntArray, x: IntArray, y: IntArray) -> tuple[FloatArray, FloatArray]:
    rows = table[owner]
    centre_x, centre_y = x.astype(np.float32) + 0.5, y.astype(np.float32) + 0.5
    second = rows[:, 0] * centre_x + rows[:, 1] * centre_y + rows[:, 2]
    third = rows[:, 3] * centre_x + rows[:, 4] * centre_y + rows[:, 5]
    return second, third
