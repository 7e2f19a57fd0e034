"""Files on disk -> batches."""

from __future__ import annotations

from typing import Any

__all__ = ["ReIDDataModule"]


def __getattr__(name: str) -> Any:
    """``ReIDDataModule``, imported when it is asked for."""
    if name == "ReIDDataModule":
        from crossreid.data.datamodule import ReIDDataModule  # noqa: PLC0415

        return ReIDDataModule
    raise AttributeError(f"module 'crossreid.data' has no attribute '{name}'")
