"""Figures of a calibration: ROC and DET curves, distributions of similarities, reliability of probabilities, open-set rates."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from crossreid.escaping import for_figure
from crossreid.evaluation.calibration import Calibration, OpenSetResult, PairCalibration

COLOURS = {"visible-visible": "#0072b2", "visible-infrared": "#d55e00", "infrared-infrared": "#009e73"}
"""Of two modalities (Okabe and Ito, 2008: told apart by colour-blind people too), beside the styles of lines."""
STYLES = {"visible-visible": "--", "visible-infrared": "-", "infrared-infrared": ":"}
GENUINE = "#0072b2"
IMPOSTOR = "#e69f00"
_DIRECTION_COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7")
_DIRECTION_MARKERS = ("o", "s", "^", "D")
"""Of the four directions of open-set search: probes of either modality in images of either."""
_SMALLEST = 1e-5


def calibration_figures(calibration: Calibration) -> dict[str, Figure]:
    """All figures of a calibration, by the name that their files end in."""
    title = for_figure(calibration.method or "embeddings")
    figures = {
        "roc": roc_curves(calibration.pairs, title),
        "det": det_curves(calibration.pairs, title),
        "scores": score_histograms(calibration.pairs, title),
        "reliability": reliability_diagrams(calibration.pairs, title),
    }
    if calibration.open_set:
        figures["open_set"] = open_set_chart(calibration, title)
    return figures


def roc_curves(pairs: Mapping[str, PairCalibration], title: str) -> Figure:
    """True-match rate over false-match rate of each two modalities, with the thresholds and their 95 % intervals."""
    figure = Figure(figsize=(5.5, 4.5))
    axis = figure.subplots()
    for name, pair in pairs.items():
        if pair.curve is not None:
            label = f"{name}, area {pair.curve.area:.3f}"
            rates = _visible(pair.curve.false_match_rate)
            axis.plot(rates, _percent(pair.curve.true_match_rate), **_line(name, label))
        for entry in pair.thresholds:
            low, high = entry.true_match_interval
            axis.plot([entry.rate] * 2, [100 * low, 100 * high], color=COLOURS[name], lw=4, alpha=0.35)
            axis.plot(entry.rate, 100 * entry.true_match_rate, "o", color=COLOURS[name], ms=4)
    axis.set_xscale("log")
    axis.set_xlim(_leftmost(pairs), 1)
    axis.set_ylim(0, 101)
    axis.set_xlabel("false-match rate (share of pairs of two persons)")
    axis.set_ylabel("true-match rate (percent of pairs of one person)")
    axis.set_title(f"{title}: ROC, with 95 % intervals over persons", fontsize=9)
    axis.grid(alpha=0.3)
    # No corner is always free: a poor curve runs where a good one leaves room.
    axis.legend(fontsize=8, loc="best")
    return figure


def det_curves(pairs: Mapping[str, PairCalibration], title: str) -> Figure:
    """False-non-match rate over false-match rate, both on logarithmic axes, with the equal error rate."""
    figure = Figure(figsize=(5.5, 4.5))
    axis = figure.subplots()
    for name, pair in pairs.items():
        if pair.curve is None:
            continue
        missed = _visible(tuple(1 - rate for rate in pair.curve.true_match_rate))
        label = f"{name}, equal error {100 * pair.curve.equal_error_rate:.1f} %"
        axis.plot(_visible(pair.curve.false_match_rate), missed, **_line(name, label))
    limits = (_leftmost(pairs), 1)
    axis.plot(limits, limits, color="#999999", lw=0.8)  # both rates are equal: it meets a curve at the equal error rate
    axis.set_xscale("log")
    axis.set_yscale("log")
    axis.set_xlim(*limits)
    axis.set_ylim(1e-3, 1.05)
    axis.set_xlabel("false-match rate (share of pairs of two persons)")
    axis.set_ylabel("false-non-match rate (share of pairs of one person)")
    axis.set_title(f"{title}: detection error trade-off", fontsize=9)
    axis.grid(alpha=0.3, which="both")
    axis.legend(fontsize=8, loc="lower left")
    return figure


def score_histograms(pairs: Mapping[str, PairCalibration], title: str) -> Figure:
    """Distributions of similarities of one person and of two, with the thresholds; one panel for two modalities."""
    shown = {name: pair for name, pair in pairs.items() if pair.histogram is not None}
    figure = Figure(figsize=(5.5, 0.6 + 2.2 * len(shown)))
    for axis, (name, pair) in zip(_panels(figure, len(shown)), shown.items(), strict=True):
        assert pair.histogram is not None, "chosen above"
        edges = pair.histogram.edges
        impostor = _percent(pair.histogram.impostor)
        genuine = _percent(pair.histogram.genuine)
        axis.stairs(impostor, edges, color=IMPOSTOR, lw=1.5, label="two persons")
        axis.stairs(genuine, edges, color=GENUINE, fill=True, alpha=0.5, label="one person")
        _mark_thresholds(axis, pair)
        axis.set_title(f"{name}; dotted: thresholds by false-match rate", fontsize=8)
        axis.set_ylabel("percent of pairs")
        axis.legend(fontsize=8)
        axis.set_xlabel("cosine similarity")
    figure.suptitle(f"{title}: similarities", fontsize=9)
    figure.tight_layout()
    return figure


def _mark_thresholds(axis: Axes, pair: PairCalibration) -> None:
    """A line at each threshold, with its rate of false matches."""
    top = axis.get_ylim()[1]
    background = {"facecolor": "white", "alpha": 0.8, "edgecolor": "none", "pad": 0.5}
    for number, entry in enumerate(pair.thresholds):
        axis.axvline(entry.threshold, color="black", lw=0.8, ls=":")
        # The labels stand below each other, as thresholds may be near each other.
        height = top * (1 - 0.15 * number)
        axis.annotate(f"{entry.rate:g}", (entry.threshold, height), fontsize=7, ha="right", va="top", bbox=background)


def reliability_diagrams(pairs: Mapping[str, PairCalibration], title: str) -> Figure:
    """Share of genuine pairs over predicted probability, of persons that the probabilities were not learned from."""
    figure = Figure(figsize=(4.8, 4.8))
    axis = figure.subplots()
    axis.plot([0, 1], [0, 1], color="#999999", lw=0.8, label="as it should be")
    for name, pair in pairs.items():
        checked = pair.reliability
        if checked is not None:
            label = f"{name}, error {checked.expected_error:.3f}, Brier {checked.brier:.3f}"
            axis.plot(checked.predicted, checked.observed, marker="o", ms=4, **_line(name, label))
    axis.set_xlim(0, 1)
    axis.set_ylim(0, 1)
    axis.set_xlabel("predicted probability of a match")
    axis.set_ylabel("share of matches (held-out persons)")
    axis.set_title(f"{title}: reliability at a prior of {_prior(pairs):g}", fontsize=9)
    axis.grid(alpha=0.3)
    axis.legend(fontsize=8, loc="upper left")
    return figure


def open_set_chart(calibration: Calibration, title: str) -> Figure:
    """Detection and identification rates over the false-alarm rate, with 95 % intervals over the probes' persons."""
    figure = Figure(figsize=(5.5, 4))
    axis = figure.subplots()
    rates: set[float] = set()
    for place, result in enumerate(calibration.open_set):
        _draw_direction(axis, place, result)
        rates.update(entry.rate for entry in result.rates)
    axis.set_xscale("log")
    shown = sorted(rates)
    axis.set_xticks(shown, [f"{rate:g}" for rate in shown])
    axis.minorticks_off()
    axis.set_xlim(shown[0] / 1.5, shown[-1] * 1.5)
    axis.set_ylim(-2, 102)  # so that markers at 0 and 100 are whole
    axis.set_xlabel("false-alarm rate (share of probes whose person is not there)")
    axis.set_ylabel("identified (percent of probes)")
    axis.set_title(f"{title}: open-set identification, with 95 % intervals over persons", fontsize=9)
    axis.grid(alpha=0.3)
    axis.legend(fontsize=7)
    return figure


def _draw_direction(axis: Axes, place: int, result: OpenSetResult) -> None:
    """The rates of one direction, a little to the right of those of the directions before it."""
    places = []
    values = []
    below = []
    above = []
    for entry in result.rates:
        places.append(entry.rate * (1 + 0.02 * place))
        values.append(100 * entry.identified)
        # An interval from resamples may lie wholly on one side of the value, and matplotlib takes no negative bars.
        low = min(entry.identified, entry.identified_interval.low)
        high = max(entry.identified, entry.identified_interval.high)
        below.append(100 * (entry.identified - low))
        above.append(100 * (high - entry.identified))
    axis.errorbar(
        places,
        values,
        yerr=[below, above],
        color=_DIRECTION_COLOURS[place],
        marker=_DIRECTION_MARKERS[place],
        ms=5,
        capsize=2,
        label=f"{result.queries} in {result.gallery}, {result.gallery_images:.0f} images of {result.gallery_persons} persons",
    )


def _panels(figure: Figure, count: int) -> list[Axes]:
    return list(figure.subplots(count, 1, squeeze=False)[:, 0])


def _line(name: str, label: str) -> dict[str, Any]:
    return {"color": COLOURS[name], "ls": STYLES[name], "lw": 1.5, "label": label}


def _percent(shares: tuple[float, ...]) -> list[float]:
    return [100 * share for share in shares]


def _visible(rates: tuple[float, ...]) -> list[float]:
    """Rates for a logarithmic axis, on which 0 has no place."""
    return [max(rate, _SMALLEST) for rate in rates]


def _leftmost(pairs: Mapping[str, PairCalibration]) -> float:
    """Where the axis of false-match rates begins: a step below the smallest rate."""
    rates: list[float] = []
    for pair in pairs.values():
        rates += [entry.rate for entry in pair.thresholds]
    return max(_SMALLEST, min(rates) / 10)


def _prior(pairs: Mapping[str, PairCalibration]) -> float:
    return next(iter(pairs.values())).probability.prior
