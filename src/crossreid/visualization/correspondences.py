"""Dense correspondences between two images of one person, with masks and co-attention (LbA, Fig. 3 and 4)."""

from __future__ import annotations

from collections.abc import Mapping

import matplotlib
import numpy as np
import torch.nn.functional as F
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor

from crossreid.visualization.style import NEUTRAL

GAP = 0.25  # between two images, in image widths
COLUMNS = ("visible: person mask", "visible: co-attention", "", "infrared: co-attention", "infrared: person mask")


def correspondence_figure(data: Mapping[str, Tensor]) -> Figure:
    """One row a pair: masks and co-attention maps over both images, and the best matches as lines between them.

    Args:
        data: ``visible`` and ``infrared`` images (n, 3, H, W) in [0, 1]; ``visible_mask``, ``infrared_mask``,
            ``visible_attention``, ``infrared_attention`` (n, 1, h, w) in [0, 1]; ``matches`` (n, k, 2), positions in the
            visible and in the infrared map, row by row, the most probable first.
    """
    pairs, _, height, width = data["visible"].shape
    cells = (data["visible_mask"].shape[-2], data["visible_mask"].shape[-1])
    count = data["matches"].shape[1]
    figure = Figure(figsize=(9, 1.32 * pairs * height / width + 0.4))
    axes = figure.subplots(pairs, len(COLUMNS), squeeze=False, width_ratios=[1, 1, 2 + GAP, 1, 1])
    for row in range(pairs):
        for column, name in enumerate(COLUMNS):
            axis = axes[row, column]
            axis.axis("off")
            if row == 0:
                title = name or f"{count} most probable matches, visible to infrared"
                axis.set_title(title.replace(": ", "\n"), fontsize=8, color=NEUTRAL)
            if name:
                modality, kind = name.split(": ")
                heat = data[f"{modality}_{'mask' if kind == 'person mask' else 'attention'}"][row]
                _overlay(axis, data[modality][row], heat)
            else:
                _lines(axis, data["visible"][row], data["infrared"][row], data["matches"][row], cells)
    figure.subplots_adjust(hspace=0.05, wspace=0.05)
    return figure


def _overlay(axis: Axes, image: Tensor, heat: Tensor) -> None:
    """A map (1, h, w) in [0, 1] over an image (3, H, W), bilinear."""
    large = F.interpolate(heat[None], size=image.shape[-2:], mode="bilinear", align_corners=False)[0, 0]
    axis.imshow(image.permute(1, 2, 0).numpy())
    axis.imshow(large.numpy(), cmap="inferno", vmin=0, vmax=1, alpha=0.6)


def _lines(axis: Axes, visible: Tensor, infrared: Tensor, matches: Tensor, cells: tuple[int, int]) -> None:
    """Both images side by side, and a line for each match between the centres of its cells."""
    height, width = visible.shape[-2:]
    shift = width * (1 + GAP)
    for image, left in ((visible, 0.0), (infrared, shift)):
        axis.imshow(image.permute(1, 2, 0).numpy(), extent=(left, left + width, height, 0))
    axis.set_xlim(0, shift + width)
    axis.set_ylim(height, 0)
    colours = matplotlib.colormaps["turbo"](np.linspace(0.05, 0.95, len(matches)))
    tops = matches[:, 0].argsort()  # colours run down the visible image, so that neighbours can be followed
    for colour, (p, q) in zip(colours, matches[tops].tolist(), strict=True):
        ends = [centre(position, cells, (height, width)) for position in (p, q)]
        x, y = [ends[0][0], ends[1][0] + shift], [ends[0][1], ends[1][1]]
        axis.plot(x, y, color=colour, linewidth=1, marker="o", markersize=2.5)


def centre(position: int, cells: tuple[int, int], size: tuple[int, int]) -> tuple[float, float]:
    """x and y in pixels of the centre of a map's cell, counted row by row.

    Args:
        position: which cell.
        cells: h and w of the map.
        size: H and W of the image.
    """
    row, column = divmod(position, cells[1])
    return (column + 0.5) * size[1] / cells[1], (row + 0.5) * size[0] / cells[0]
