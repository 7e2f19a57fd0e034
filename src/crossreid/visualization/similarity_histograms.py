"""How alike images of one person and of two persons are, across modalities (JSIA-ReID, Fig. 4)."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
from matplotlib.figure import Figure

from crossreid.escaping import for_figure
from crossreid.visualization.style import INFRARED, VISIBLE

Similarities = npt.NDArray[np.floating]
_BINS = 60


def similarity_histograms(panels: Mapping[str, tuple[Similarities, Similarities]]) -> Figure:
    """A chart a set of images, all with one axis of similarities; the dashed lines are means.

    Args:
        panels: title -> cosine similarities of pairs of one person (n,), and of two persons (m,).
    """
    similarities_of_all: list[Similarities] = []
    for both in panels.values():
        similarities_of_all += both
    every = np.concatenate(similarities_of_all)
    lowest = every.min()
    highest = max(every.max(), lowest + 1e-6)  # bins have a width where all similarities are one number
    edges = np.linspace(lowest, highest, _BINS + 1)
    figure = Figure(figsize=(4.6 * len(panels), 3.4), layout="constrained")
    axes = figure.subplots(1, len(panels), squeeze=False, sharey=True)[0]
    for axis, (title, (one_person, two_persons)) in zip(axes, panels.items(), strict=True):
        for similarities, colour, label in (
            (two_persons, INFRARED, "two persons"),
            (one_person, VISIBLE, "one person"),
        ):
            counts, _ = np.histogram(similarities, edges)
            share = 100 * counts / max(len(similarities), 1)
            axis.stairs(share, edges, color=colour, fill=True, alpha=0.45, label=_label(label, similarities))
            if len(similarities):
                axis.axvline(float(similarities.mean()), color=colour, ls="--", lw=1)
        axis.set_title(for_figure(title), fontsize=9)
        axis.set_xlabel("cosine similarity, visible to infrared", fontsize=9)
        axis.tick_params(labelsize=8)
        axis.legend(fontsize=7, frameon=False)
    axes[0].set_ylabel("percent of pairs", fontsize=9)
    return figure


def _label(name: str, similarities: Similarities) -> str:
    """With the number of pairs, as shares of few say little."""
    if not len(similarities):
        return f"{name}: no pairs"
    return f"{name}: {len(similarities):,} pairs, mean {similarities.mean():.3f}"
