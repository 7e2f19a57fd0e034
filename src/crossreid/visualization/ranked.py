"""Ranked lists: a probe and the gallery images most like it, right and wrong ones marked."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from crossreid.escaping import for_figure
from crossreid.evaluation import Embeddings, RankedLists
from crossreid.visualization.style import NEUTRAL, RIGHT, WRONG

Pixels = npt.NDArray[np.uint8]


def ranked_gallery(lists: RankedLists, embeddings: Embeddings, images: Pixels) -> Figure:
    """One row a probe: the probe, then its list, framed green and ticked where right, red and crossed where wrong.

    Images whose person nobody knows (negative identities) have grey frames and the name of their file.

    Args:
        lists: n probes and the first k images of their galleries.
        embeddings: who and where each image is.
        images: (N, H, W, 3) uint8 pixels of the dataset, by the embeddings' ``rows``.
    """
    n, k = lists.indices.shape
    height, width = images.shape[1:3]
    figure = Figure(figsize=(0.8 * (k + 1.3), 0.8 * n * height / width + 0.5 * n))
    # column 0 is the probe, column 1 a gap, the others are its list
    axes = figure.subplots(n, k + 2, squeeze=False, width_ratios=[1, 0.3, *[1] * k])
    for row in range(n):
        probe = int(lists.queries[row])
        _draw_image(axes[row, 0], images[embeddings.rows[probe]], NEUTRAL)
        axes[row, 0].set_title(_who(embeddings, probe), fontsize=7, color=NEUTRAL)
        axes[row, 1].axis("off")
        _draw_list(axes[row, 2:], lists, row, embeddings, images)
    axes[0, 0].annotate("probe", (0.5, 1.36), xycoords="axes fraction", ha="center", fontsize=8)
    axes[0, 2].annotate("gallery, most alike first", (0, 1.36), xycoords="axes fraction", fontsize=8)
    figure.subplots_adjust(hspace=0.35, wspace=0.08)
    return figure


def _draw_list(
    axes: npt.NDArray[np.object_], lists: RankedLists, row: int, embeddings: Embeddings, images: Pixels
) -> None:
    """The gallery images of one probe, on k axes."""
    for place, axis in enumerate(axes):
        index = int(lists.indices[row, place])
        if index < 0:  # past the end of the list
            axis.axis("off")
            continue
        mark, colour = _judged(lists, row, place, known=embeddings.pids[index] >= 0)
        _draw_image(axis, images[embeddings.rows[index]], colour)
        similarity = f"{mark} {lists.similarity[row, place]:.3f}".strip()
        camera = f"cam {embeddings.camids[index]}" if embeddings.camids[index] >= 0 else _name(embeddings, index)
        axis.set_title(f"{similarity}\n{camera}", fontsize=6, color=colour)


def _judged(lists: RankedLists, row: int, place: int, *, known: bool) -> tuple[str, str]:
    """Mark and colour of an image of a list; none where nobody knows whom it shows."""
    if not known:
        return "", NEUTRAL
    return ("✓", RIGHT) if lists.correct[row, place] else ("✗", WRONG)


def _who(embeddings: Embeddings, image: int) -> str:
    """Person and camera of an image, or its file where nobody knows them."""
    if embeddings.pids[image] < 0:
        return _name(embeddings, image)
    return f"id {embeddings.pids[image]} cam {embeddings.camids[image]}"


def _name(embeddings: Embeddings, image: int) -> str:
    """The folder's and the file's name, as much of their end as there is room for."""
    path = Path(embeddings.paths[image])
    return for_figure(f"{path.parent.name}/{path.stem}"[-16:])


def _draw_image(axis: Axes, pixels: Pixels, colour: str) -> None:
    """Pixels (H, W, 3) in a frame of that colour."""
    axis.imshow(pixels)
    axis.set_xticks([])
    axis.set_yticks([])
    for spine in axis.spines.values():
        spine.set_edgecolor(colour)
        spine.set_linewidth(2.5)
