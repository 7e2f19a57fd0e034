"""What the figures show: read off their axes, not off their pixels."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from matplotlib.axes import Axes
from matplotlib.colors import same_color, to_rgba
from matplotlib.figure import Figure

from crossreid.evaluation import RankedLists
from crossreid.visualization import (
    Panel,
    Point,
    auxiliary_curve,
    comparison_chart,
    embedding_map,
    picture_grid,
    ranked_gallery,
    save,
)
from crossreid.visualization.style import INFRARED, NEUTRAL, RIGHT, VISIBLE, WRONG
from figures_support import embeddings, result


def labels(axis: Axes) -> dict[float, str]:
    """Height -> what stands there on the left."""
    texts = [text.get_text() for text in axis.get_yticklabels()]
    return dict(zip(axis.get_yticks(), texts, strict=True))


def test_the_chart_keeps_plain_rows_apart_from_others() -> None:
    plain = Point("lba/full", True, "plain", 0.5, (0.4, 0.7), [0.45, 0.55])
    other_plain = Point("agw", True, "plain", 0.3, None, [0.3])
    transductive = Point("cmssft/all_queries", False, "transductive", 0.9, None, [0.9])
    figure = comparison_chart(
        [Panel("synthetic", [plain, other_plain, transductive], 0.02), Panel("regdb", [plain], 0.05)]
    )
    left, right, _, empty = figure.axes
    assert labels(left) == {1: "lba/full", 0: "agw"}  # the first point stands at the top
    assert labels(right) == {0: "cmssft/all_queries (transductive)"}
    assert labels(empty) == {}
    assert left.get_title() == "synthetic\nplain"
    assert "not comparable" in right.get_title()

    interval, mean, seeds, mean_of_agw, seeds_of_agw, chance = left.lines
    assert list(interval.get_xdata()) == pytest.approx([40, 70])
    assert list(mean.get_xdata()) == [50]
    assert list(seeds.get_xdata()) == pytest.approx([45, 55])
    assert list(mean_of_agw.get_xdata()) == [30]
    assert list(seeds_of_agw.get_xdata()) == [30]
    assert list(chance.get_xdata()) == [2, 2]
    assert interval.get_ydata()[0] == mean.get_ydata()[0] == 1
    assert mean_of_agw.get_ydata()[0] == 0


def test_the_chart_says_what_its_axis_is() -> None:
    panels = [Panel("synthetic", [Point("lba/full", True, "plain", 0.5, (0.4, 0.7), [0.5])], 0.02)]
    (rank1,) = comparison_chart(panels).axes
    (mean_ap,) = comparison_chart(panels, metric="mAP").axes
    assert rank1.get_xlabel().startswith("Rank-1 in percent")
    assert mean_ap.get_xlabel().startswith("mAP in percent")


def test_the_curve_is_in_percent_beside_the_level_without_transfer() -> None:
    points = {16: result((0.5, 0.7), (0.3, 0.3)), 1: result((0.2, 0.4), (0.1, 0.1))}
    figure = auxiliary_curve(points, result((0.25,), (0.15,)))
    (axis,) = figure.axes
    curves = [container.lines[0] for container in axis.containers]
    assert [curve.get_label() for curve in curves] == ["_nolegend_", "_nolegend_"]
    rank1, mean_ap = curves
    assert list(rank1.get_xdata()) == [1, 16]
    assert list(rank1.get_ydata()) == pytest.approx([30, 60])
    assert list(mean_ap.get_ydata()) == pytest.approx([10, 30])
    levels = {line.get_label(): line.get_ydata()[0] for line in axis.lines if "untransferred" in line.get_label()}
    assert levels == {"Rank-1, untransferred": pytest.approx(25), "mAP, untransferred": pytest.approx(15)}


def test_the_map_shows_people_of_both_modalities_only() -> None:
    figure = embedding_map({"test persons": embeddings(people=4, images=6)}, identities=2)
    (axis,) = figure.axes
    assert axis.get_legend().get_title().get_text() == "2 persons (shapes)"
    assert [text.get_text() for text in axis.get_legend().get_texts()] == ["visible", "infrared"]
    clouds = axis.collections
    assert [len(cloud.get_offsets()) for cloud in clouds] == [6, 6, 6, 6]  # two people, one cloud a modality
    for cloud, colour in zip(clouds, (VISIBLE, INFRARED) * 2, strict=True):
        assert same_color(cloud.get_facecolor()[0][:3], colour)


def test_ranked_lists_tick_right_images_and_cross_wrong_ones() -> None:
    people = embeddings(people=3, images=2)
    lists = RankedLists(
        queries=np.array([6]),
        indices=np.array([[4, 8, -1]]),
        correct=np.array([[True, False, False]]),
        similarity=np.array([[0.75, 0.5, np.nan]]),
        valid=np.array([True]),
    )
    images = np.arange(12, dtype=np.uint8)[:, None, None, None] * np.ones((1, 8, 4, 3), dtype=np.uint8)
    figure = ranked_gallery(lists, people, images)
    (axis,) = figure.axes
    texts = [text.get_text() for text in axis.texts]
    header = "gallery, most alike first, with similarity; ✓ the probe's person, ✗ another one"
    assert texts == ["probe", header, "id 1 cam 3", "✓ 0.750\ncam 1", "✗ 0.500\ncam 1"]
    shown = [image.get_array()[0, 0, 0] for image in axis.images]
    assert shown == [people.rows[6], people.rows[4], people.rows[8]]  # pixels are counted by `rows`
    assert [frame.get_edgecolor() for frame in axis.patches] == [to_rgba(colour) for colour in (NEUTRAL, RIGHT, WRONG)]
    for image, frame, caption in zip(axis.images, axis.patches, axis.texts[2:], strict=True):
        left, right, bottom, top = image.get_extent()
        assert (left, top) == frame.get_xy()
        assert bottom - top == pytest.approx(2 * (right - left))  # images are twice as high as wide, and stay so
        assert left < caption.get_position()[0] < right
        assert caption.get_position()[1] < top  # the axis runs downwards


def test_ranked_lists_name_the_files_of_persons_whom_nobody_knows() -> None:
    people = embeddings(people=2, images=1)
    unknown = replace(people, pids=np.full(4, -1), paths=("a/0.jpg", "a/1.jpg", "b/2.jpg", "b/3.jpg"))
    lists = RankedLists(
        queries=np.array([3]),
        indices=np.array([[2, 0]]),
        correct=np.zeros((1, 2), dtype=bool),
        similarity=np.array([[0.75, 0.5]]),
        valid=np.zeros(1, dtype=bool),
    )
    (axis,) = ranked_gallery(lists, unknown, np.zeros((4, 8, 4, 3), dtype=np.uint8)).axes
    texts = [text.get_text() for text in axis.texts]
    assert texts[1:] == ["gallery, most alike first, with similarity", "b/3", "0.750\nb/2", "0.500\na/0"]
    assert {frame.get_edgecolor() for frame in axis.patches} == {to_rgba(NEUTRAL)}


@pytest.mark.parametrize(
    ("per_person", "numbers"), [(2, ["person 1", "person 2", "person 3"]), (1, ["1", "2", "3", "4", "5"])]
)
def test_a_grid_numbers_its_persons_over_their_columns(per_person: int, numbers: list[str]) -> None:
    figure = picture_grid({"real images": torch.zeros(5, 3, 8, 4), "fake": torch.ones(5, 3, 8, 4)}, per_person)
    first, second = figure.axes
    assert [text.get_text() for text in first.texts] == numbers
    assert first.texts[0].get_position()[0] == per_person * 5 / 2  # an image is 4 pixels wide, with 1 between
    assert len(second.texts) == 0
    assert [axis.get_ylabel() for axis in figure.axes] == ["real\nimages", "fake"]


def test_a_figure_is_kept_as_png(tmp_path: Path) -> None:
    path = save(Figure(figsize=(1, 1)), tmp_path / "new" / "figure.png")
    assert path.read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"
    assert [file.name for file in path.parent.iterdir()] == ["figure.png"]
