"""Grids of pictures: what a method makes of images (AlignGAN, Fig. 5)."""

from __future__ import annotations

from collections.abc import Mapping

from matplotlib.figure import Figure
from torch import Tensor
from torchvision.utils import make_grid

from crossreid.visualization.style import NEUTRAL


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
    figure = Figure(figsize=(0.55 * count, 0.55 * count * height * len(rows) / (width * count) + 0.3))
    axes = figure.subplots(len(rows), 1, squeeze=False)[:, 0]
    for axis, (name, images) in zip(axes, rows.items(), strict=True):
        axis.imshow(make_grid(images, nrow=count, padding=1, pad_value=1).permute(1, 2, 0).numpy())
        axis.set_yticks([])
        axis.set_xticks([])
        axis.spines[:].set_visible(False)
        axis.set_ylabel(name.replace(" ", "\n"), rotation=0, ha="right", va="center", color=NEUTRAL)
    label = "person " if per_person > 1 else ""
    for person in range(0, count, per_person):
        centre = (person + min(per_person, count - person) / 2) * (width + 1)
        axes[0].text(
            centre, -4, f"{label}{person // per_person + 1}", ha="center", va="bottom", color=NEUTRAL, fontsize=9
        )
    figure.subplots_adjust(hspace=0.02, wspace=0)
    return figure
