"""What stands behind the people: a place, ray-cast once a camera and kept; every image takes a window of it."""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np
from scipy.ndimage import gaussian_filter

from crossreid.data.synthetic.body import FloatArray, IntArray
from crossreid.data.synthetic.cameras import FRAME, Camera
from crossreid.data.synthetic.places import INDOORS, Place, make_place

_STREAM = 9
_LAMP_REACH = 4.5  # metres at which an infrared lamp lights a surface fully


@lru_cache(maxsize=16)
def scene(camera: Camera) -> FloatArray:
    """The camera's picture without people, linear light: (H, W, 3) of a visible camera, (H, W, 1) of an infrared one."""
    place = make_place(camera.place)
    origin = np.array([camera.at[0], camera.height, camera.at[1]])
    rays = _rays(camera)
    stuff, distance, axis = _first_hits(place, origin, rays)
    points = origin + rays * distance[:, None]
    albedo = _albedo(place, stuff, points, axis, camera.infrared)
    light: FloatArray
    if camera.spectrum == "thermal":  # all cool, and of little contrast
        albedo = 0.08 + 0.2 * albedo
        light = np.ones_like(distance)
    elif camera.infrared:
        facing = np.abs(np.take_along_axis(rays, axis[:, None], 1)[:, 0])
        light = 0.04 + 0.8 * facing * np.minimum(1.0, _LAMP_REACH / distance) ** 2
    else:
        light = _daylight(place, camera, points, axis)
    picture = (albedo * light[:, None]).reshape(*FRAME, -1)
    return np.asarray(gaussian_filter(picture, (0.8, 0.8, 0)), dtype=np.float32)


def _rays(camera: Camera) -> FloatArray:
    """Unit directions through every pixel in the axes of the place, (N, 3)."""
    rows, columns = np.mgrid[: FRAME[0], : FRAME[1]]
    right = (columns.ravel() + 0.5 - FRAME[1] / 2) / (camera.focal * FRAME[0])
    up = -(rows.ravel() + 0.5 - FRAME[0] / 2) / (camera.focal * FRAME[0])
    c = math.cos(camera.pitch)
    s = math.sin(camera.pitch)
    rays = np.stack([right, c * up - s, -s * up - c], axis=1)
    c = math.cos(camera.heading)
    s = math.sin(camera.heading)
    rays = rays @ np.array([[c, 0, -s], [0, 1, 0], [s, 0, c]])
    unit: FloatArray = (rays / np.linalg.norm(rays, axis=1, keepdims=True)).astype(np.float32)
    return unit


def _first_hits(place: Place, origin: FloatArray, rays: FloatArray) -> tuple[IntArray, FloatArray, IntArray]:
    """Of every ray: what it meets (0 floor, 1 wall, 2 top, 3... boxes), how far, and across which axis; (N,) each."""
    low = np.array([-place.half_width, 0, place.back])
    high = np.array([place.half_width, place.ceiling, place.front])
    inverse = 1 / np.where(np.abs(rays) < 1e-6, 1e-6, rays)
    # from inside the shell: of the planes ahead, one an axis, the nearest is met
    leaving = np.maximum((low - origin) * inverse, (high - origin) * inverse)
    axis = leaving.argmin(1)
    distance = leaving.min(1)
    met = np.where(axis == 1, np.where(rays[:, 1] < 0, 0, 2), 1)
    for number, box in enumerate(place.boxes, start=3):
        # only rays within the cone around the box's corners are tried
        corners = np.array(np.meshgrid(*zip(box.low, box.high, strict=True))).reshape(3, 8).T - origin
        toward = corners / np.linalg.norm(corners, axis=1, keepdims=True)
        middle = toward.mean(0) / np.linalg.norm(toward.mean(0))
        tried = np.flatnonzero(rays @ middle >= (toward @ middle).min() - 1e-3)
        # a ray is inside the box from where it has entered all three slabs to where it leaves the first
        one = (np.array(box.low) - origin) * inverse[tried]
        other = (np.array(box.high) - origin) * inverse[tried]
        enter = np.minimum(one, other)
        leave = np.maximum(one, other)
        near = enter.max(1)
        hit = (near < leave.min(1)) & (near > 0.05) & (near < distance[tried])
        chosen = tried[hit]
        distance[chosen] = near[hit]
        met[chosen] = number
        axis[chosen] = enter[hit].argmax(1)
    return met, distance, axis


@lru_cache(maxsize=1)
def _spots() -> FloatArray:
    """Tileable noise of several sizes, about [-1, 1], (256, 256)."""
    rng = np.random.default_rng(_STREAM)
    total = np.zeros((256, 256))
    for sigma in (2, 6, 18):
        layer = gaussian_filter(rng.standard_normal((256, 256)), sigma, mode="wrap")
        total += layer / layer.std()
    return np.asarray(total / 3, dtype=np.float32)


def _albedo(place: Place, met: IntArray, points: FloatArray, axis: IntArray, infrared: bool) -> FloatArray:
    stuffs = [place.floor, place.wall, place.top]  # numbered as in :func:`_first_hits`
    for box in place.boxes:
        stuffs.append(box.stuff)
    if infrared:
        table = np.array([[stuff.infrared] for stuff in stuffs])
    else:
        table = np.array([stuff.colour for stuff in stuffs])
    rough = np.array([stuff.rough for stuff in stuffs])[met]
    grain = np.array([stuff.grain for stuff in stuffs])[met]
    tile = np.array([stuff.tile for stuff in stuffs])[met]
    joint = np.array([stuff.joint for stuff in stuffs])[met]
    # u, v: place on the surface that is met, metres
    u = np.where(axis == 0, points[:, 2], points[:, 0])
    v = np.where(axis == 1, points[:, 2], points[:, 1])
    step = 16 / grain
    noise = _spots()[(u * step).astype(int) % 256, (v * step + 37 * met).astype(int) % 256]
    value = 1 + rough * noise
    spacing = np.where(tile > 0, tile, 1.0)
    line = (np.minimum((u / spacing) % 1, (v / spacing) % 1) < 0.035) & (tile > 0)
    value = np.where(line, value * (1 - joint), value)
    return np.asarray(table[met] * np.maximum(value, 0.1)[:, None], dtype=np.float32)


def _daylight(place: Place, camera: Camera, points: FloatArray, axis: IntArray) -> FloatArray:
    """Brighter tops than sides, darker towards the corners of a room and the foot of things."""
    side = np.choose(axis, [0.72, 1.0, 0.85])
    if camera.place in INDOORS:
        edge = np.minimum(place.half_width - np.abs(points[:, 0]), points[:, 2] - place.back)
        return np.asarray(0.85 * side * (0.6 + 0.4 * np.clip(edge / 2.5, 0, 1)), dtype=np.float32)
    foot = 0.7 + 0.3 * np.clip(points[:, 1] / 0.6, 0, 1)
    return np.asarray(side * np.where(axis == 1, 1.0, foot), dtype=np.float32)
