"""Methods beside each other: mean Rank-1 and its interval, plain numbers apart from all others."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from matplotlib.figure import Figure

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


def comparison_chart(panels: Sequence[Panel]) -> Figure:
    """A panel each: plain rows on the left, transductive, re-ranked and other ones on the right, in percent."""
    rows = [max(1, *(sum(p.plain == side for p in panel.points) for side in (True, False))) for panel in panels]
    figure = Figure(figsize=(11, 0.9 * len(panels) + 0.35 * sum(rows)), layout="constrained")
    axes = figure.subplots(len(panels), 2, squeeze=False, sharex="row", height_ratios=rows)
    for panel, pair in zip(panels, axes, strict=True):
        for axis, side in zip(pair, (True, False), strict=True):
            points = [point for point in panel.points if point.plain == side][::-1]
            for place, point in enumerate(points):
                colour = VISIBLE if side else INFRARED
                if point.interval:
                    axis.plot([100 * v for v in point.interval], [place, place], color=colour, lw=1.5)
                axis.plot(100 * point.mean, place, "o", color=colour, ms=6)
                axis.plot([100 * v for v in point.by_seed], [place] * len(point.by_seed), "|", color=NEUTRAL, ms=8)
            labels = [point.label if side else f"{point.label} ({point.inference})" for point in points]
            axis.set_yticks(range(len(points)), labels, fontsize=8)
            axis.set_ylim(-0.6, max(len(points), 1) - 0.4)
            axis.axvline(100 * panel.chance, color=NEUTRAL, ls=":", lw=1)
            axis.set_title(f"{panel.title}, {'plain' if side else 'not comparable with those'}", fontsize=8)
            axis.tick_params(axis="x", labelsize=8, labelbottom=True)
    for axis in axes[-1]:
        axis.set_xlabel("Rank-1 in percent: mean, 95 % over identities; ticks are seeds, dots chance", fontsize=8)
    return figure
