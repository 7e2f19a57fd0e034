"""Figures of single methods, by the method's name."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from matplotlib.figure import Figure
from torch import Tensor

from crossreid.visualization.correspondences import correspondence_figure

FIGURES: dict[str, dict[str, Callable[[Mapping[str, Tensor]], Figure]]] = {
    "lba": {"correspondences": correspondence_figure},
}
"""Method -> name of the figure -> what draws it from the method's ``figure_data``."""


def method_figures(method: str, data: Mapping[str, Tensor]) -> dict[str, Figure]:
    """The figures that only this method has; none for a method without."""
    figures = {}
    for name, draw in FIGURES.get(method, {}).items():
        figures[name] = draw(data)
    return figures
