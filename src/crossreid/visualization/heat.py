"""Heat maps over images: where a network looked."""

from __future__ import annotations

from collections.abc import Sequence

import matplotlib
import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from crossreid.visualization.style import NEUTRAL

Pixels = npt.NDArray[np.uint8]
Heat = npt.NDArray[np.floating]

_STRENGTH = 0.55
"""Share of the colours of a heat map where it is hottest."""


def laid_over(pixels: npt.NDArray[np.uint8], heat: npt.NDArray[np.floating]) -> npt.NDArray[np.uint8]:
    """An image (H, W, 3) with heat (H, W) in [0, 1] laid over it, the stronger the hotter."""
    colours = np.asarray(matplotlib.colormaps["inferno"](heat))[..., :3] * 255
    share = _STRENGTH * np.asarray(heat)[..., None]
    mixed = (1 - share) * pixels + share * colours
    return np.asarray(np.rint(mixed), dtype=np.uint8)


def heat_pairs(
    pairs: Sequence[tuple[tuple[Pixels, Heat], tuple[Pixels, Heat], float]], *, other: str = "true match"
) -> Figure:
    """Two images in a row, each beside itself with what makes it alike to the other.

    Args:
        pairs: (image (H, W, 3), heat (H, W) in [0, 1]) of the probe and of the gallery's image, and their cosine similarity.
        other: what the gallery's image is.
    """
    first_probe, _, _ = pairs[0]
    pixels_of_first, _ = first_probe
    height, width = pixels_of_first.shape[:2]  # all images have the size that the model takes
    figure = Figure(figsize=(4.4, 0.7 + 0.95 * len(pairs) * height / width), layout="constrained")
    figure.suptitle("Grad-CAM of the cosine similarity: bright areas make the two alike", fontsize=8)
    axes = figure.subplots(len(pairs), 4, squeeze=False)
    for axis, title in zip(axes[0], ("probe", "like the other", other, "like the probe"), strict=True):
        axis.set_title(title, fontsize=8, color=NEUTRAL)
    for row, (probe, match, similarity) in zip(axes, pairs, strict=True):
        for place, (pixels, heat) in enumerate((probe, match)):
            _show(row[2 * place], pixels)
            _show(row[2 * place + 1], laid_over(pixels, heat))
            if not np.any(heat):  # the sum over channels is negative everywhere
                row[2 * place + 1].set_xlabel("no place raises it", fontsize=6, color=NEUTRAL)
        row[0].set_ylabel(f"cosine\n{similarity:.3f}", fontsize=8, rotation=0, ha="right", va="center")
    return figure


def _show(axis: Axes, pixels: Pixels) -> None:
    axis.imshow(pixels)
    axis.set_xticks([])
    axis.set_yticks([])
