"""Dense correspondences between two images of one person, with masks and co-attention (LbA, Fig. 3 and 4)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import matplotlib
import numpy as np
import torch.nn.functional as F
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor

from crossreid.settings.figures import CorrespondenceConfig
from crossreid.visualization.style import NEUTRAL

GAP = 0.25  # between two images, in image widths
MAPS = (
    (0, "visible", "person mask", "visible_mask"),
    (1, "visible", "co-attention", "visible_attention"),
    (3, "infrared", "co-attention", "infrared_attention"),
    (4, "infrared", "person mask", "infrared_mask"),
)
"""Column, modality, title and map of the images with a map over them."""
MATCHES = 2
"""Column of the matches, in the middle."""


def correspondence_figure(data: Mapping[str, Tensor], choice: CorrespondenceConfig) -> Figure:
    """One row a pair: masks and co-attention maps over both images, and the best matches as lines between them.

    Args:
        data: ``visible`` and ``infrared`` images (n, 3, H, W) in [0, 1]; ``visible_mask``, ``infrared_mask``,
            ``visible_attention``, ``infrared_attention`` (n, 1, h, w) in [0, 1]; ``matches`` (n, k, 2), positions in the
            visible and in the infrared map, row by row, the best first; -1 behind the last match of a pair.
        choice: what the matches are, for the title.
    """
    pairs, _, height, width = data["visible"].shape
    figure = Figure(figsize=(9, 1.32 * pairs * height / width + 0.4))
    axes = figure.subplots(pairs, 5, squeeze=False, width_ratios=[1, 1, 2 + GAP, 1, 1])
    _set_titles(axes[0], title_of_matches(choice, data["matches"].shape[1]))
    mask = data["visible_mask"]
    cells = (mask.shape[-2], mask.shape[-1])
    for pair in range(pairs):
        for axis in axes[pair]:
            axis.axis("off")
        for column, modality, _, heat in MAPS:
            _draw_map(axes[pair, column], data[modality][pair], data[heat][pair])
        _draw_matches(axes[pair, MATCHES], data["visible"][pair], data["infrared"][pair], data["matches"][pair], cells)
    figure.subplots_adjust(hspace=0.05, wspace=0.05)
    return figure


def title_of_matches(choice: CorrespondenceConfig, most: int) -> str:
    """What is drawn in the middle.

    Args:
        choice: of the matches.
        most: that a pair has.
    """
    by = "most similar"
    if choice.order == "probability":
        by = "most probable"
    direction = choice.direction.replace("_", " ")
    if choice.mutual:
        return f"up to {most} {by} mutual matches of stage {choice.layer}"
    return f"{most} {by} matches of stage {choice.layer},\n{direction}"


def _set_titles(axes: Sequence[Axes], matches: str) -> None:
    """Over the columns of the first row."""
    for column, modality, title, _ in MAPS:
        axes[column].set_title(f"{modality}\n{title}", fontsize=8, color=NEUTRAL)
    axes[MATCHES].set_title(matches, fontsize=8, color=NEUTRAL)


def _draw_map(axis: Axes, image: Tensor, heat: Tensor) -> None:
    """A map (1, h, w) in [0, 1] over an image (3, H, W), bilinear."""
    large = F.interpolate(heat[None], size=image.shape[-2:], mode="bilinear", align_corners=False)[0, 0]
    axis.imshow(image.permute(1, 2, 0).numpy())
    axis.imshow(large.numpy(), cmap="inferno", vmin=0, vmax=1, alpha=0.6)


def _draw_matches(axis: Axes, visible: Tensor, infrared: Tensor, matches: Tensor, cells: tuple[int, int]) -> None:
    """Both images side by side, and a line for each match between the centres of its cells.

    Args:
        axis: to draw on.
        visible: (3, H, W) in [0, 1].
        infrared: likewise.
        matches: (k, 2) positions in the visible and in the infrared map.
        cells: h and w of the maps.
    """
    height, width = visible.shape[-2:]
    shift = width * (1 + GAP)
    # One axis holds both images in pixels, y downwards, the infrared one ``shift`` to the right.
    for image, left in ((visible, 0.0), (infrared, shift)):
        axis.imshow(image.permute(1, 2, 0).numpy(), extent=(left, left + width, height, 0))
    axis.set_xlim(0, shift + width)
    axis.set_ylim(height, 0)
    matches = matches[matches[:, 0] >= 0]  # rows of -1 stand for no match
    colours = matplotlib.colormaps["turbo"](np.linspace(0.05, 0.95, len(matches)))
    # Colours run down the visible image, so that neighbours can be followed.
    from_top = matches[:, 0].argsort()
    for colour, (visible_cell, infrared_cell) in zip(colours, matches[from_top].tolist(), strict=True):
        start_x, start_y = centre(visible_cell, cells, (height, width))
        end_x, end_y = centre(infrared_cell, cells, (height, width))
        axis.plot([start_x, shift + end_x], [start_y, end_y], color=colour, linewidth=1, marker="o", markersize=2.5)


def centre(position: int, cells: tuple[int, int], size: tuple[int, int]) -> tuple[float, float]:
    """x and y in pixels of the centre of a map's cell, counted row by row.

    Args:
        position: which cell.
        cells: h and w of the map.
        size: H and W of the image.
    """
    h, w = cells
    height, width = size
    row = position // w
    column = position % w
    return (column + 0.5) * width / w, (row + 0.5) * height / h
