"""Figures of single methods, by the method's name."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from matplotlib.figure import Figure
from torch import Tensor

from crossreid.settings.figures import CorrespondenceConfig
from crossreid.visualization.correspondences import correspondence_figure

FIGURES: dict[str, dict[str, Callable[[Mapping[str, Tensor], CorrespondenceConfig], Figure]]] = {
    "lba": {"correspondences": correspondence_figure},
}
"""Method -> name of the figure -> what draws it from the method's ``figure_data``."""


def method_figures(
    method: str, data: Mapping[str, Tensor], choice: CorrespondenceConfig | None = None
) -> dict[str, Figure]:
    """The figures that only this method has; none for a method without.

    Args:
        method: its name.
        data: of its ``figure_data``.
        choice: that the data was made by.
    """
    figures = {}
    for name, draw in FIGURES.get(method, {}).items():
        figures[name] = draw(data, choice or CorrespondenceConfig())
    return figures
