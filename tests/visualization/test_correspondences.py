"""The figure of dense correspondences."""

import numpy as np
import pytest
import torch
from matplotlib.figure import Figure

from crossreid.visualization import method_figures
from crossreid.visualization.correspondences import centre

PEOPLE, SIZE, CELLS, MATCHES = 2, (64, 32), (4, 2), 5


@pytest.fixture
def data() -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    maps = ("visible_mask", "infrared_mask", "visible_attention", "infrared_attention")
    found = {name: torch.rand(PEOPLE, 1, *CELLS, generator=generator) for name in maps}
    images = {name: torch.rand(PEOPLE, 3, *SIZE, generator=generator) for name in ("visible", "infrared")}
    return found | images | {"matches": torch.randint(0, 8, (PEOPLE, MATCHES, 2), generator=generator)}


def drawn(figure: Figure) -> np.ndarray:
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    return np.asarray(canvas.buffer_rgba())


def test_cells_have_their_centres() -> None:
    assert centre(0, (18, 9), (288, 144)) == (8.0, 8.0)
    assert centre(10, (18, 9), (288, 144)) == (24.0, 24.0)
    assert centre(161, (18, 9), (288, 144)) == (136.0, 280.0)


def test_a_line_joins_the_cells_of_each_match(data) -> None:
    figure = method_figures("lba", data)["correspondences"]
    assert len(figure.axes) == PEOPLE * 5
    for person in range(PEOPLE):
        lines = figure.axes[5 * person + 2].lines
        ends = {tuple(np.concatenate([line.get_xdata(), line.get_ydata()])) for line in lines}
        expected = set()
        for p, q in data["matches"][person].tolist():
            (x, y), (u, v) = centre(p, CELLS, SIZE), centre(q, CELLS, SIZE)
            expected.add((x, u + 1.25 * SIZE[1], y, v))
        assert len(lines) == MATCHES
        assert ends == expected
    assert drawn(figure).std() > 10


def test_maps_are_overlaid(data) -> None:
    before = drawn(method_figures("lba", data)["correspondences"])
    for name in ("visible_mask", "infrared_mask", "visible_attention", "infrared_attention"):
        changed = data | {name: 1 - data[name]}
        assert (drawn(method_figures("lba", changed)["correspondences"]) != before).any(), name


def test_methods_without_figures_of_their_own_have_none() -> None:
    assert method_figures("baseline", {}) == {}
