"""What lies beside a model: its calibration, which an export takes along."""

from __future__ import annotations

from pathlib import Path

from crossreid.evaluation.calibration import FILE, Calibration
from crossreid.extraction.exported import exported_folder, is_exported


def calibration_beside(place: str | Path) -> Calibration | None:
    """The calibration beside a run's or checkpoint's weights, or in an exported model's folder; None where there is none.

    Raises:
        CheckpointError: there is no checkpoint.
        DataError: the calibration is damaged.
    """
    if is_exported(place):
        folder = exported_folder(place)
    else:
        from crossreid.training.loading import checkpoint_at  # noqa: PLC0415 - exported models do without torch

        folder = checkpoint_at(place).parent
    file = folder / FILE
    if not file.is_file():
        return None
    return Calibration.load(file)
