"""From a drawn figure to a photograph: light, shading, background, blur and noise of a visible or an infrared camera."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter

from crossreid.data.synthetic.cameras import Camera, FloatImage, sample_background
from crossreid.data.synthetic.materials import TABLE_SIZE, Wardrobe

SUPERSAMPLING = 2
_SOLID = [0] + [255] * (TABLE_SIZE - 1) + [0] * (256 - TABLE_SIZE)


def photograph(figure: Image.Image, wardrobe: Wardrobe, camera: Camera, rng: np.random.Generator) -> NDArray[np.uint8]:
    """The picture that the camera takes.

    Args:
        figure: material indices at ``SUPERSAMPLING`` times the size of the picture.
        wardrobe: what the materials look like.
        camera: visible or infrared.
        rng: noise and light of this frame.

    Returns:
        (H, W, 3) RGB in visible light, (H, W, 1) grey in infrared.
    """
    mask = figure.point(_SOLID).reduce(SUPERSAMPLING)
    alpha = _unit(mask)[..., None]
    size = (mask.height, mask.width)
    body = _unit(mask.filter(ImageFilter.GaussianBlur(mask.height / 45)))
    back = sample_background(camera, size, rng)
    surface = _unit(_coloured(figure, wardrobe, camera.infrared)).reshape(*size, -1)  # already times alpha
    folds = _smooth_noise(size, (12, 6), rng)
    if camera.infrared:
        light = (0.45 + 0.6 * body + 0.10 * folds)[..., None]
        scene = surface * light * rng.uniform(*camera.gain) + back * (1 - alpha) * rng.uniform(0.5, 1.1)
        return _infrared(scene * _lamp(camera, size, rng), camera, rng)
    light = _daylight(body, rng) + 0.08 * folds
    shadow = 1 - 0.35 * _unit(mask.filter(ImageFilter.BoxBlur(mask.height / 16)))[..., None]
    scene = surface * light[..., None] + back * shadow * (1 - alpha) * rng.uniform(0.75, 1.15)
    return _visible(scene, camera, rng)


def _unit(image: Image.Image) -> FloatImage:
    return np.asarray(image, dtype=np.float32) * np.float32(1 / 255)


def _coloured(figure: Image.Image, wardrobe: Wardrobe, infrared: bool) -> Image.Image:
    if infrared:
        table = wardrobe.infrared_table()[:, 0].tolist()
        return figure.point(table + [0] * (256 - TABLE_SIZE)).reduce(SUPERSAMPLING)
    indexed = figure.copy()
    indexed.putpalette(wardrobe.visible_table().tobytes())
    return indexed.convert("RGB").reduce(SUPERSAMPLING)


def _smooth_noise(size: tuple[int, int], cells: tuple[int, int], rng: np.random.Generator) -> FloatImage:
    """Slow random waves of about unit height, (H, W)."""
    coarse = Image.fromarray(rng.standard_normal(cells, dtype=np.float32))
    return np.asarray(coarse.resize((size[1], size[0]), Image.Resampling.BICUBIC), dtype=np.float32)


def _daylight(body: FloatImage, rng: np.random.Generator) -> FloatImage:
    """Shading of a round body by light from above and one side, (H, W)."""
    slope_y, slope_x = np.gradient(body)
    side = np.float32(rng.uniform(-2.5, 2.5))
    shade: FloatImage = np.clip(0.85 + 0.15 * body + side * slope_x + 1.2 * slope_y, 0.4, 1.3).astype(np.float32)
    return shade


def _lamp(camera: Camera, size: tuple[int, int], rng: np.random.Generator) -> FloatImage:
    """The lamp beside an infrared camera: bright in the middle, dark in the corners, (H, W, 1)."""
    rows = (np.arange(size[0], dtype=np.float32) / size[0] - rng.uniform(0.3, 0.55)) / 0.75
    columns = (np.arange(size[1], dtype=np.float32) / size[1] - rng.uniform(0.3, 0.7)) / 0.75
    distance = rows[:, None] ** 2 + columns[None, :] ** 2
    lamp: FloatImage = 1.1 * np.exp(-2.0 * rng.uniform(*camera.falloff) * distance)[..., None].astype(np.float32)
    return lamp


def _visible(scene: FloatImage, camera: Camera, rng: np.random.Generator) -> NDArray[np.uint8]:
    tint = np.asarray(camera.tint) * rng.uniform(*camera.gain) * rng.normal(1.0, 0.06, 3)
    shot = np.clip(scene * tint.astype(np.float32), 0, 1) ** np.float32(rng.uniform(*camera.gamma))
    shot = _blurred(shot, camera, rng)
    shot += rng.standard_normal(shot.shape, dtype=np.float32) * np.float32(rng.uniform(*camera.noise))
    return _bytes(shot)


def _infrared(scene: FloatImage, camera: Camera, rng: np.random.Generator) -> NDArray[np.uint8]:
    shot = np.clip(scene, 0, 1) ** np.float32(rng.uniform(*camera.gamma))
    shot = _blurred(shot, camera, rng)
    noise = np.float32(rng.uniform(*camera.noise))
    shot += rng.standard_normal(shot.shape, dtype=np.float32) * noise
    shot[..., 0] += _smooth_noise(shot.shape[:2], (shot.shape[0] // 2, shot.shape[1] // 2), rng) * noise * 0.6
    return _bytes(shot)


def _blurred(shot: FloatImage, camera: Camera, rng: np.random.Generator) -> FloatImage:
    radius = rng.uniform(*camera.blur) * shot.shape[0] / 128
    image = Image.fromarray(_bytes(shot).squeeze())
    return _unit(image.filter(ImageFilter.GaussianBlur(radius))).reshape(shot.shape)


def _bytes(shot: FloatImage) -> NDArray[np.uint8]:
    return (np.clip(shot, 0, 1) * 255 + 0.5).astype(np.uint8)
