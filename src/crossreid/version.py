"""The version of this package."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version
from pathlib import Path


def _version() -> str:
    """What pyproject.toml says, in a source tree that need not be installed; else the installed version."""
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
