"""From a dataset's settings to its records: what makes, verifies and lists each of them."""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from typing import Any, Generic, TypeVar, cast

from crossreid.console import notice
from crossreid.data.cache import available_cores
from crossreid.data.datasets.base import CameraCount, ReIDDataset, SplitCounts
from crossreid.data.datasets.division import DIVISION
from crossreid.data.datasets.folder import read_folder
from crossreid.data.datasets.folder_images import has_splits
from crossreid.data.datasets.lists import Complain, is_folder, read_text, refuse
from crossreid.data.datasets.llcm import LLCM_COUNTS, read_llcm
from crossreid.data.datasets.regdb import REGDB_COUNTS, read_regdb
from crossreid.data.datasets.sysu_mm01 import SYSU_MM01_COUNTS, read_sysu_mm01
from crossreid.data.records import Modality
from crossreid.data.synthetic import write_regdb_layout, write_sysu_layout
from crossreid.errors import ConfigError, DataError
from crossreid.settings.data import (
    DataConfig,
    FolderConfig,
    LLCMConfig,
    RegDBConfig,
    RegDBSplitConfig,
    SyntheticConfig,
    SyntheticRegDBConfig,
    SysuMM01Config,
)

DataConfigT = TypeVar("DataConfigT", bound=DataConfig)


class DataSource(ABC, Generic[DataConfigT]):
    """One dataset on disk, as its settings name it.

    Args:
        config: the settings.
    """

    def __init__(self, config: DataConfigT) -> None:
        self.config = config

    def read(self, *, progress: bool = False) -> ReIDDataset:
        """Verify the dataset on disk and list its records; a generated one is made first where it is not there.

        Says what was left out, and what was decided in reading.

        Raises:
            DataError: something is missing, too much or damaged.
        """
        self.prepare(progress=progress)
        dataset = self.list_records(self.expected(), refuse)
        for remark in dataset.remarks():
            notice(remark)
        return dataset

    def survey(self, *, progress: bool = False) -> tuple[ReIDDataset, list[str]]:
        """The dataset as far as it can be read, not verified, and what its reader complains of.

        Raises:
            DataError: nothing can be read.
        """
        self.prepare(progress=progress)
        complaints: list[str] = []
        return self.list_records(None, complaints.append), complaints

    def for_training(self) -> DataConfigT:
        """The settings with what a training decides where they leave it open."""
        return self.config

    def prepare(self, *, progress: bool) -> None:
        """Make a dataset that can be generated; nothing for one's own copy."""

    def expected(self) -> SplitCounts | None:
        """Identities and images per split and camera of a complete copy; None where that is not known."""
        return None

    @abstractmethod
    def list_records(self, counts: SplitCounts | None, complain: Complain) -> ReIDDataset:
        """List the images on disk.

        Args:
            counts: what a complete copy holds, to verify; None to take what is there.
            complain: is told of each thing that is wrong; it may raise.
        """


def open_source(config: DataConfig) -> DataSource[Any]:
    """What reads the dataset that these settings name.

    Raises:
        ConfigError: the settings do not say what reads them.
    """
    place, _, name = config.source.partition(":")
    if not name:
        raise ConfigError(f"The settings of {config.name} do not say what reads them (package.module:Class).")
    source_class = getattr(import_module(place), name)  # settings name it as text, since they import nothing of this
    source: DataSource[Any] = source_class(config)
    return source


class SyntheticSource(DataSource[SyntheticConfig]):
    """The embedded people in SYSU-MM01's layout."""

    def prepare(self, *, progress: bool) -> None:
        """Draw the people where they are not there."""
        write_sysu_layout(self.config.folder, self.config.people, workers=available_cores(), progress=progress)

    def expected(self) -> SplitCounts:
        """What the generator says it wrote."""
        return read_manifest(self.config.folder)

    def list_records(self, counts: SplitCounts | None, complain: Complain) -> ReIDDataset:
        """See :func:`read_sysu_mm01`."""
        return read_sysu_mm01(self.config.folder, counts, name=self.config.name, complain=complain)


class SysuMM01Source(DataSource[SysuMM01Config]):
    """SYSU-MM01."""

    def expected(self) -> SplitCounts | None:
        """The published numbers, unless the set is one's own."""
        if self.config.counts == "official":
            return SYSU_MM01_COUNTS
        return None

    def list_records(self, counts: SplitCounts | None, complain: Complain) -> ReIDDataset:
        """See :func:`read_sysu_mm01`."""
        return read_sysu_mm01(self.config.folder, counts, name=self.config.name, complain=complain)


class _RegDBSplitSource(DataSource[DataConfigT]):
    """One split of a set in RegDB's layout."""

    def list_records(self, counts: SplitCounts | None, complain: Complain) -> ReIDDataset:
        """See :func:`read_regdb`."""
        config: Any = self.config
        assert isinstance(config, RegDBSplitConfig)
        return read_regdb(config.folder, config.split, counts, name=config.name, complain=complain)


class SyntheticRegDBSource(_RegDBSplitSource[SyntheticRegDBConfig]):
    """The embedded people in RegDB's layout."""

    def prepare(self, *, progress: bool) -> None:
        """Draw the people where they are not there."""
        write_regdb_layout(self.config.folder, self.config.people, workers=available_cores(), progress=progress)

    def expected(self) -> SplitCounts:
        """Half of the people train and half test."""
        half = self.config.people.ids // 2
        each = CameraCount(half, half * self.config.people.frames)
        return {part: {1: each, 2: each} for part in ("train", "test")}


class RegDBSource(_RegDBSplitSource[RegDBConfig]):
    """RegDB."""

    def expected(self) -> SplitCounts | None:
        """The published numbers, unless the set is one's own."""
        if self.config.counts == "official":
            return REGDB_COUNTS
        return None


class LLCMSource(DataSource[LLCMConfig]):
    """LLCM."""

    def expected(self) -> SplitCounts | None:
        """The published numbers, unless the set is one's own."""
        if self.config.counts == "official":
            return LLCM_COUNTS
        return None

    def list_records(self, counts: SplitCounts | None, complain: Complain) -> ReIDDataset:
        """See :func:`read_llcm`."""
        return read_llcm(self.config.folder, counts, name=self.config.name, complain=complain)


class FolderSource(DataSource[FolderConfig]):
    """One's own images."""

    def for_training(self) -> FolderConfig:
        """Persons divided, where no folder says who is trained on."""
        config = self.config
        if config.divide is None and is_folder(config.folder) and not has_splits(config.folder):
            return replace(config, divide=list(DIVISION))
        return config

    def list_records(self, counts: SplitCounts | None, complain: Complain) -> ReIDDataset:
        """See :func:`read_folder`; how many images there are, nobody knows."""
        config = self.config
        modality = cast(Modality | None, config.modality)
        cameras = config.infrared_cameras
        return read_folder(
            config.folder,
            modality=modality,
            infrared_cameras=cameras,
            divide=config.divide,
            divide_seed=config.divide_seed,
            name=config.name,
            complain=complain,
        )


def read_manifest(root: Path) -> SplitCounts:
    """What the generator says it wrote.

    Raises:
        DataError: it says nothing.
    """
    path = root / "manifest.json"
    if not path.is_file():
        raise DataError(
            f"'{path}' is missing, so the set cannot be verified: remove '{root}' and let it be made again."
        )
    counts: dict[str, dict[int, CameraCount]] = {}
    try:
        manifest = json.loads(read_text(path, "manifest"))["counts"]
        for split, cameras in manifest.items():
            counts[split] = {}
            for camid, count in cameras.items():
                if count["images"]:
                    counts[split][int(camid)] = CameraCount(int(count["ids"]), int(count["images"]))
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise DataError(
            f"'{path}' is damaged, so the set cannot be verified: remove '{root}' and let it be made again."
        ) from error
    return counts
