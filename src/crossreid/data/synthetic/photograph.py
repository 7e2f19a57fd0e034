"""Light and sensor: from the surfaces that a camera sees to its picture, by day and by its own infrared lamp."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy.ndimage import gaussian_filter, uniform_filter

from crossreid.data.synthetic.body import FloatArray, IntArray
from crossreid.data.synthetic.cameras import FRAME, Camera, View, Window
from crossreid.data.synthetic.surfaces import Surface

SUPERSAMPLING = 2  # samples a pixel and direction
_STREAM = 6
_CLOTH = (Surface.UPPER, Surface.INNER, Surface.LOWER)


@dataclass(frozen=True)
class Samples:
    """What is seen of a figure, one row a sample (pixel of the supersampled image).

    Attributes:
        pixel: row x width + column, ascending, (P,). depth: metres, (P,). normal: unit, in the camera's axes (right, up,
            towards the camera), (P, 3). cloth: place in the pose of patterns, (P, 3). surface: (P,).
        albedo: reflectance, (P, C).
    """

    pixel: IntArray
    depth: FloatArray
    normal: FloatArray
    cloth: FloatArray
    surface: IntArray
    albedo: FloatArray


@lru_cache(maxsize=1)
def _wrinkles() -> FloatArray:
    """Slopes of creased cloth, tileable, (256, 256, 2): across and along."""
    rng = np.random.default_rng(_STREAM)
    total = np.zeros((256, 256))
    for sigma, weight in (((4, 6), 0.3), ((12, 6), 0.6), ((9, 14), 1.0), ((16, 9), 0.8)):
        layer = gaussian_filter(rng.standard_normal((256, 256)), sigma, mode="wrap")
        total += weight * layer / layer.std() * min(sigma)
    slopes = np.stack([np.roll(total, -1, 1) - total, np.roll(total, -1, 0) - total], -1)
    return np.asarray(slopes / slopes.std(), dtype=np.float32)


def creased(samples: Samples, rng: np.random.Generator) -> FloatArray:
    """Normals tilted by folds that stick to the cloth but fall a little differently in each frame, (P, 3)."""
    shift = rng.integers(0, 256, 2)
    u = samples.cloth[:, 0] + 0.7 * samples.cloth[:, 2]
    across = (u * 300 + shift[0]).astype(np.int64) % 256
    along = (samples.cloth[:, 1] * 300 + shift[1]).astype(np.int64) % 256
    strength = np.full(len(Surface), 0.12, dtype=np.float32)
    strength[list(_CLOTH)] = 0.26
    strength[Surface.SKIN] = 0.03
    strength[Surface.HAIR] = 0.3
    slopes = _wrinkles()[along, across] * strength[samples.surface, None]
    normal = samples.normal.copy()
    normal[:, :2] += slopes
    normal /= np.linalg.norm(normal, axis=1, keepdims=True)
    return normal


def shade(samples: Samples, camera: Camera, view: View, size: tuple[int, int], rng: np.random.Generator) -> FloatArray:
    """Light that leaves the samples, (P, C); ``size`` of the supersampled image."""
    normal = creased(samples, rng)
    open_sky = _openness(samples, size)
    if camera.spectrum == "thermal":
        return np.asarray(samples.albedo * (0.8 + 0.2 * normal[:, 2] * open_sky)[:, None])
    if camera.infrared:
        return _lamp_lit(samples, normal, open_sky, camera, view, rng)
    sun = np.asarray(camera.sun) + rng.normal(0, 0.12, 3)  # a little elsewhere in each image
    sun = (sun / np.linalg.norm(sun)).astype(np.float32)
    direct = np.clip((normal @ sun + 0.15) / 1.15, 0, None) * np.float32(rng.uniform(*camera.key))
    around = camera.ambient * (0.72 + 0.28 * normal[:, 1]) * open_sky
    # Blinn and Phong's highlight: around the direction half way between light and camera
    half = sun + np.array([0, 0, 1], dtype=np.float32)
    half /= np.linalg.norm(half)
    gloss = np.full(len(Surface), 0.015, dtype=np.float32)
    gloss[[Surface.SHOE, Surface.BAG, Surface.HAIR]] = 0.06
    shine = gloss[samples.surface] * np.clip(normal @ half, 0, 1) ** 12
    light: FloatArray = samples.albedo * (direct * (0.4 + 0.6 * open_sky) + around)[:, None] + shine[:, None]
    return light


def _lamp_lit(
    samples: Samples, normal: FloatArray, open_sky: FloatArray, camera: Camera, view: View, rng: np.random.Generator
) -> FloatArray:
    facing = np.clip(normal[:, 2], 0, 1) ** 0.8
    # the lamp's light falls with the square of the distance; at the person's own it is 1
    reach = (view.distance / samples.depth) ** 2 * np.float32(rng.uniform(*camera.key))
    light: FloatArray = (
        samples.albedo * ((0.9 * facing + 0.06) * reach * (0.5 + 0.5 * open_sky) + camera.ambient)[:, None]
    )
    return light


def _openness(samples: Samples, size: tuple[int, int]) -> FloatArray:
    """1 where nothing nearer stands beside a sample, less in the lee of an arm, a leg or a bag, (P,)."""
    far = float(samples.depth.max()) + 0.3
    buffer = np.full(size[0] * size[1], far, dtype=np.float32)
    buffer[samples.pixel] = samples.depth
    near = uniform_filter(buffer.reshape(size), size[0] // 26, mode="nearest").ravel()[samples.pixel]
    hidden = np.clip((samples.depth - near) / 0.25, 0, 1)
    return np.asarray(1 - 0.65 * hidden, dtype=np.float32)


def cover(samples: Samples, light: FloatArray, size: tuple[int, int]) -> tuple[FloatArray, FloatArray]:
    """Samples averaged to pixels: light times coverage (H, W, C) and coverage (H, W, 1)."""
    channels = light.shape[1]
    canvas = np.zeros((size[0] * size[1], channels + 1), dtype=np.float32)
    canvas[samples.pixel, :channels] = light
    canvas[samples.pixel, channels] = 1
    step = SUPERSAMPLING
    blocks = canvas.reshape(size[0] // step, step, size[1] // step, step, channels + 1)
    means = blocks.mean((1, 3))
    return means[..., :channels], means[..., channels:]


def backdrop(picture: FloatArray, window: Window, size: tuple[int, int], mirrored: bool) -> FloatArray:
    """The window of a camera's picture as an image of ``size``, (H, W, C); it stays inside the frame by moving."""
    height = min(window.height, FRAME[0])
    width = min(window.width, FRAME[1])
    left = min(max(window.left, 0.0), FRAME[1] - width)
    top = min(max(window.top, 0.0), FRAME[0] - height)
    box = (left, top, left + width, top + height)
    layers = []
    for layer in np.moveaxis(picture, -1, 0):  # Pillow resizes floats one channel at a time
        resized = Image.fromarray(layer).resize((size[1], size[0]), Image.Resampling.BILINEAR, box)
        layers.append(np.asarray(resized))
    image = np.stack(layers, -1)
    if mirrored:
        return image[:, ::-1]
    return image


def ground_shadow(size: tuple[int, int], feet: FloatArray, spread: float, strength: float) -> FloatArray:
    """Soft shade on the ground around the feet, a factor (H, W, 1). ``feet`` (x, y) and ``spread`` in pixels."""
    rows, columns = np.ogrid[: size[0], : size[1]]
    away = ((columns - feet[0]) / spread) ** 2 + ((rows - feet[1]) / (0.33 * spread)) ** 2
    return np.asarray(1 - strength * np.exp(-away), dtype=np.float32)[..., None]


def develop(light: FloatArray, camera: Camera, rng: np.random.Generator) -> NDArray[np.uint8]:
    """Lens and sensor: white balance, exposure, vignetting, blur, gamma, noise; (H, W, C) light to (H, W, 3) bytes."""
    height, width = light.shape[:2]
    gain = np.float32(rng.uniform(*camera.exposure))
    if camera.infrared:  # one channel
        tint = np.ones(1)
        falloff = 0.9
    else:
        tint = np.asarray(camera.tint) * rng.normal(1.0, 0.03, 3)
        falloff = 0.25
    rows = (np.arange(height) / height - rng.uniform(0.35, 0.55))[:, None, None]
    columns = (np.arange(width) / width - rng.uniform(0.35, 0.65))[None, :, None]
    vignette = 1 - falloff * (rows**2 + 0.5 * columns**2)
    shot = light * (gain * tint * vignette).astype(np.float32)
    sigma = rng.uniform(*camera.blur) * height / 128
    shot = gaussian_filter(shot, (sigma, sigma, 0))
    shot = np.clip(shot, 0, 1) ** np.float32(rng.uniform(*camera.gamma))
    noise = np.float32(rng.uniform(*camera.noise))
    shot = shot + noise * rng.standard_normal(shot.shape, dtype=np.float32)
    if camera.infrared:  # coarse grain
        coarse = rng.standard_normal((height // 2, (width + 1) // 2, 1), dtype=np.float32)
        shot += 0.4 * noise * coarse.repeat(2, 0).repeat(2, 1)[:height, :width]
    return np.broadcast_to((np.clip(shot, 0, 1) * 255 + 0.5).astype(np.uint8), (height, width, 3))
