"""Methods beside each other: mean of a metric and its interval, plain numbers apart from all others."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from crossreid.escaping import for_figure
from crossreid.visualization.style import INFRARED, NEUTRAL, VISIBLE


@dataclass(frozen=True)
class Point:
    """One row of a panel; fractions in [0, 1].

    Attributes:
        label: the row's name.
        plain: it is compared with the other plain rows.
        inference: how it was reached, in words.
        mean: over seeds.
        interval: over identities; None where there is none.
        by_seed: the values that the mean is of.
    """

    label: str
    plain: bool
    inference: str
    mean: float
    interval: tuple[float, float] | None
    by_seed: Sequence[float]


@dataclass(frozen=True)
class Panel:
    """One table: its title, its points, and the chance level in [0, 1]."""

    title: str
    points: Sequence[Point]
    chance: float

    @property
    def plain(self) -> list[Point]:
        """Points of the left side."""
        return [point for point in self.points if point.plain]

    @property
    def others(self) -> list[Point]:
        """Points of the right side."""
        return [point for point in self.points if not point.plain]

    @property
    def height(self) -> int:
        """Rows of the longer side; room for one where there are none."""
        return max(1, len(self.plain), len(self.others))


def comparison_chart(panels: Sequence[Panel], metric: str = "Rank-1") -> Figure:
    """A panel each: plain rows on the left, transductive, re-ranked and other ones on the right if any, in percent.

    Args:
        panels: from top to bottom.
        metric: its name, as the axes show it.
    """
    heights = [panel.height for panel in panels]
    columns = 1
    if any(panel.others for panel in panels):
        columns = 2
    inches = 1.05 * len(panels) + 0.35 * sum(heights)  # of each panel its titles and axis, and its rows
    figure = Figure(figsize=(5.5 * columns, inches), layout="constrained")
    axes = figure.subplots(len(panels), columns, squeeze=False, sharex="row", height_ratios=heights)
    for panel, sides in zip(panels, axes, strict=True):
        _draw_plain(sides[0], panel)
        if columns > 1:
            _draw_others(sides[1], panel)
    explanation = f"{metric} in percent\ndot: mean; bar: 95 % over identities; tick: a seed; dotted: chance"
    for axis in axes[-1]:
        axis.set_xlabel(explanation, fontsize=8)
    return figure


def _draw_plain(axis: Axes, panel: Panel) -> None:
    labels = [for_figure(point.label) for point in panel.plain]
    axis.set_title(for_figure(panel.title) + "\nplain", fontsize=8)
    _draw_points(axis, panel.plain, labels, VISIBLE, panel.chance)


def _draw_others(axis: Axes, panel: Panel) -> None:
    labels = [for_figure(f"{point.label} ({point.inference})") for point in panel.others]
    axis.set_title(for_figure(panel.title) + "\nnot comparable with those on the left", fontsize=8)
    _draw_points(axis, panel.others, labels, INFRARED, panel.chance)


def _draw_points(axis: Axes, points: Sequence[Point], labels: Sequence[str], colour: str, chance: float) -> None:
    """The first point at the top."""
    heights = range(len(points))[::-1]
    for height, point in zip(heights, points, strict=True):
        if point.interval:
            axis.plot(100 * np.array(point.interval), [height, height], color=colour, lw=1.5)
        axis.plot(100 * point.mean, height, "o", color=colour, ms=6)
        seeds = 100 * np.array(point.by_seed)
        axis.plot(seeds, [height] * len(seeds), "|", color=NEUTRAL, ms=8)
    axis.set_yticks(heights, labels, fontsize=8)
    axis.set_ylim(-0.6, max(len(points), 1) - 0.4)
    axis.axvline(100 * chance, color=NEUTRAL, ls=":", lw=1)
    axis.tick_params(axis="x", labelsize=8, labelbottom=True)
