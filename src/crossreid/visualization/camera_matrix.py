"""A matrix of cameras: how well the persons that one camera saw are found in the images of another one."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from crossreid.evaluation.camera_pairs import CameraPairs
from crossreid.visualization.style import INFRARED, VISIBLE

_DARK = 0.7
"""Share of the largest value from which white numbers have more contrast than black ones."""
_NOTHING = "#dddddd"
"""Of cells without a value."""


def camera_matrix(pairs: CameraPairs) -> Figure:
    """mAP in percent of each two cameras, probes by row; the colour of a camera's number is its modality."""
    count = len(pairs.cameras)
    figure = Figure(figsize=(1.8 + 0.8 * count, 1.6 + 0.7 * count), layout="constrained")
    axis = figure.subplots()
    percent = 100 * pairs.mean_ap
    known = ~np.isnan(percent)
    highest = 1.0  # of a matrix without any value, whose colours mean nothing
    if known.any():
        highest = float(percent[known].max())
    image = axis.imshow(np.ma.masked_invalid(percent), cmap="Blues", vmin=0, vmax=highest)
    for row in range(count):
        for column in range(count):
            value = percent[row, column]
            if known[row, column]:
                _write(axis, row, column, value, dark=value > _DARK * highest)
    _name_cameras(axis, pairs)
    axis.set_facecolor(_NOTHING)
    axis.set_title("mAP by camera, in percent; grey: not scored", fontsize=10)
    axis.set_xlabel("camera of the gallery", fontsize=9)
    axis.set_ylabel("camera of the probes", fontsize=9)
    bar = figure.colorbar(image, ax=axis, shrink=0.8)
    bar.set_label("mAP, percent", fontsize=9)
    bar.ax.tick_params(labelsize=8)
    return figure


def _write(axis: Axes, row: int, column: int, percent: float, *, dark: bool) -> None:
    # matplotlib takes x before y, so the column comes first.
    colour = "white" if dark else "black"
    axis.text(column, row, f"{percent:.1f}", ha="center", va="center", fontsize=9, color=colour)


def _name_cameras(axis: Axes, pairs: CameraPairs) -> None:
    """Numbers with the modality beneath, so that colour is not the only sign."""
    names = []
    colours = []
    for camera, infrared in zip(pairs.cameras, pairs.infrared, strict=True):
        if infrared:
            names.append(f"{camera}\nIR")
            colours.append(INFRARED)
        else:
            names.append(f"{camera}\nRGB")
            colours.append(VISIBLE)
    axis.set_xticks(range(len(names)), names, fontsize=8)
    axis.set_yticks(range(len(names)), names, fontsize=8)
    for labels in (axis.get_xticklabels(), axis.get_yticklabels()):
        for label, colour in zip(labels, colours, strict=True):
            label.set_color(colour)
