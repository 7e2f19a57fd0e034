"""Settings of the datasets: what a person may choose, whether it can be, and the dataset that it names."""

from __future__ import annotations

import json
from abc import abstractmethod
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, cast

from crossreid.config import check_choice, typed
from crossreid.data.cache import available_cores
from crossreid.data.datasets import (
    LLCM_COUNTS,
    REGDB_COUNTS,
    REGDB_SPLITS,
    SYSU_MM01_COUNTS,
    CameraCount,
    Complain,
    ReIDDataset,
    SplitCounts,
    read_folder,
    read_llcm,
    read_regdb,
    read_sysu_mm01,
    refuse,
)
from crossreid.data.records import MODALITIES, Modality
from crossreid.data.synthetic import RegDBPeople, SyntheticPeople, write_regdb_layout, write_sysu_layout
from crossreid.errors import ConfigError, DataError

TRAINED = "trained"
"""Of ``evaluate``: the dataset that the checkpoint was trained on."""


@dataclass
class DataConfig:
    """What all datasets have.

    Attributes:
        name: the dataset.
        root: its folder.
        cache: where decoded images are kept.
        evaluation_batch: images in an evaluation batch.
    """

    name: str = ""
    root: str = ""
    cache: str = ""
    evaluation_batch: int = 64

    @property
    def folder(self) -> Path:
        """The dataset's folder."""
        return Path(self.root)

    @property
    def split_number(self) -> int | None:
        """Which of the dataset's own splits into training and test this is; None where there is one only."""
        return None

    def check(self) -> None:
        """Raise :class:`ConfigError` in one sentence for impossible settings."""
        if self.evaluation_batch < 1:
            raise ConfigError("data.evaluation_batch is 1 or more.")

    def read(self, *, progress: bool) -> ReIDDataset:
        """Verify the dataset on disk and list its records; a generated one is made first where it is not there.

        Raises:
            DataError: something is missing, too much or damaged.
        """
        self.prepare(progress=progress)
        return self.list_records(self.expected(), refuse)

    def survey(self, *, progress: bool) -> tuple[ReIDDataset, list[str]]:
        """The dataset as far as it can be read, not verified, and what its reader complains of.

        Raises:
            DataError: nothing can be read.
        """
        self.prepare(progress=progress)
        complaints: list[str] = []
        return self.list_records(None, complaints.append), complaints

    def prepare(self, *, progress: bool) -> None:
        """Make a dataset that can be generated; nothing for one's own copy."""

    @abstractmethod
    def expected(self) -> SplitCounts | None:
        """Identities and images per split and camera of a complete copy; None where that is not known."""

    @abstractmethod
    def list_records(self, counts: SplitCounts | None, complain: Complain) -> ReIDDataset:
        """Call the dataset's reader."""


@dataclass
class SysuLayout(DataConfig):
    """Datasets in the layout of SYSU-MM01."""

    def list_records(self, counts: SplitCounts | None, complain: Complain) -> ReIDDataset:
        """See :func:`~crossreid.data.datasets.read_sysu_mm01`."""
        return read_sysu_mm01(self.folder, counts, name=self.name, complain=complain)


@dataclass
class RegDBLayout(DataConfig):
    """Datasets in the layout of RegDB.

    Attributes:
        split: which of the ten splits into training and test, 1 to 10.
    """

    split: int = 1

    @property
    def split_number(self) -> int:
        """The split."""
        return self.split

    def check(self) -> None:
        """Raise :class:`ConfigError` in one sentence for impossible settings."""
        super().check()
        if self.split not in REGDB_SPLITS:
            raise ConfigError(f"data.split is {self.split}: RegDB has the splits 1 to 10.")

    def list_records(self, counts: SplitCounts | None, complain: Complain) -> ReIDDataset:
        """See :func:`~crossreid.data.datasets.read_regdb`."""
        return read_regdb(self.folder, self.split, counts, name=self.name, complain=complain)


@dataclass
class SyntheticConfig(SysuLayout):
    """The embedded people.

    Attributes:
        people: fields of :class:`~crossreid.data.synthetic.SyntheticPeople`.
    """

    people: dict[str, int] = field(default_factory=dict)

    def check(self) -> None:
        """Raise :class:`ConfigError` in one sentence for impossible settings."""
        super().check()
        SyntheticPeople(**self.people)

    def prepare(self, *, progress: bool) -> None:
        """Draw the people where they are not there."""
        write_sysu_layout(self.folder, SyntheticPeople(**self.people), workers=available_cores(), progress=progress)

    def expected(self) -> SplitCounts:
        """What the generator says it wrote."""
        return read_manifest(self.folder)


@dataclass
class SyntheticRegDBConfig(RegDBLayout):
    """Embedded people seen by a visible and a thermal camera at once.

    Attributes:
        people: fields of :class:`~crossreid.data.synthetic.RegDBPeople`.
    """

    people: dict[str, int] = field(default_factory=dict)

    def check(self) -> None:
        """Raise :class:`ConfigError` in one sentence for impossible settings."""
        super().check()
        RegDBPeople(**self.people)

    def prepare(self, *, progress: bool) -> None:
        """Draw the people where they are not there."""
        write_regdb_layout(self.folder, RegDBPeople(**self.people), workers=available_cores(), progress=progress)

    def expected(self) -> SplitCounts:
        """Half of the people train and half test."""
        people = RegDBPeople(**self.people)
        each = CameraCount(people.ids // 2, people.ids // 2 * people.frames)
        return {part: {1: each, 2: each} for part in ("train", "test")}


@dataclass
class CountedConfig(DataConfig):
    """A dataset of which the numbers of a complete copy are published.

    Attributes:
        counts: ``official`` verifies the published numbers, ``any`` takes a set of one's own in this layout.
    """

    OFFICIAL: ClassVar[SplitCounts]

    counts: str = "official"

    def check(self) -> None:
        """Raise :class:`ConfigError` in one sentence for impossible settings."""
        super().check()
        check_choice("data.counts", self.counts, ("official", "any"))

    def expected(self) -> SplitCounts | None:
        """The published numbers, unless the set is one's own."""
        return self.OFFICIAL if self.counts == "official" else None


@dataclass
class SysuMM01Config(CountedConfig, SysuLayout):
    """SYSU-MM01."""

    OFFICIAL = SYSU_MM01_COUNTS


@dataclass
class RegDBConfig(CountedConfig, RegDBLayout):
    """RegDB."""

    OFFICIAL = REGDB_COUNTS


@dataclass
class LLCMConfig(CountedConfig):
    """LLCM."""

    OFFICIAL = LLCM_COUNTS

    def list_records(self, counts: SplitCounts | None, complain: Complain) -> ReIDDataset:
        """See :func:`~crossreid.data.datasets.read_llcm`."""
        return read_llcm(self.folder, counts, name=self.name, complain=complain)


@dataclass
class FolderConfig(DataConfig):
    """One's own images, see :mod:`crossreid.data.datasets.folder`.

    Attributes:
        modality: ``visible`` or ``infrared`` for all images, where no folder says it.
        infrared_cameras: the cameras that are infrared, where no folder says it.
    """

    modality: str | None = None
    infrared_cameras: list[int] | None = None

    def check(self) -> None:
        """Raise :class:`ConfigError` in one sentence for impossible settings."""
        super().check()
        if self.modality is not None:
            check_choice("data.modality", self.modality, MODALITIES)

    def expected(self) -> None:
        """Nobody knows."""

    def list_records(self, counts: SplitCounts | None, complain: Complain) -> ReIDDataset:
        """See :func:`~crossreid.data.datasets.read_folder`."""
        modality = cast(Modality | None, self.modality)
        return read_folder(
            self.folder, modality=modality, infrared_cameras=self.infrared_cameras, name=self.name, complain=complain
        )


DATASETS: dict[str, type[DataConfig]] = {
    "synthetic": SyntheticConfig,
    "synthetic_regdb": SyntheticRegDBConfig,
    "sysu_mm01": SysuMM01Config,
    "regdb": RegDBConfig,
    "llcm": LLCMConfig,
    "folder": FolderConfig,
}
"""Name -> settings."""


def data_config(plain: dict[str, Any]) -> DataConfig:
    """The data part of a composed config as its typed settings, checked.

    Raises:
        ConfigError: the name or a key is unknown, or settings cannot be.
    """
    name = str(plain.get("name"))
    check_choice("data.name", name, tuple(DATASETS))
    settings = typed(DATASETS[name], plain)
    settings.check()
    return settings


def read_manifest(root: Path) -> SplitCounts:
    """What the generator says it wrote."""
    path = root / "manifest.json"
    if not path.is_file():
        raise DataError(
            f"'{path}' is missing, so the set cannot be verified: remove '{root}' and let it be made again."
        )
    manifest = json.loads(path.read_text(encoding="utf-8"))["counts"]
    return {
        split: {int(camid): CameraCount(c["ids"], c["images"]) for camid, c in cameras.items() if c["images"]}
        for split, cameras in manifest.items()
    }
