"""The figure of dense correspondences."""

import numpy as np
import pytest
import torch
from matplotlib.figure import Figure

from crossreid.settings.figures import CorrespondenceConfig
from crossreid.visualization import method_figures
from crossreid.visualization.correspondences import centre

PEOPLE = 2
SIZE = (64, 32)
CELLS = (4, 2)
MATCHES = 5
MAPS = ("visible_mask", "infrared_mask", "visible_attention", "infrared_attention")


@pytest.fixture
def data() -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    tensors = {}
    for modality in ("visible", "infrared"):
        tensors[modality] = torch.rand(PEOPLE, 3, *SIZE, generator=generator)
    for name in MAPS:
        tensors[name] = torch.rand(PEOPLE, 1, *CELLS, generator=generator)
    tensors["matches"] = torch.randint(0, 8, (PEOPLE, MATCHES, 2), generator=generator)
    return tensors


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
        ends = {(*line.get_xdata(), *line.get_ydata()) for line in lines}
        expected = set()
        for visible_cell, infrared_cell in data["matches"][person].tolist():
            x, y = centre(visible_cell, CELLS, SIZE)
            other_x, other_y = centre(infrared_cell, CELLS, SIZE)
            expected.add((x, other_x + 1.25 * SIZE[1], y, other_y))
        assert len(lines) == MATCHES
        assert ends == expected
    assert drawn(figure).std() > 10


def test_pairs_with_fewer_matches_have_fewer_lines_and_the_title_says_what_is_drawn(data) -> None:
    data["matches"][0, 2:] = -1
    choice = CorrespondenceConfig(layer=3, direction="infrared_to_visible", mutual=True, order="cosine")
    figure = method_figures("lba", data, choice)["correspondences"]
    assert len(figure.axes[2].lines) == 2
    assert len(figure.axes[7].lines) == MATCHES
    assert figure.axes[2].get_title() == "up to 5 most similar mutual matches of stage 3"
    usual = method_figures("lba", data)["correspondences"].axes[2].get_title()
    assert usual == "5 most probable matches of stage 4,\nvisible to infrared"


def test_maps_are_overlaid(data) -> None:
    before = drawn(method_figures("lba", data)["correspondences"])
    for name in MAPS:
        changed = data | {name: 1 - data[name]}
        assert (drawn(method_figures("lba", changed)["correspondences"]) != before).any(), name


def test_methods_without_figures_of_their_own_have_none() -> None:
    assert method_figures("baseline", {}) == {}
