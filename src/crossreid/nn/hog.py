"""Histograms of oriented gradients (Dalal and Triggs, CVPR 2005), without anything to learn."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

CLIP = 0.2  # of L2-hys: block values above it are cut, and the block is normalised again
_SMALL = 1e-6


def hog(grey: Tensor, cell: int = 8, block: int = 2, bins: int = 9) -> Tensor:
    """Describe grey images by normalised histograms of unsigned gradient directions.

    Gradients are centred differences, 0 across the border. A pixel votes with its gradient's length into the two nearest
    of ``bins`` directions over half a turn, and into its own cell; blocks of cells, one cell apart, are normalised by
    L2-hys.

    Args:
        grey: (N, H, W), any range; pixels beyond the last whole cell are left out.
        cell: pixels of a cell's side.
        block: cells of a block's side.
        bins: directions.

    Returns:
        (N, D) float32, D = (H // cell - block + 1) (W // cell - block + 1) block^2 bins.

    Raises:
        ValueError: the image has fewer cells than a block.
    """
    rows = grey.shape[-2] // cell
    columns = grey.shape[-1] // cell
    if min(rows, columns) < block:
        raise ValueError(f"an image of {rows} x {columns} cells has no block of {block} x {block}")
    # Gradients before the cut: pixels beyond the last whole cell still have their part in those beside them.
    votes = _votes(grey.float(), bins)[..., : rows * cell, : columns * cell]
    cells = F.avg_pool2d(votes, cell) * cell**2  # sums of votes, (N, bins, rows, columns)
    blocks = cells.unfold(2, block, 1).unfold(3, block, 1)  # (N, bins, r, c, block, block)
    vectors = blocks.permute(0, 2, 3, 4, 5, 1).flatten(3)  # (N, r, c, block * block * bins)
    # L2-hys: one strong edge must not outweigh the rest of its block
    vectors = _unit_length(vectors).clamp(max=CLIP)
    return _unit_length(vectors).flatten(1)


def _unit_length(vectors: Tensor) -> Tensor:
    """(..., D) divided by their L2 norm; a block without any edge stays at 0."""
    norm = (vectors.square().sum(-1, keepdim=True) + _SMALL**2).sqrt()
    return vectors / norm


def _votes(grey: Tensor, bins: int) -> Tensor:
    """(N, H, W) -> (N, bins, H, W): each pixel's gradient length, shared by its two nearest directions."""
    down = torch.zeros_like(grey)
    right = torch.zeros_like(grey)
    down[:, 1:-1] = grey[:, 2:] - grey[:, :-2]
    right[:, :, 1:-1] = grey[:, :, 2:] - grey[:, :, :-2]
    length = torch.hypot(down, right)
    direction = torch.atan2(down, right).remainder(math.pi)  # unsigned: a turn by 180 degrees changes nothing
    position = direction * (bins / math.pi) - 0.5  # in bins, whose centres are at whole numbers
    lower = position.floor()
    share_of_upper = position - lower
    # directions go round: below the first bin is the last one
    lower_bin = lower.long().remainder(bins)
    upper_bin = (lower_bin + 1).remainder(bins)
    votes = length.new_zeros(grey.shape[0], bins, *grey.shape[1:])
    votes.scatter_add_(1, lower_bin[:, None], (length * (1 - share_of_upper))[:, None])
    votes.scatter_add_(1, upper_bin[:, None], (length * share_of_upper)[:, None])
    return votes
