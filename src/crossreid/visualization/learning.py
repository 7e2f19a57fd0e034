"""Learning curves: how the losses of a training went, one small chart for each player."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import ceil

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from crossreid.escaping import for_figure
from crossreid.visualization.style import series_style

Curve = Sequence[tuple[int, float]]
"""(iteration, value), ascending."""
_PER_ROW = 2
_FEW = 10
"""Points of a curve that are marked one by one."""
_WIDE = 100
"""Ratio of the largest values of two curves of a chart from which one of them would be flat on a linear axis."""


def learning_curves(losses: Mapping[str, Curve]) -> Figure:
    """Draw every logged loss over the iterations.

    Args:
        losses: ``player/loss`` -> its curve; those of one player share a chart.

    Returns:
        A figure of one chart a player, with its losses named beside it; logarithmic above 1 where they differ much.
    """
    players: dict[str, dict[str, Curve]] = {}
    for name, curve in losses.items():
        player, _, loss = name.rpartition("/")
        players.setdefault(player or "losses", {})[loss] = curve
    rows = ceil(len(players) / _PER_ROW)
    columns = min(_PER_ROW, len(players))
    figure = Figure(figsize=(5.4 * columns, 2.8 * rows), layout="constrained")
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
        dots = ""
        if len(points) < _FEW:
            dots = "o"  # a line of one point cannot be seen
        axis.plot(points[:, 0], points[:, 1], style, color=colour, lw=1.3, marker=dots, ms=3, label=for_figure(loss))
    axis.set_title(for_figure(player), fontsize=9)
    axis.set_xlabel("iteration", fontsize=8)
    axis.xaxis.set_major_locator(MaxNLocator(nbins=6, integer=True, min_n_ticks=1))
    if _differ_much(curves):
        axis.set_yscale("symlog", linthresh=1)  # linear below 1: a loss may be 0 or negative
        axis.set_ylabel("value, logarithmic above 1", fontsize=8)
    else:
        axis.set_ylabel("value", fontsize=8)
    axis.tick_params(labelsize=8)
    axis.grid(alpha=0.25)
    # The legend stands beside the chart: there are up to a dozen curves, anywhere in it.
    axis.legend(fontsize=7, frameon=False, loc="upper left", bbox_to_anchor=(1, 1), borderaxespad=0.2)


def _differ_much(curves: Mapping[str, Curve]) -> bool:
    """Some curve would be flat beside another one, which reaches beyond 10."""
    peaks = []
    for curve in curves.values():
        sizes = [abs(value) for _, value in curve]
        peaks.append(max(sizes))
    return max(peaks) > max(_WIDE * min(peaks), 10)
