"""crossreid: person re-identification between visible and infrared cameras.

What stands here is imported when it is asked for, so that ``import crossreid`` takes no time.
"""

from __future__ import annotations

from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from crossreid.experiment import Experiment, FinishedRun, load, score
    from crossreid.runs.results import RunResults

_PLACES = {
    "Experiment": "crossreid.experiment",
    "FinishedRun": "crossreid.experiment",
    "load": "crossreid.experiment",
    "score": "crossreid.experiment",
    "RunResults": "crossreid.runs.results",
}

__all__ = ["Experiment", "FinishedRun", "RunResults", "__version__", "load", "score"]


def _version() -> str:
    """The installed version; in a source tree that is not installed, what pyproject.toml says."""
    project = Path(__file__).resolve().parents[2] / "pyproject.toml"
    if project.is_file():
        for line in project.read_text(encoding="utf-8").splitlines():
            if line.startswith("version = "):
                return line.partition("=")[2].strip().strip('"')
    try:
        return version("crossreid")
    except PackageNotFoundError:
        return "unknown"


__version__ = _version()


def __getattr__(name: str) -> Any:
    """The front door, imported lazily."""
    if name in _PLACES:
        return getattr(import_module(_PLACES[name]), name)
    raise AttributeError(f"module 'crossreid' has no attribute '{name}'")


def __dir__() -> list[str]:
    return sorted(__all__)
