"""Grids of pictures: what a method makes of images (AlignGAN, Fig. 5)."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor
from torchvision.utils import make_grid

from crossreid.escaping import for_figure
from crossreid.visualization.style import NEUTRAL

_INCHES = 0.55
"""Width of an image."""
_CHARACTERS = 10
"""Of a line of a row's name."""


def picture_grid(rows: Mapping[str, Tensor], per_person: int) -> Figure:
    """One row of images for each entry, one column an image.

    Args:
        rows: name -> (B, 3, H, W) in [0, 1]; column b shows one person in every row.
        per_person: how many neighbouring columns show one person.

    Returns:
        A figure with the rows' names on the left and the persons' numbers above.
    """
    first = next(iter(rows.values()))
    count, _, height, width = first.shape
    total_width = _INCHES * count
    # An image is _INCHES wide, and as high as its shape asks for; the rest is room for the numbers above.
    total_height = total_width * height * len(rows) / (width * count) + 0.3
    figure = Figure(figsize=(total_width, total_height))
    axes = figure.subplots(len(rows), 1, squeeze=False)[:, 0]
    for axis, (name, images) in zip(axes, rows.items(), strict=True):
        _draw_row(axis, name, images)
    _number_persons(axes[0], count, per_person, width)
    figure.subplots_adjust(hspace=0.02, wspace=0)
    return figure


def _draw_row(axis: Axes, name: str, images: Tensor) -> None:
    """Images (B, 3, H, W) beside each other."""
    row = make_grid(images, nrow=len(images), padding=1, pad_value=1)
    axis.imshow(row.permute(1, 2, 0).numpy())
    axis.set_yticks([])
    axis.set_xticks([])
    axis.spines[:].set_visible(False)
    axis.set_ylabel(textwrap.fill(for_figure(name), _CHARACTERS), rotation=0, ha="right", va="center", color=NEUTRAL)


def _number_persons(axis: Axes, count: int, per_person: int, width: int) -> None:
    """A number from 1 over the middle of each person's columns."""
    label = ""  # there is no room for a word over a single image
    if per_person > 1:
        label = "person "
    for number, column in enumerate(range(0, count, per_person), start=1):
        columns = min(per_person, count - column)  # the last person may have fewer
        middle = (column + columns / 2) * (width + 1)  # one pixel of padding an image
        axis.text(middle, -4, f"{label}{number}", ha="center", va="bottom", color=NEUTRAL, fontsize=9)
