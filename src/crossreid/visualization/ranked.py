"""Ranked lists: a probe and the gallery images most like it, right and wrong ones marked."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from crossreid.escaping import for_figure
from crossreid.evaluation import Embeddings, RankedLists
from crossreid.visualization.style import NEUTRAL, RIGHT, WRONG

Pixels = npt.NDArray[np.uint8]

# in inches
_COLUMN = 0.7
_IMAGE_WIDTH = 0.65
_GAP = 0.2
"""Between a probe and its list."""
_HEADER = 0.25
_CAPTION = 0.3
"""Room for two lines of text above an image."""
_ROW_GAP = 0.12


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
    image_height = _IMAGE_WIDTH * height / width
    row_height = _CAPTION + image_height + _ROW_GAP
    figure = Figure(figsize=(_left(k), _HEADER + n * row_height))
    # One axis in inches from the top left: an axis for each image would take most of the time.
    axis = figure.add_axes((0, 0, 1, 1))
    axis.axis("off")
    axis.text(0, _HEADER / 2, "probe", fontsize=8, va="center")
    axis.text(_left(0), _HEADER / 2, _header(lists, embeddings), fontsize=8, va="center")
    for row in range(n):
        top = _HEADER + row * row_height + _CAPTION
        probe = int(lists.queries[row])
        pixels = images[embeddings.rows[probe]]
        _draw_image(axis, (0, top), pixels, NEUTRAL, _who(embeddings, probe))
        _draw_list(axis, top, lists, row, embeddings, images)
    axis.set_aspect("auto")
    axis.set_xlim(0, _left(k))
    axis.set_ylim(_HEADER + n * row_height, 0)
    return figure


def _left(place: int) -> float:
    """Where the image at a place of a list begins, in inches."""
    return _COLUMN + _GAP + place * _COLUMN


def _header(lists: RankedLists, embeddings: Embeddings) -> str:
    """What the lists and the marks are."""
    listed = lists.indices[lists.indices >= 0]
    text = "gallery, most alike first, with similarity"
    if (embeddings.pids[listed] >= 0).any():
        text += "; ✓ the probe's person, ✗ another one"
    return text


def _draw_list(axis: Axes, top: float, lists: RankedLists, row: int, embeddings: Embeddings, images: Pixels) -> None:
    """The gallery images of one probe, with their upper edges at ``top``."""
    for place, index in enumerate(lists.indices[row].tolist()):
        if index < 0:  # past the end of the list
            continue
        mark, colour = _judged(lists, row, place, known=embeddings.pids[index] >= 0)
        similarity = lists.similarity[row, place]
        caption = f"{mark} {similarity:.3f}\n{_where(embeddings, index)}".strip()
        _draw_image(axis, (_left(place), top), images[embeddings.rows[index]], colour, caption)


def _judged(lists: RankedLists, row: int, place: int, *, known: bool) -> tuple[str, str]:
    """Mark and colour of an image of a list; none where nobody knows whom it shows."""
    if not known:
        return "", NEUTRAL
    if lists.correct[row, place]:
        return "✓", RIGHT
    return "✗", WRONG


def _who(embeddings: Embeddings, image: int) -> str:
    """Person and camera of an image, or its file where nobody knows them."""
    if embeddings.pids[image] < 0:
        return _name(embeddings, image)
    return f"id {embeddings.pids[image]} cam {embeddings.camids[image]}"


def _where(embeddings: Embeddings, image: int) -> str:
    """Camera of an image, or its file where nobody knows its person or camera."""
    if embeddings.pids[image] < 0 or embeddings.camids[image] < 0:
        return _name(embeddings, image)
    return f"cam {embeddings.camids[image]}"


def _name(embeddings: Embeddings, image: int) -> str:
    """The folder's and the file's name, as much of their end as there is room for."""
    path = Path(embeddings.paths[image])
    return for_figure(f"{path.parent.name}/{path.stem}"[-13:])


def _draw_image(axis: Axes, corner: tuple[float, float], pixels: Pixels, colour: str, caption: str) -> None:
    """Pixels (H, W, 3) in a frame of that colour, text above them; the upper left corner in inches."""
    left, top = corner
    height = _IMAGE_WIDTH * pixels.shape[0] / pixels.shape[1]
    axis.imshow(pixels, extent=(left, left + _IMAGE_WIDTH, top + height, top))
    axis.add_patch(Rectangle(corner, _IMAGE_WIDTH, height, fill=False, edgecolor=colour, linewidth=2.5))
    middle = left + _IMAGE_WIDTH / 2
    axis.text(middle, top - 0.04, caption, fontsize=6.5, color=colour, ha="center", va="bottom")
