"""Readers: each verifies a layout on disk, then lists its records."""

from crossreid.data.datasets.base import CameraCount, ReIDDataset, SplitCounts, verify_counts
from crossreid.data.datasets.folder import read_folder
from crossreid.data.datasets.lists import Complain, SkippedFiles, refuse, some
from crossreid.data.datasets.llcm import LLCM_COUNTS, read_llcm
from crossreid.data.datasets.regdb import REGDB_COUNTS, REGDB_SPLITS, read_regdb
from crossreid.data.datasets.sysu_mm01 import SYSU_MM01_COUNTS, read_sysu_mm01

__all__ = [
    "LLCM_COUNTS",
    "REGDB_COUNTS",
    "REGDB_SPLITS",
    "SYSU_MM01_COUNTS",
    "CameraCount",
    "Complain",
    "ReIDDataset",
    "SkippedFiles",
    "SplitCounts",
    "read_folder",
    "read_llcm",
    "read_regdb",
    "read_sysu_mm01",
    "refuse",
    "some",
    "verify_counts",
]
