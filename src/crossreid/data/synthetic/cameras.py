"""The six cameras: where they hang, what stands behind the people, and how light or dark it is."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter

from crossreid.data.synthetic.drawing import View
from crossreid.data.synthetic.roster import INFRARED_CAMERAS

FloatImage = NDArray[np.float32]
Range = tuple[float, float]
Place = Literal["room_a", "room_b", "yard", "gate", "street"]

_STREAM = 3
_WORLD_WIDTHS = 5  # a place is this many images wide; each frame looks at one window of it
_PLACES: tuple[Place, ...] = ("room_a", "room_b", "yard", "gate", "street")


@dataclass(frozen=True, slots=True)
class Camera:
    """One camera. Ranges are drawn uniformly for each frame.

    Attributes:
        camid: 1..6. place: what stands behind the people; cameras 2 and 3 share one room.
        tint: colour of the light (visible cameras). gain: brightness. gamma: of the sensor.
        noise: standard deviation of the pixel noise, [0, 1] scale. blur: radius in pixels of a 128-row image.
        falloff: loss of the infrared lamp from the centre to the corner. floor: row of the floor's edge, share of height.
        tilt, pitch: see ``View``. size: height of the person as a share of the image. yaws: usual turns in radians.
    """

    camid: int
    place: Place
    tint: tuple[float, float, float]
    gain: Range
    gamma: Range
    noise: Range
    blur: Range
    falloff: Range
    floor: float
    tilt: float
    pitch: float
    size: Range
    yaws: tuple[float, ...]

    @property
    def infrared(self) -> bool:
        """True for the near-infrared cameras."""
        return self.camid in INFRARED_CAMERAS


_FRONT, _BACK, _RIGHT, _LEFT = 0.0, math.pi, math.pi / 2, -math.pi / 2
_ALL = (_FRONT, _BACK, _RIGHT, _LEFT)
_NO_LAMP = (0.0, 0.0)

CAMERA: dict[int, Camera] = {
    1: Camera(1, "room_a", (1.08, 1.0, 0.84), (0.75, 1.05), (0.9, 1.1), (0.015, 0.03), (0.3, 0.7), _NO_LAMP,
              0.70, 0.16, 0.10, (0.84, 0.91), _ALL),
    2: Camera(2, "room_b", (0.92, 1.04, 0.98), (0.65, 0.95), (0.95, 1.2), (0.02, 0.04), (0.4, 0.9), _NO_LAMP,
              0.66, 0.22, 0.14, (0.83, 0.91), _ALL),
    3: Camera(3, "room_b", (1.0, 1.0, 1.0), (0.85, 1.15), (0.7, 0.9), (0.018, 0.032), (0.3, 0.6), (0.3, 0.45),
              0.66, 0.20, 0.12, (0.83, 0.91), _ALL),
    4: Camera(4, "yard", (0.94, 1.0, 1.12), (0.85, 1.2), (0.8, 1.0), (0.012, 0.025), (0.3, 0.6), _NO_LAMP,
              0.60, 0.08, 0.08, (0.84, 0.91), _ALL),
    5: Camera(5, "gate", (1.02, 1.05, 0.93), (0.7, 1.15), (0.85, 1.05), (0.015, 0.03), (0.3, 0.8), _NO_LAMP,
              0.62, 0.12, 0.16, (0.83, 0.91), _ALL),
    6: Camera(6, "street", (1.0, 1.0, 1.0), (0.9, 1.25), (0.6, 0.8), (0.02, 0.038), (0.3, 0.7), (0.45, 0.65),
              0.64, 0.10, 0.10, (0.83, 0.91), _ALL),
}  # fmt: skip


def sample_view(camera: Camera, size: tuple[int, int], stature: float, rng: np.random.Generator) -> View:
    """Where and how large the person stands in an image of ``size`` (height, width), and which side is seen."""
    height, width = size
    turn = camera.yaws[int(rng.integers(len(camera.yaws)))]
    scale = height * rng.uniform(*camera.size) * stature
    return View(
        yaw=float(turn + rng.normal(0.0, 0.25)),
        scale=float(scale),
        centre=float(width * (0.5 + rng.normal(0.0, 0.03))),
        ground=float((height + scale) / 2 + height * rng.normal(0.0, 0.015)),
        tilt=float(camera.tilt + rng.normal(0.0, 0.02)),
        pitch=float(camera.pitch + rng.normal(0.0, 0.02)),
    )


def sample_background(camera: Camera, size: tuple[int, int], rng: np.random.Generator) -> FloatImage:
    """A window of the camera's place: (H, W, 3) in visible light, (H, W, 1) in infrared, [0, 1]."""
    height, width = size
    world = _world(camera.place, camera.infrared, camera.floor, size)
    top = int(rng.integers(world.shape[0] - height + 1))
    left = int(rng.integers(world.shape[1] - width + 1))
    window = world[top : top + height, left : left + width]
    return window[:, ::-1] if rng.random() < 0.5 else window


@lru_cache(maxsize=16)
def _world(place: Place, infrared: bool, floor: float, size: tuple[int, int]) -> FloatImage:
    """The whole place, a little taller and much wider than one image. It depends on nothing but its name and size."""
    rng = np.random.default_rng((_STREAM, _PLACES.index(place)))
    height, width = size[0] + max(4, size[0] // 10), size[1] * _WORLD_WIDTHS
    picture = Image.new("RGB", (width, height), _tone(rng, 90, 190))
    draw = ImageDraw.Draw(picture)
    edge = int(height * floor)
    _draw_wall(draw, rng, width, edge)
    draw.rectangle((0, edge, width, height), fill=_tone(rng, 70, 170))
    _draw_floor(draw, rng, width, height, edge)
    pixels = np.asarray(picture.filter(ImageFilter.GaussianBlur(height / 130)), dtype=np.float32) / 255
    grain = rng.normal(0.0, 0.03, (height, width, 1)).astype(np.float32)
    if infrared:  # the lamp does not reach the wall: darker, and other materials reflect otherwise
        pixels = 0.10 + 0.42 * (1 - pixels[..., :1]) ** 1.5
    return np.clip(pixels + grain, 0.0, 1.0)


def _tone(rng: np.random.Generator, low: int, high: int) -> tuple[int, int, int]:
    grey = rng.uniform(low, high)
    red, green, blue = (int(np.clip(grey * rng.uniform(0.85, 1.15), 0, 255)) for _ in range(3))
    return red, green, blue


def _draw_wall(draw: ImageDraw.ImageDraw, rng: np.random.Generator, width: int, edge: int) -> None:
    """Doors, posters, bushes: rectangles and blobs above the floor."""
    for _ in range(14):
        x, half = rng.uniform(0, width), width * rng.uniform(0.01, 0.05)
        top, bottom = sorted(rng.uniform(0, edge, 2))
        draw.rectangle((x - half, top, x + half, edge if rng.random() < 0.4 else bottom), fill=_tone(rng, 40, 220))
    for _ in range(18):
        x, y, radius = rng.uniform(0, width), rng.uniform(0, edge), width * rng.uniform(0.004, 0.03)
        draw.ellipse((x - radius, y - radius, x + radius, y + radius * 1.3), fill=_tone(rng, 50, 210))


def _draw_floor(draw: ImageDraw.ImageDraw, rng: np.random.Generator, width: int, height: int, edge: int) -> None:
    """Tiles that grow towards the camera."""
    colour = _tone(rng, 60, 190)
    for row in range(4):
        y = edge + (height - edge) * (row / 4) ** 1.6
        draw.line((0, y, width, y), fill=colour, width=1)
    step = width / 40
    for column in range(-40, 80):
        draw.line((column * step, edge, column * step + rng.normal(0, step / 4) + step, height), fill=colour, width=1)
