"""Figures of a trained model: their numbers, read off their axes."""

import numpy as np
import pytest
import torch
from matplotlib.colors import same_color

from crossreid.evaluation.camera_pairs import CameraPairs
from crossreid.nn.grad_cam import grad_cam
from crossreid.visualization import (
    StudyPanel,
    camera_matrix,
    cmc_curves,
    embedding_map,
    heat_pairs,
    learning_curves,
    similarity_histograms,
    study_chart,
)
from crossreid.visualization.heat import laid_over
from crossreid.visualization.style import INFRARED, VISIBLE
from figures_support import embeddings, result


def test_the_camera_matrix_writes_percents_and_leaves_what_is_not_known_empty() -> None:
    mean_ap = np.array([[np.nan, 0.25], [0.5, np.nan]])
    pairs = CameraPairs(np.array([2, 6]), np.array([False, True]), mean_ap, np.ones((2, 2), int))
    axis = camera_matrix(pairs).axes[0]
    assert {(text.get_position(), text.get_text()) for text in axis.texts} == {((1, 0), "25.0"), ((0, 1), "50.0")}
    assert [label.get_text() for label in axis.get_xticklabels()] == ["2\nRGB", "6\nIR"]
    assert same_color(axis.get_yticklabels()[1].get_color(), INFRARED)
    assert same_color(axis.get_yticklabels()[0].get_color(), VISIBLE)


def test_cmc_curves_are_means_over_trials_and_seeds_with_a_band_over_seeds() -> None:
    first, second = result((0.2, 0.4), (0.1, 0.1)), result((0.5, 0.7), (0.1, 0.1))
    first = first.__class__(**{**vars(first), "cmc": np.array([[0.2, 0.4, 1.0], [0.4, 0.6, 1.0]])})
    second = second.__class__(**{**vars(second), "cmc": np.array([[0.5, 0.5, 1.0], [0.7, 0.9, 1.0]])})
    axis = cmc_curves({"lba": [first, second], "agw": [first]}, "all").axes[0]
    lba, agw, chance = axis.lines
    assert list(lba.get_xdata()) == [1, 2, 3]
    assert list(lba.get_ydata()) == pytest.approx([45, 60, 100])
    assert list(agw.get_ydata()) == pytest.approx([30, 50, 100])
    assert (chance.get_xdata()[0], chance.get_ydata()[0]) == (1, pytest.approx(10))
    (band,) = axis.collections
    edges = band.get_paths()[0].vertices
    assert edges[:, 1].min() == pytest.approx(30)


def test_histograms_are_shares_of_the_pairs_on_one_axis() -> None:
    same, other = np.array([0.9, 0.8, 0.8, 0.7]), np.array([0.1, 0.2])
    figure = similarity_histograms({"training": (same, other), "test": (other, other)})
    left, right = figure.axes
    two, one = left.patches
    assert two.get_data().values.sum() == pytest.approx(100)
    assert one.get_data().values.sum() == pytest.approx(100)
    assert list(one.get_data().edges) == list(right.patches[0].get_data().edges)
    assert one.get_data().edges[0] == pytest.approx(0.1)
    assert one.get_data().edges[-1] == pytest.approx(0.9)
    assert one.get_label() == "one person: 4 pairs, mean 0.800"


def test_a_histogram_without_pairs_says_so() -> None:
    (axis,) = similarity_histograms({"test": (np.array([]), np.array([0.1, 0.2]))}).axes
    two, one = axis.patches
    assert (two.get_label(), one.get_label()) == ("two persons: 2 pairs, mean 0.150", "one person: no pairs")
    assert len(axis.lines) == 1  # no mean of nothing


def test_a_map_has_a_chart_for_each_set_and_components_their_share() -> None:
    people = embeddings(people=4, images=6)
    figure = embedding_map({"training persons": people, "test persons": people}, identities=3, layout="pca")
    training, test = figure.axes
    assert training.get_title() == "training persons"
    assert len(test.collections) == 6
    shown = np.isin(people.pids, [1, 2, 3])
    features = people.features["main"][shown].astype(np.float64)
    values = np.linalg.svd(features - features.mean(0), compute_uv=False) ** 2
    assert test.get_xlabel() == f"first component, {100 * values[0] / values.sum():.0f} % of the variance"
    points = np.concatenate([cloud.get_offsets() for cloud in test.collections])
    assert points.var(axis=0).tolist() == pytest.approx((values[:2] / shown.sum()).tolist(), rel=1e-3)


def test_grad_cam_is_the_papers_sum() -> None:
    generator = torch.Generator().manual_seed(0)
    maps, gradients = torch.randn(2, 3, 2, 2, generator=generator), torch.randn(2, 3, 2, 2, generator=generator)
    heat = grad_cam(maps, gradients, (2, 2))
    for image in range(2):
        expected = torch.zeros(2, 2)
        for channel in range(3):
            expected += gradients[image, channel].mean() * maps[image, channel]
        expected = expected.clamp(min=0)
        assert torch.allclose(heat[image], expected / expected.max().clamp(min=1e-30), atol=1e-6)
    assert not grad_cam(maps, torch.zeros_like(maps), (2, 2)).any()


def test_heat_lies_over_the_image_where_it_is_hot() -> None:
    pixels = np.full((4, 2, 3), 100, np.uint8)
    heat = np.zeros((4, 2))
    heat[0] = 1.0
    mixed = laid_over(pixels, heat)
    assert (mixed[1:] == 100).all()
    assert (mixed[0] != 100).any()
    figure = heat_pairs([((pixels, heat), (pixels, heat), 0.25)])
    assert figure.axes[0].get_ylabel() == "cosine\n0.250"
    assert (figure.axes[1].images[0].get_array() == mixed).all()


def test_losses_of_unlike_sizes_are_logarithmic_and_their_names_beside_the_chart() -> None:
    curves = {"network/id": [(0, 2.0), (1, 1.0)], "student/id": [(0, 2.0), (1, 1.0)], "student/real": [(1, 500.0)]}
    network, student = learning_curves(curves).axes
    assert [network.get_yscale(), student.get_yscale()] == ["linear", "symlog"]
    assert student.get_ylabel() == "value, logarithmic above 1"
    assert [list(line.get_ydata()) for line in student.lines] == [[2.0, 1.0], [500.0]]
    assert [text.get_text() for text in student.get_legend().get_texts()] == ["id", "real"]
    assert student.get_legend().get_bbox_to_anchor().x0 == pytest.approx(student.bbox.x1)
    assert set(network.xaxis.get_majorticklocs()) <= {-1, 0, 1, 2}  # no half iterations


def test_one_iteration_has_one_tick() -> None:
    (axis,) = learning_curves({"network/id": [(0, 2.5)]}).axes
    low, high = axis.get_xlim()
    assert [tick for tick in axis.get_xticks() if low <= tick <= high] == [0]


def test_a_wide_study_is_logarithmic_with_zero_before_it() -> None:
    values = [0.0, 0.01, 0.1, 1.0]
    scores = {"rank1": [[0.1, 0.3], [0.2], [0.3], [0.4]], "mAP": [[0.1], [0.1], [0.1], [0.1]]}
    axis = study_chart([StudyPanel("lba", "w_dt", values, scores, {"rank1": 0.02, "mAP": 0.05})]).axes[0]
    means = axis.lines[0]
    assert list(means.get_ydata()) == pytest.approx([20, 20, 30, 40])
    assert axis.get_xscale() == "log"
    assert list(means.get_xdata()) == pytest.approx([0.001, 0.01, 0.1, 1.0])
    assert [label.get_text() for label in axis.get_xticklabels()] == ["0", "0.01", "0.1", "1"]
