"""Readers: each verifies a layout on disk, then lists its records."""

from crossreid.data.datasets.base import CameraCount, ReIDDataset
from crossreid.data.datasets.sysu_mm01 import SYSU_MM01_COUNTS, read_sysu_mm01

__all__ = ["SYSU_MM01_COUNTS", "CameraCount", "ReIDDataset", "read_sysu_mm01"]
