"""Scores over the number of unlabelled queries that are propagated together (cm-SSFT, Fig. 4)."""

from __future__ import annotations

from collections.abc import Mapping

from matplotlib.figure import Figure

from crossreid.evaluation import RetrievalResult
from crossreid.visualization.style import INFRARED, VISIBLE


def auxiliary_curve(points: Mapping[int, RetrievalResult], untransferred: RetrievalResult) -> Figure:
    """Rank-1 and mAP, mean and standard deviation over trials, beside those without transfer.

    Args:
        points: queries in a group -> result.
        untransferred: the same network without transfer, dashed.
    """
    figure = Figure(figsize=(6, 4))
    axis = figure.subplots()
    sizes = sorted(points)
    for name, colour in (("rank1", VISIBLE), ("mAP", INFRARED)):
        label = "Rank-1" if name == "rank1" else name
        summaries = [points[size].metrics()[name] for size in sizes]
        means, spread = ([100 * summary[key] for summary in summaries] for key in ("mean", "std"))
        axis.errorbar(sizes, means, yerr=spread, color=colour, marker="o", ms=4, capsize=2, label=label)
        reference = 100 * untransferred.metrics()[name]["mean"]
        axis.axhline(reference, color=colour, ls="--", lw=1, label=f"{label}, untransferred")
    axis.set_xscale("log")
    axis.set_xticks(sizes, [str(size) for size in sizes], fontsize=8)
    axis.minorticks_off()
    axis.set_xlabel("queries propagated together")
    axis.set_ylabel("percent")
    axis.set_title(untransferred.protocol, fontsize=9)
    axis.legend(fontsize=8)
    return figure
