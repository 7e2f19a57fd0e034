"""The six cameras of SYSU-MM01's layout: where they hang, what they look at, their light, lens and sensor."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np

from crossreid.data.synthetic.body import FloatArray
from crossreid.data.synthetic.surfaces import Spectrum

Range = tuple[float, float]
PlaceName = Literal["lobby", "classroom", "yard", "gate", "street"]

FRAME = (270, 360)  # rows and columns of a camera's whole picture, of which an image is a window
CUT_SHARE = 0.12  # of the images lose feet, head or a side to an imperfect detection
FILL = (0.84, 0.95)  # height of the person in a good window


@dataclass(frozen=True, slots=True)
class Camera:
    """One camera. Ranges are drawn uniformly for each frame.

    Attributes:
        camid: 1..6. place: what it looks at; cameras 2 and 3 share a room.
        at: where it hangs in the place, x and z, metres. heading: where it looks, radians, 0 towards -z.
        height: above the ground, metres. pitch: downwards, radians. focal: in frame heights.
        distance: of the people, metres. yaws: usual turns of people, radians, 0 faces the camera.
        sun: direction towards the main light in the camera's axes (right, up, towards the camera).
        key, ambient: strength of the main light and of the light from everywhere. tint: colour of the light.
        exposure: gain. gamma: of the sensor. noise: standard deviation, [0, 1] scale.
        blur: standard deviation in pixels of a 128-row image. quality: of the JPEG files.
        spectrum: near-infrared cameras bring their own light, thermal ones see the light that things send out.
    """

    camid: int
    place: PlaceName
    at: tuple[float, float]
    heading: float
    height: float
    pitch: float
    focal: float
    distance: Range
    yaws: tuple[float, ...]
    sun: tuple[float, float, float]
    key: Range
    ambient: float
    tint: tuple[float, float, float]
    exposure: Range
    gamma: Range
    noise: Range
    blur: Range
    quality: int
    spectrum: Spectrum = "visible"

    @property
    def infrared(self) -> bool:
        """True for a grey picture: near-infrared, by the camera's own light, or thermal."""
        return self.spectrum != "visible"


_FRONT = 0.0
_BACK = math.pi
_RIGHT = math.pi / 2
_LEFT = -math.pi / 2
_HERE = (0.0, 0.0, 1.0)  # the lamp beside an infrared camera
_WHITE = (1.0, 1.0, 1.0)

CAMERA: dict[int, Camera] = {
    1: Camera(1, "lobby", (1.0, 6.0), 0.25, 2.7, 0.27, 0.95, (4.0, 6.0), (_FRONT, _BACK, 0.5, -2.6),
              (0.4, 0.9, 0.3), (0.4, 0.65), 0.62, (1.07, 1.0, 0.86), (1.02, 1.25), (0.45, 0.5),
              (0.008, 0.018), (0.4, 0.7), 88),
    2: Camera(2, "classroom", (-2.2, 4.4), -0.35, 2.5, 0.24, 0.9, (3.6, 5.6), (_FRONT, _FRONT, _BACK, _BACK, _RIGHT, _LEFT),
              (-0.3, 1.0, 0.2), (0.3, 0.55), 0.70, (0.92, 1.03, 1.0), (0.9, 1.12), (0.45, 0.52),
              (0.012, 0.025), (0.4, 0.8), 85),
    3: Camera(3, "classroom", (2.4, 4.6), 0.40, 2.4, 0.22, 0.9, (3.4, 5.4), (_FRONT, _FRONT, _BACK, _BACK, _RIGHT, _LEFT),
              _HERE, (1.0, 1.2), 0.07, _WHITE, (0.95, 1.1), (0.66, 0.76), (0.010, 0.02), (0.4, 0.7), 88, "near_infrared"),
    4: Camera(4, "yard", (0.0, 8.0), -0.15, 3.0, 0.21, 1.15, (6.0, 9.0), (_FRONT, _BACK, _RIGHT, _LEFT, 0.6, -2.7),
              (0.75, 0.75, 0.45), (0.8, 1.3), 0.42, (1.04, 1.0, 0.93), (0.88, 1.1), (0.45, 0.5),
              (0.008, 0.02), (0.4, 0.7), 90),
    5: Camera(5, "gate", (1.5, 9.0), 0.2, 3.2, 0.26, 1.1, (5.5, 8.5), (_FRONT, _BACK, -0.7, 2.4),
              (-0.6, 0.8, 0.1), (0.35, 0.9), 0.62, (0.94, 1.0, 1.10), (0.85, 1.08), (0.44, 0.5),
              (0.010, 0.025), (0.4, 0.85), 86),
    6: Camera(6, "street", (-0.5, 8.0), 0.1, 2.9, 0.20, 1.1, (5.0, 8.0), (_FRONT, _BACK, _RIGHT, _LEFT, -0.6, 2.7),
              _HERE, (1.05, 1.3), 0.05, _WHITE, (0.95, 1.12), (0.66, 0.78), (0.012, 0.024), (0.4, 0.75), 85, "near_infrared"),
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class View:
    """Where a person stands before a camera: ``aside`` and ``distance`` in metres, ``yaw`` in radians."""

    yaw: float
    aside: float
    distance: float


@dataclass(frozen=True, slots=True)
class Window:
    """The part of a camera's picture that becomes an image, in frame pixels; it may reach beyond the frame."""

    left: float
    top: float
    width: float
    height: float


def sample_view(camera: Camera, rng: np.random.Generator) -> View:
    """Where the person is, and which side is seen."""
    turn = camera.yaws[int(rng.integers(len(camera.yaws)))]
    distance = float(rng.uniform(*camera.distance))
    half_width = 0.5 * FRAME[1] / FRAME[0] / camera.focal  # of the picture at one metre
    aside = float(rng.uniform(-0.55, 0.55) * half_width * distance)
    return View(float(turn + rng.normal(0.0, 0.24)), aside, distance)


def project(camera: Camera, points: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Points in the camera's axes (right, up from the ground, towards the camera from its foot) to frame pixels.

    Returns:
        (V, 2) x to the right, y down; depth along the line of sight (V,), metres.
    """
    c = math.cos(camera.pitch)
    s = math.sin(camera.pitch)
    up = points[:, 1] - camera.height
    depth = -s * up - c * points[:, 2]
    rise = c * up - s * points[:, 2]
    scale = camera.focal * FRAME[0] / np.maximum(depth, 0.2)
    x = FRAME[1] / 2 + points[:, 0] * scale
    y = FRAME[0] / 2 - rise * scale
    screen = np.stack([x, y], axis=1)
    return screen.astype(np.float32), depth.astype(np.float32)


def sample_window(screen: FloatArray, size: tuple[int, int], rng: np.random.Generator) -> Window:
    """A detection's box around projected points, of the shape of the image ``size`` (height, width)."""
    low = screen.min(0)
    high = screen.max(0)
    height = float(high[1] - low[1]) / rng.uniform(*FILL)
    left = float(low[0] + high[0]) / 2 + height * rng.normal(0, 0.018)
    top = float(low[1] + high[1]) / 2 - height / 2 + height * rng.normal(0, 0.012)
    if rng.random() < CUT_SHARE:
        lost = rng.uniform(0.06, 0.2)
        side = int(rng.integers(4))
        if side == 0:  # the feet
            height *= 1 - lost
        elif side == 1:  # the head
            top += 0.6 * lost * height
            height *= 1 - 0.6 * lost
        else:
            left += (side - 2.5) * 0.5 * lost * height
    width = height * size[1] / size[0]
    return Window(left - width / 2, top, width, height)
