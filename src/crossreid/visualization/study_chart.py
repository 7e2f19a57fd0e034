"""Weight studies: scores against the value of a setting, as AlignGAN's Fig. 4 and JSIA-ReID's Fig. 5 show them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import ceil

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import NullFormatter, NullLocator

from crossreid.escaping import for_figure
from crossreid.visualization.style import INFRARED, NEUTRAL, VISIBLE

_METRICS = {"rank1": ("Rank-1", VISIBLE, "o"), "mAP": ("mAP", INFRARED, "s")}
_WIDE = 20
"""Ratio of the largest to the smallest value from which an axis is logarithmic."""
_PER_ROW = 2


@dataclass(frozen=True)
class StudyPanel:
    """One chart; scores and chance are fractions in [0, 1].

    Attributes:
        title: row, dataset and protocol.
        setting: what is varied.
        values: of the setting, ascending.
        scores: ``rank1`` and ``mAP`` -> for each value the results, one a seed.
        chance: of a random ranking, likewise.
    """

    title: str
    setting: str
    values: Sequence[float]
    scores: Mapping[str, Sequence[Sequence[float]]]
    chance: Mapping[str, float]


def study_chart(panels: Sequence[StudyPanel]) -> Figure:
    """A chart each: lines are means over seeds, dots are seeds, dotted lines chance; in percent."""
    columns = min(_PER_ROW, len(panels))
    rows = ceil(len(panels) / columns)
    figure = Figure(figsize=(5.2 * columns, 3.4 * rows), layout="constrained")
    axes = figure.subplots(rows, columns, squeeze=False).ravel()
    for axis, panel in zip(axes, panels, strict=False):
        _draw(axis, panel)
    for axis in axes[len(panels) :]:
        axis.set_visible(False)
    return figure


def _draw(axis: Axes, panel: StudyPanel) -> None:
    places = _places(axis, panel.values)
    for metric, (label, colour, marker) in _METRICS.items():
        by_value = panel.scores[metric]
        means = [100 * float(np.mean(seeds)) for seeds in by_value]
        axis.plot(places, means, "-", marker=marker, color=colour, ms=5, label=label)
        for place, seeds in zip(places, by_value, strict=True):
            axis.plot([place] * len(seeds), 100 * np.array(seeds), ".", color=colour, alpha=0.5, ms=4)
        axis.axhline(100 * panel.chance[metric], color=colour, ls=":", lw=1)
    axis.set_title(for_figure(panel.title), fontsize=9)
    axis.set_xlabel(for_figure(panel.setting), fontsize=9)
    axis.set_ylabel("percent (dots: seeds, dotted: chance)", fontsize=9)
    axis.tick_params(labelsize=8)
    axis.grid(alpha=0.25, color=NEUTRAL)
    axis.legend(fontsize=8, frameon=False)


def _places(axis: Axes, values: Sequence[float]) -> list[float]:
    """Where the values stand: on a line, or where they span much on a logarithmic one, with 0 a step before the others."""
    names = [f"{value:g}" for value in values]
    positive = [value for value in values if value > 0]
    if min(values) < 0 or len(positive) < 2 or max(positive) / min(positive) < _WIDE:
        axis.set_xticks(list(values), names)
        return list(values)
    # The geometric mean of the ratios between neighbours; 0 has no place of its own on a logarithmic axis.
    step = (max(positive) / min(positive)) ** (1 / (len(positive) - 1))
    place_of_zero = min(positive) / step
    places = [value if value > 0 else place_of_zero for value in values]
    axis.set_xscale("log")
    axis.set_xticks(places, names)
    # Without its own minor ticks, which are none of the values.
    axis.xaxis.set_minor_locator(NullLocator())
    axis.xaxis.set_minor_formatter(NullFormatter())
    return places
