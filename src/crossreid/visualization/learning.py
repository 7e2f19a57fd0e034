"""Learning curves: how the losses of a training went, one small chart for each player."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from crossreid.escaping import for_figure
from crossreid.visualization.style import series_style

Curve = Sequence[tuple[int, float]]
"""(iteration, value), ascending."""
_PER_ROW = 3
_FEW = 10


def learning_curves(losses: Mapping[str, Curve]) -> Figure:
    """Draw every logged loss over the iterations.

    Args:
        losses: ``player/loss`` -> its curve; those of one player share a chart.

    Returns:
        A figure of one chart a player, with the losses named beside it.
    """
    players: dict[str, dict[str, Curve]] = {}
    for name, curve in losses.items():
        player, _, loss = name.rpartition("/")
        players.setdefault(player or "losses", {})[loss] = curve
    rows = -(-len(players) // _PER_ROW)
    columns = min(_PER_ROW, len(players))
    figure = Figure(figsize=(4.2 * columns, 3.2 * rows), layout="constrained")
    axes = figure.subplots(rows, columns, squeeze=False).ravel()
    for axis, (player, curves) in zip(axes, players.items(), strict=False):
        _draw_player(axis, player, curves)
    for axis in axes[len(players) :]:
        axis.set_visible(False)
    return figure


def _draw_player(axis: Axes, player: str, curves: Mapping[str, Curve]) -> None:
    for number, (loss, curve) in enumerate(curves.items()):
        points = np.array(curve, dtype=float)
        colour, style = series_style(number)
        dots = "o" if len(points) < _FEW else ""  # a line of one point cannot be seen
        axis.plot(points[:, 0], points[:, 1], style, color=colour, lw=1.3, marker=dots, ms=3, label=for_figure(loss))
    axis.set_title(for_figure(player), fontsize=9)
    axis.set_xlabel("iteration", fontsize=8)
    axis.tick_params(labelsize=8)
    axis.grid(alpha=0.25)
    axis.legend(fontsize=7, frameon=False)
