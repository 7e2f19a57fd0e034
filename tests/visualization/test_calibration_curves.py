"""Figures of a calibration show its numbers."""

from __future__ import annotations

import numpy as np
import pytest

from crossreid.evaluation.calibration import (
    Calibration,
    OpenSetResult,
    PairCalibration,
    ScoreHistogram,
)
from crossreid.evaluation.match_probability import MatchProbability, Reliability
from crossreid.evaluation.open_set import OpenSetRate
from crossreid.evaluation.verification import Interval, RateCurve, Threshold


@pytest.fixture(scope="module")
def figures():
    pytest.importorskip("matplotlib", reason="figures need the extra `viz`")
    from crossreid.visualization import calibration_figures

    thresholds = (
        Threshold(0.01, 0.7, Interval(0.6, 0.8), 0.009, Interval(0.005, 0.02), 0.5, Interval(0.4, 0.6), 90, 9000),
    )
    pair = PairCalibration(
        thresholds,
        MatchProbability("logistic", 0.5, slope=3.0),
        Reliability((0.2, 0.8), (0.1, 0.9), (0.5, 0.5), 0.1, 0.05, 20),
        RateCurve((0.9, 0.5, 0.1), (0.0, 0.1, 1.0), (0.25, 0.75, 1.0), 0.875, 0.2),
        ScoreHistogram((0.0, 0.5, 1.0), (0.25, 0.75), (0.9, 0.1)),
    )
    rates = (
        OpenSetRate(0.05, 0.8, 0.05, 0.5, Interval(0.4, 0.55)),
        OpenSetRate(0.1, 0.7, 0.1, 0.6, Interval(0.5, 0.7)),
    )
    result = OpenSetResult("infrared", "visible", 200, 80.0, 30, rates)
    return calibration_figures(Calibration("a", "lba", {}, {}, {}, {"visible-infrared": pair}, (result,)))


def test_curves_are_the_numbers_of_the_calibration(figures) -> None:
    roc, det = figures["roc"].axes[0], figures["det"].axes[0]
    np.testing.assert_allclose(roc.lines[0].get_xdata(), [1e-5, 0.1, 1.0])  # 0 has no place on the axis
    np.testing.assert_allclose(roc.lines[0].get_ydata(), [25, 75, 100])
    np.testing.assert_allclose(roc.lines[1].get_ydata(), [40, 60])
    np.testing.assert_allclose(roc.lines[2].get_ydata(), 50)
    assert "area 0.875" in roc.get_legend().get_texts()[0].get_text()
    np.testing.assert_allclose(det.lines[0].get_ydata(), [0.75, 0.25, 1e-5])
    assert "equal error 20.0 %" in det.get_legend().get_texts()[0].get_text()


def test_histograms_and_thresholds_are_shown(figures) -> None:
    axis = figures["scores"].axes[0]
    impostor, genuine = axis.patches
    np.testing.assert_allclose(impostor.get_data().values, [90, 10])
    np.testing.assert_allclose(genuine.get_data().values, [25, 75])
    np.testing.assert_allclose(axis.lines[0].get_xdata(), 0.7)
    assert axis.texts[0].get_text() == "0.01"


def test_reliability_and_open_set_rates_are_shown(figures) -> None:
    line = figures["reliability"].axes[0].lines[1]
    np.testing.assert_allclose(line.get_xdata(), [0.2, 0.8])
    np.testing.assert_allclose(line.get_ydata(), [0.1, 0.9])
    assert "prior of 0.5" in figures["reliability"].axes[0].get_title()
    axis = figures["open_set"].axes[0]
    np.testing.assert_allclose(axis.containers[0].lines[0].get_ydata(orig=False), [50, 60])
    ends = [segment[:, 1].tolist() for segment in axis.containers[0].lines[2][0].get_segments()]
    np.testing.assert_allclose(ends, [[40, 55], [50, 70]])
    assert axis.get_ylim()[0] < 0  # a marker at 0 is whole
    assert "infrared in visible, 80 images of 30 persons" in axis.get_legend().get_texts()[0].get_text()
    for figure in figures.values():
        for axis in figure.axes:
            assert axis.get_xlabel()
            assert axis.get_ylabel()
            assert axis.get_title() or figure.get_suptitle()
