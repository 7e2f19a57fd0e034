"""Learn from which similarity on two images count as one person, and how probable that is.

``python -m crossreid.calibrate checkpoint=RUN``; in Python :func:`crossreid.calibrate`, as which this module can be called too.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from rich.table import Table

from crossreid.console import console, notice, unshortened
from crossreid.launch import CallableCommand, run_command
from crossreid.optimiser import refuse_optimiser
from crossreid.settings.calibration import CalibrateConfig
from crossreid.settings.compose import Composed, typed

if TYPE_CHECKING:
    from pathlib import Path

    from crossreid.evaluation.calibration import Calibration
    from crossreid.evaluation.verification import Interval


def main() -> None:
    """The command."""
    run_command("calibrate", calibrate)


def calibrate(composed: Composed) -> None:
    """Calibrate, show, keep and draw."""
    config = typed(CalibrateConfig, composed)
    refuse_optimiser("calibrate")
    from pathlib import Path  # noqa: PLC0415 - torch is imported behind the first checks

    from crossreid.files import check_writable  # noqa: PLC0415
    from crossreid.galleries import Gallery  # noqa: PLC0415
    from crossreid.runs.outputs import check_outputs  # noqa: PLC0415
    from crossreid.studies.calibration.front import calibration_of, place_of  # noqa: PLC0415
    from crossreid.training.environment import check_figures  # noqa: PLC0415

    check_figures(config.figure)
    place = place_of(config)
    files = {"output": [place]}
    if config.figure:
        files["figure"] = [figure_at(place, name) for name in FIGURES]
    read = {}
    for key in ("checkpoint", "embeddings", "images", "pairs"):
        if getattr(config, key) is not None:
            read[key] = [Path(getattr(config, key))]
    if config.output is None:  # a run has one calibration, which a new one replaces
        for paths in files.values():
            for path in paths:
                check_writable(path, "output")
        files = {}
    outputs = check_outputs("calibrate", config, files, read)
    gallery = None
    if config.gallery is not None:  # before the calibration, which takes long
        gallery = Gallery.open(config.gallery)
    calibration = calibration_of(config)
    if gallery is not None:
        gallery.keep_calibration(calibration)
    with outputs.written():
        notice(f"Calibration: {calibration.save(place)}")
        if config.figure:
            from crossreid.visualization import calibration_figures, save  # noqa: PLC0415 - extra `viz`

            for name, figure in calibration_figures(calibration).items():
                notice(f"Figure: {save(figure, figure_at(place, name))}")
    show(calibration)


FIGURES = ("roc", "det", "scores", "reliability", "open_set")


def figure_at(place: Path, name: str) -> Path:
    """Where a figure of a calibration goes."""
    return place.with_name(f"{place.stem}_{name}.png")


def show(calibration: Calibration) -> None:
    """Print thresholds, probabilities and open-set rates."""
    console.print(unshortened(_thresholds(calibration)))
    for name, pair in calibration.pairs.items():
        if pair.reliability is not None:
            notice(
                f"{name}: probabilities are off by {pair.reliability.expected_error:.3f} on average (Brier score "
                f"{pair.reliability.brier:.3f}) for {pair.reliability.persons} persons that they were not learned from."
            )
    if calibration.open_set:
        console.print(unshortened(_open_set(calibration)))
    for sentence in calibration.left_out:
        notice(f"Left out, {sentence}")


def _thresholds(calibration: Calibration) -> Table:
    table = Table(title="Thresholds, with 95 % intervals over persons")
    for heading in ("images", "false matches", "threshold", "true matches %", "pairs of one / two persons"):
        table.add_column(heading)
    for name, pair in calibration.pairs.items():
        for entry in pair.thresholds:
            threshold = f"{entry.threshold:.3f} {_range(entry.threshold_interval, 1, 3)}"
            matches = f"{100 * entry.true_match_rate:.1f} {_range(entry.true_match_interval, 100, 1)}"
            pairs = f"{entry.genuine} / {entry.impostor}"
            table.add_row(name, f"{entry.rate:g}", threshold, matches, pairs)
    return table


def _open_set(calibration: Calibration) -> Table:
    table = Table(title="Open set: the person may not be there")
    for heading in ("probes", "in", "images", "false alarms", "threshold", "identified %"):
        table.add_column(heading)
    for result in calibration.open_set:
        images = f"{result.gallery_images:.0f}"
        for rate in result.rates:
            identified = f"{100 * rate.identified:.1f} {_range(rate.identified_interval, 100, 1)}"
            table.add_row(result.queries, result.gallery, images, f"{rate.rate:g}", f"{rate.threshold:.3f}", identified)
    return table


def _range(interval: Interval, factor: float, digits: int) -> str:
    """An interval in brackets; a factor of 100 makes shares percents."""
    low = f"{factor * interval.low:.{digits}f}"
    high = f"{factor * interval.high:.{digits}f}"
    return f"[{low}, {high}]"


sys.modules[__name__].__class__ = CallableCommand

if __name__ == "__main__":
    main()
