"""By which calibration a search judges."""

from __future__ import annotations

from pathlib import Path

from crossreid.evaluation.calibration import Calibration
from crossreid.extraction.beside import calibration_beside
from crossreid.galleries.gallery import Gallery


def chosen_calibration(gallery: Gallery, named: str | Path | None, checkpoint: str | Path | None) -> Calibration | None:
    """What a person names, else None for what the gallery keeps, else what lies beside the model.

    Raises:
        DataError: it is missing or damaged.
    """
    if named is not None:
        return Calibration.load(named)
    if checkpoint is None or gallery.calibration() is not None:
        return None
    return calibration_beside(checkpoint)
