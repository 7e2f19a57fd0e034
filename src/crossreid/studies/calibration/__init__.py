"""Calibration of a trained model on persons whose identities are known."""

from crossreid.studies.calibration.building import calibrate_embeddings, calibrate_pairs
from crossreid.studies.calibration.front import calibrate

__all__ = ["calibrate", "calibrate_embeddings", "calibrate_pairs"]
