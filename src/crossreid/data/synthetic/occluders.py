"""What hides a part of a person: a pillar or a door frame at the side, a bin, bench or plant in front of the legs."""

from __future__ import annotations

import numpy as np
from scipy.ndimage import gaussian_filter, zoom

from crossreid.data.synthetic.body import FloatArray

FIXED_SHARE = 0.08  # of the images have such a thing in front
STRANGER_SHARE = 0.04  # of the images have somebody else at the side, nearer to the camera
PILLAR_SHARE = 0.5  # of the fixed things


def fixed_occluder(image: FloatArray, infrared: bool, rng: np.random.Generator) -> FloatArray:
    """The image (H, W, C), linear light, with a thing before it."""
    height, width = image.shape[:2]
    rows, columns = np.mgrid[:height, :width].astype(np.float32)
    rows = rows / height
    columns = columns / width
    if rng.random() < PILLAR_SHARE:
        leafy = False
        reach = rng.uniform(0.15, 0.36)
        leaning = rng.normal(0, 0.02)
        across = columns + leaning * (rows - 0.5)
        mask = across < reach
        light = 0.55 + 0.45 * np.sin(np.pi * np.clip(across / reach, 0, 1) * 0.6 + 0.5)
        if rng.random() < 0.5:  # at the right side
            mask = mask[:, ::-1]
            light = light[:, ::-1]
    else:
        top = rng.uniform(0.66, 0.85)
        left = rng.uniform(-0.2, 0.6)
        wide = rng.uniform(0.4, 0.8)
        leafy = rng.random() < 0.4
        edge: FloatArray | float = 0.0
        if leafy:  # a plant has a ragged outline
            edge = 0.04 * _blobs(height, width, rng)
        mask = (rows + edge > top) & (columns + edge > left) & (columns - edge < left + wide)
        light = 0.6 + 0.4 * np.clip((columns - left) / wide, 0, 1)
    grey = rng.uniform(0.05, 0.5)
    if leafy:
        colour = np.array([0.07, 0.14, 0.04])
        roughness = 0.45
    else:
        colour = grey * (1 + rng.uniform(-0.25, 0.25, 3))
        roughness = 0.08
    if infrared:
        colour = np.array([rng.uniform(0.1, 0.6)])
    spots = 1 + roughness * _blobs(height, width, rng)
    thing = (light * spots)[..., None] * colour.astype(np.float32)
    alpha = gaussian_filter(mask.astype(np.float32), height / 220)[..., None]  # with soft edges
    return np.asarray(image * (1 - alpha) + np.maximum(thing, 0) * alpha, dtype=np.float32)


def _blobs(height: int, width: int, rng: np.random.Generator) -> FloatArray:
    """Noise of small spots, about [-1, 1], (H, W)."""
    coarse = rng.standard_normal((32, 16)).astype(np.float32)
    return np.asarray(np.clip(zoom(coarse, (height / 32, width / 16), order=1), -1.5, 1.5), dtype=np.float32)
