"""crossreid: person re-identification between visible and infrared cameras.

What stands here is imported when it is asked for, so that ``import crossreid`` takes no time.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from crossreid.version import __version__

if TYPE_CHECKING:
    from crossreid.evaluation.calibration import Calibration
    from crossreid.experiment import Experiment, FinishedRun, load, score
    from crossreid.exporting.exporter import export
    from crossreid.extraction.extractor import Extractor
    from crossreid.galleries.gallery import Gallery
    from crossreid.importing.importer import import_weights
    from crossreid.importing.writer import export_weights
    from crossreid.memory import keep_memory
    from crossreid.runs.results import RunResults
    from crossreid.studies.calibration import calibrate
    from crossreid.studies.paired.front import compare_embeddings

_PLACES = {
    "Calibration": "crossreid.evaluation.calibration",
    "Experiment": "crossreid.experiment",
    "Extractor": "crossreid.extraction.extractor",
    "FinishedRun": "crossreid.experiment",
    "Gallery": "crossreid.galleries.gallery",
    "calibrate": "crossreid.studies.calibration",
    "compare_embeddings": "crossreid.studies.paired.front",
    "export": "crossreid.exporting.exporter",
    "export_weights": "crossreid.importing.writer",
    "import_weights": "crossreid.importing.importer",
    "keep_memory": "crossreid.memory",
    "load": "crossreid.experiment",
    "score": "crossreid.experiment",
    "RunResults": "crossreid.runs.results",
}

__all__ = [
    "Calibration",
    "Experiment",
    "Extractor",
    "FinishedRun",
    "Gallery",
    "RunResults",
    "__version__",
    "calibrate",
    "compare_embeddings",
    "export",
    "export_weights",
    "import_weights",
    "keep_memory",
    "load",
    "score",
]


def __getattr__(name: str) -> Any:
    """The front door, imported lazily."""
    if name in _PLACES:
        return getattr(import_module(_PLACES[name]), name)
    raise AttributeError(f"module 'crossreid' has no attribute '{name}'")


def __dir__() -> list[str]:
    return sorted(__all__)
