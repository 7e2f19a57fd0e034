"""Scores over the number of unlabelled queries that are propagated together (cm-SSFT, Fig. 4)."""

from __future__ import annotations

from collections.abc import Mapping

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from crossreid.escaping import for_figure
from crossreid.evaluation import RetrievalResult
from crossreid.visualization.style import INFRARED, VISIBLE


def auxiliary_curve(points: Mapping[int, RetrievalResult], untransferred: RetrievalResult) -> Figure:
    """Rank-1 and mAP, mean and sample standard deviation over trials (none with one trial), beside those without transfer.

    Args:
        points: queries in a group -> result.
        untransferred: the same network without transfer, dashed.
    """
    figure = Figure(figsize=(6, 4))
    axis = figure.subplots()
    _draw_metric(axis, points, untransferred, "rank1", label="Rank-1", colour=VISIBLE)
    _draw_metric(axis, points, untransferred, "mAP", label="mAP", colour=INFRARED)
    sizes = sorted(points)
    unit = "percent"
    if untransferred.metrics()["rank1"]["std"] is not None:
        unit += "; bars: standard deviation over trials"
    axis.set_xscale("log")
    axis.set_xticks(sizes, list(map(str, sizes)), fontsize=8)
    axis.minorticks_off()
    axis.tick_params(labelsize=8)
    axis.set_xlabel("queries propagated together", fontsize=9)
    axis.set_ylabel(unit, fontsize=9)
    axis.set_title(for_figure(untransferred.protocol), fontsize=9)
    axis.legend(fontsize=8)
    return figure


def _draw_metric(
    axis: Axes,
    points: Mapping[int, RetrievalResult],
    untransferred: RetrievalResult,
    metric: str,
    label: str,
    colour: str,
) -> None:
    """One curve, and the level without transfer."""
    sizes = sorted(points)
    means = []
    deviations = []
    for size in sizes:
        summary = points[size].metrics()[metric]
        means.append(100 * summary["mean"])
        if summary["std"] is not None:
            deviations.append(100 * summary["std"])
    # All points have the same trials: one has no bars where the others have none.
    bars = deviations or None
    axis.errorbar(sizes, means, yerr=bars, color=colour, marker="o", ms=4, capsize=2, label=label)
    level = 100 * untransferred.metrics()[metric]["mean"]
    axis.axhline(level, color=colour, ls="--", lw=1, label=f"{label}, untransferred")
