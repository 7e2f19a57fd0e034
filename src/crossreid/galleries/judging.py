"""By which calibration a search judges."""

from __future__ import annotations

from pathlib import Path

from crossreid.console import notice
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
    return fitting_calibration(gallery, checkpoint)


def fitting_calibration(gallery: Gallery, checkpoint: str | Path) -> Calibration | None:
    """What lies beside a model; None where nothing does, or what does is of other weights or preprocessing than the gallery's,
    which is said.

    Raises:
        DataError: it is damaged.
    """
    found = calibration_beside(checkpoint)
    if found is None:
        return None
    described = gallery.info()
    if found.model != described.get("model"):
        notice(f"The calibration beside '{checkpoint}' is of other weights than the gallery's: matches are not judged.")
        return None
    if not found.fits(described.get("model"), described.get("preprocessing", {})):
        notice(
            f"The calibration beside '{checkpoint}' is of images that came to pixels otherwise than the gallery's (size, "
            "decoding, grey_range): matches are not judged; calibrate with the gallery's grey_range."
        )
        return None
    return found
