"""Cumulative matching characteristics of several results in one chart."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.figure import Figure

from crossreid.escaping import for_figure
from crossreid.evaluation import RetrievalResult
from crossreid.visualization.style import NEUTRAL, SERIES, series_style

MOST_RANKS = 20
"""Ranks that are shown, where a gallery has as many."""
_FEW = 10
"""Ranks that each have a tick."""


def cmc_curves(results: Mapping[str, Sequence[RetrievalResult]], title: str) -> Figure:
    """Draw the share of probes whose person is found by rank k, in percent.

    Args:
        results: label -> results of one protocol, one a seed; a line is their mean over trials and seeds, a band spans the
            seeds.
        title: dataset and protocol.
    """
    figure = Figure(figsize=(6.4, 4.2), layout="constrained")
    axis = figure.subplots()
    # All curves end at the last rank that every gallery has.
    ranks = MOST_RANKS
    for by_seed in results.values():
        for result in by_seed:
            ranks = min(ranks, result.cmc.shape[1])
    places = np.arange(1, ranks + 1)
    for number, (label, by_seed) in enumerate(results.items()):
        over_trials = [100 * result.cmc[:, :ranks].mean(axis=0) for result in by_seed]
        curves = np.stack(over_trials)  # (seeds, ranks)
        colour, dashes = series_style(number)
        axis.plot(places, curves.mean(axis=0), dashes, color=colour, lw=1.5, label=for_figure(label))
        if len(curves) > 1:
            axis.fill_between(places, curves.min(axis=0), curves.max(axis=0), color=colour, alpha=0.15, lw=0)
    any_result = next(iter(results.values()))[0]
    chance = _chance(any_result, ranks)
    axis.plot(list(chance), list(chance.values()), ":", marker=".", color=NEUTRAL, lw=1, label="chance")
    step = 1 if ranks <= _FEW else 5
    axis.set_xticks([1, *range(max(2, step), ranks + 1, step)])
    axis.set_xlim(1, max(ranks, 2))  # an axis from 1 to 1 would have no width
    axis.set_ylim(0, 101)
    axis.set_xlabel("rank k", fontsize=9)
    axis.set_ylabel("probes found by rank k, percent", fontsize=9)
    axis.set_title(for_figure(title), fontsize=9)
    axis.tick_params(labelsize=8)
    axis.grid(alpha=0.25)
    columns = 1
    if len(results) > len(SERIES):
        columns = 2
    axis.legend(fontsize=7, frameon=False, ncols=columns, loc="lower right")
    return figure


def _chance(result: RetrievalResult, ranks: int) -> dict[int, float]:
    """Rank -> percent of a random ranking, at the ranks that results keep."""
    chance = {}
    for rank in (1, 5, 10, 20):
        value = result.chance.get(f"rank{rank}", float("nan"))
        if rank <= ranks and not np.isnan(value):
            chance[rank] = 100 * value
    return chance
