"""Settings of the datasets: what a person may choose, whether it can be, and the dataset that it names."""

from __future__ import annotations

import json
from abc import abstractmethod
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from crossreid.config import check_choice, typed
from crossreid.data.cache import available_cores
from crossreid.data.datasets import SYSU_MM01_COUNTS, CameraCount, ReIDDataset, read_sysu_mm01
from crossreid.data.datasets.base import SplitCounts
from crossreid.data.synthetic import SyntheticPeople, write_sysu_layout
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

    @abstractmethod
    def read(self, *, progress: bool) -> ReIDDataset:
        """Verify the dataset on disk and list its records; a generated one is made first where it is not there.

        Raises:
            DataError: something is missing, too much or damaged.
        """


@dataclass
class SyntheticConfig(DataConfig):
    """The embedded people, in the layout of SYSU-MM01.

    Attributes:
        people: fields of :class:`~crossreid.data.synthetic.SyntheticPeople`.
    """

    people: dict[str, int] = field(default_factory=dict)

    @property
    def generator(self) -> SyntheticPeople:
        """The generator's settings."""
        return SyntheticPeople(**self.people)

    def check(self) -> None:
        """Raise :class:`ConfigError` in one sentence for impossible settings."""
        super().check()
        _ = self.generator

    def read(self, *, progress: bool) -> ReIDDataset:
        """Generated where it is not there, and verified against what the generator says it wrote."""
        write_sysu_layout(self.folder, self.generator, workers=available_cores(), progress=progress)
        return read_sysu_mm01(self.folder, read_manifest(self.folder), name=self.name)


@dataclass
class CountedConfig(DataConfig):
    """A dataset of which the numbers of a complete copy are known.

    Attributes:
        counts: ``official`` verifies the published numbers, ``any`` takes a set of one's own in this layout.
    """

    counts: str = "official"

    def check(self) -> None:
        """Raise :class:`ConfigError` in one sentence for impossible settings."""
        super().check()
        check_choice("data.counts", self.counts, ("official", "any"))

    def expected(self, official: SplitCounts) -> SplitCounts | None:
        """What a reader is to verify."""
        return official if self.counts == "official" else None


@dataclass
class SysuMM01Config(CountedConfig):
    """SYSU-MM01."""

    def read(self, *, progress: bool) -> ReIDDataset:
        """See :func:`~crossreid.data.datasets.read_sysu_mm01`."""
        return read_sysu_mm01(self.folder, self.expected(SYSU_MM01_COUNTS), name=self.name)


DATASETS: dict[str, type[DataConfig]] = {"synthetic": SyntheticConfig, "sysu_mm01": SysuMM01Config}
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
