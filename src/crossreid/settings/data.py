"""Settings of the datasets; :mod:`crossreid.data.datasets.sources` reads what they name."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from crossreid.errors import ConfigError
from crossreid.settings.fields import LARGEST_SEED, REQUIRED, Settings, setting

SOURCES = "crossreid.data.datasets.sources"


@dataclass
class DecodingConfig(Settings):
    """How image files come to RGB in [0, 1]; :mod:`crossreid.data.decoding` says what is done with which kind of file."""

    stretch: str = setting(
        "depth",
        "of grey images deeper than 8 bits, what becomes 0 and 1: the ends of the file's depth, a fixed range, "
        "percentiles of the training images, or percentiles of each image",
        choices=("depth", "range", "percentiles", "per_image"),
    )
    range: list[float] | None = setting(
        None,
        "with stretch=range, the file's values that become 0 and 1, such as [7000,9000]",
        at_least=-(2**31),
        at_most=2**32 - 1,
        length=2,
        ascending=True,
    )
    percentiles: list[float] = setting(
        [0.5, 99.5],
        "with stretch=percentiles or per_image, those that become 0 and 1",
        at_least=0,
        at_most=100,
        length=2,
        ascending=True,
    )
    background: list[int] = setting(
        [255, 255, 255], "colour that transparent images are laid on", at_least=0, at_most=255, length=3
    )
    resize: str = setting(
        "bicubic",
        "filter that images are brought to their size with; the code of AGW, DDAG, LbA and DEEN has lanczos",
        choices=("bicubic", "lanczos"),
    )
    unreadable: str = setting(
        "refuse",
        "what is done about an image that cannot be read: refuse the dataset, or leave the image out and say so",
        choices=("refuse", "skip"),
    )

    def check_together(self, place: str) -> None:
        """A range belongs to stretch=range."""
        if (self.stretch == "range") != (self.range is not None):
            raise ConfigError(
                f"{place}.stretch=range and {place}.range=[low,high] belong together: say both, or neither."
            )


@dataclass
class DataConfig(Settings):
    """What all datasets have.

    Class attributes that a dataset's settings give:
        name: the dataset's registered name, such as ``regdb``.
        source: import path of what reads it, a :class:`~crossreid.data.datasets.sources.DataSource`.
        protocol: name of the protocol that it is scored by where nothing else is said.
        embedded: drawn by this package, so that everything about it is cheap.
    """

    name: ClassVar[str] = ""
    source: ClassVar[str] = ""
    protocol: ClassVar[str] = "all_pairs"
    embedded: ClassVar[bool] = False

    root: str = setting(REQUIRED, "the dataset's folder")
    cache: str = setting("datasets/cache", "folder of decoded images")
    evaluation_batch: int = setting(64, "images in an evaluation batch", at_least=1, ceiling=100_000)
    threads: int = setting(
        1, "that gather the next batches in the background, 0 for none; batches are the same", at_least=0, ceiling=1000
    )
    decoding: DecodingConfig = setting(DecodingConfig(), "how files become pixels")

    @property
    def folder(self) -> Path:
        """The dataset's folder."""
        return home_filled_in(self.root)

    @property
    def cache_folder(self) -> Path:
        """Folder of decoded images."""
        return home_filled_in(self.cache)

    @property
    def split_number(self) -> int | None:
        """Which of the dataset's own splits into training and test this is; None where there is one only."""
        return None

    def check(self, place: str = "data") -> None:
        """As :meth:`Settings.check`, at ``data``."""
        super().check(place)


@dataclass
class SyntheticPeople(Settings):
    """How many people to draw in SYSU-MM01's layout, how often, how large, and from which seed.

    Together with ``VERSION`` these determine every byte on disk. The default sizes are those of SYSU-MM01.

    Raises:
        ConfigError: a number is out of range.
    """

    VERSION: ClassVar[int] = 3  # raised with every change of the pictures

    train_ids: int = setting(296, "persons to train on", at_least=1, ceiling=100_000)
    val_ids: int = setting(
        99, "persons to select on, seen by cameras 3, 4 and 5 only, as in SYSU-MM01", at_least=0, ceiling=100_000
    )
    test_ids: int = setting(96, "persons to test on", at_least=1, ceiling=100_000)
    frames: int = setting(10, "images a person and camera", at_least=1, at_most=255)
    height: int = setting(128, "image height", unit="pixels", at_least=32, ceiling=4096)
    width: int = setting(64, "image width", unit="pixels", at_least=16, ceiling=4096)
    seed: int = setting(0, "of the people, not of the run", at_least=0, ceiling=LARGEST_SEED)

    def __post_init__(self) -> None:
        self.check("data.people")

    def check_together(self, place: str) -> None:
        """The layout has four digits for a person."""
        if self.ids > 9999:
            raise ConfigError(f"The SYSU-MM01 layout numbers at most 9999 identities, not {self.ids}.")

    @property
    def ids(self) -> int:
        """Number of identities of all splits."""
        return self.train_ids + self.val_ids + self.test_ids

    def as_dict(self) -> dict[str, Any]:
        """The settings as plain numbers, for the manifest."""
        return self.plain()


@dataclass
class RegDBPeople(Settings):
    """How many people to draw in RegDB's layout, how often, how large, and from which seed.

    The same seed draws other people than that of :class:`SyntheticPeople`. The default sizes are those of RegDB.

    Raises:
        ConfigError: a number is out of range.
    """

    VERSION: ClassVar[int] = SyntheticPeople.VERSION

    ids: int = setting(
        412,
        "persons, half of them to train and half to test on, other halves in each split",
        at_least=2,
        ceiling=100_000,
    )
    frames: int = setting(10, "pairs of images a person", at_least=1, ceiling=10_000)
    height: int = setting(128, "image height", unit="pixels", at_least=32, ceiling=4096)
    width: int = setting(64, "image width", unit="pixels", at_least=16, ceiling=4096)
    seed: int = setting(0, "of the people, not of the run", at_least=0, ceiling=LARGEST_SEED)

    def __post_init__(self) -> None:
        self.check("data.people")

    def check_together(self, place: str) -> None:
        """Half of them train."""
        if self.ids % 2:
            raise ConfigError(f"{place}.ids must be even, since half of them train, not {self.ids}.")


@dataclass
class SyntheticConfig(DataConfig):
    """The embedded set: clothed, walking people, drawn on first use in the SYSU-MM01 layout."""

    name: ClassVar[str] = "synthetic"
    source: ClassVar[str] = f"{SOURCES}:SyntheticSource"
    protocol: ClassVar[str] = "sysu_mm01"
    embedded: ClassVar[bool] = True

    root: str | None = setting(  # type: ignore[assignment]
        None, "the dataset's folder, made where it is not there; null: one by the people's settings below datasets/"
    )
    people: SyntheticPeople = setting(SyntheticPeople(), "the generator's settings; other ones need another folder")

    @property
    def folder(self) -> Path:
        """The dataset's folder."""
        if self.root:
            return home_filled_in(self.root)
        return _drawn_folder(self.name, self.people)


@dataclass
class RegDBSplitConfig(DataConfig):
    """Datasets in the layout of RegDB."""

    protocol: ClassVar[str] = "regdb"

    split: int = setting(1, "which of the ten splits into training and test", at_least=1, at_most=10)

    @property
    def split_number(self) -> int:
        """The split."""
        return self.split


@dataclass
class SyntheticRegDBConfig(RegDBSplitConfig):
    """Embedded people seen by a visible and a thermal camera at once, drawn on first use in the layout of RegDB."""

    name: ClassVar[str] = "synthetic_regdb"
    source: ClassVar[str] = f"{SOURCES}:SyntheticRegDBSource"
    embedded: ClassVar[bool] = True

    root: str | None = setting(  # type: ignore[assignment]
        None, "the dataset's folder, made where it is not there; null: one by the people's settings below datasets/"
    )
    people: RegDBPeople = setting(RegDBPeople(), "the generator's settings; other ones need another folder")

    @property
    def folder(self) -> Path:
        """The dataset's folder."""
        if self.root:
            return home_filled_in(self.root)
        return _drawn_folder(self.name, self.people)


def _counts() -> Any:
    return setting(
        "official",
        "verify the published counts, or take any set of one's own in this layout",
        choices=("official", "any"),
    )


@dataclass
class SysuMM01Config(DataConfig):
    """SYSU-MM01 (Wu et al., ICCV 2017): one's own copy, after the authors' agreement."""

    name: ClassVar[str] = "sysu_mm01"
    source: ClassVar[str] = f"{SOURCES}:SysuMM01Source"
    protocol: ClassVar[str] = "sysu_mm01"

    root: str = setting(REQUIRED, "the folder that holds cam1..cam6 and exp")
    counts: str = _counts()


@dataclass
class RegDBConfig(RegDBSplitConfig):
    """RegDB (Nguyen et al., Sensors 2017): one's own copy, after the authors' agreement; one of its ten splits."""

    name: ClassVar[str] = "regdb"
    source: ClassVar[str] = f"{SOURCES}:RegDBSource"

    root: str = setting(REQUIRED, "the folder that holds Visible, Thermal and idx")
    counts: str = _counts()


@dataclass
class LLCMConfig(DataConfig):
    """LLCM (Zhang and Wang, CVPR 2023): one's own copy, after the authors' agreement."""

    name: ClassVar[str] = "llcm"
    source: ClassVar[str] = f"{SOURCES}:LLCMSource"
    protocol: ClassVar[str] = "llcm"

    root: str = setting(REQUIRED, "the folder that holds vis, nir, test_vis, test_nir and idx")
    counts: str = _counts()


@dataclass
class FolderConfig(DataConfig):
    """One's own images: a folder a person, or names as in Market-1501, in folders of splits and modalities."""

    name: ClassVar[str] = "folder"
    source: ClassVar[str] = f"{SOURCES}:FolderSource"

    root: str = setting(
        REQUIRED,
        "the folder of [train|val|test|query|gallery]/[visible|infrared]/PERSON/c1_0001.jpg or 0002_c1s1_1.jpg",
    )
    modality: str | None = setting(None, "of all images, where no folder says it", choices=("visible", "infrared"))
    infrared_cameras: list[int] | None = setting(
        None,
        "the cameras that are infrared, where no folder says it, such as [3,6]",
        at_least=1,
        at_most=9999,
        filled=True,
        distinct=True,
    )
    divide: list[float] | None = setting(
        None,
        "shares of the persons for training, calibration and test, such as [0.6,0.2,0.2], where no folder says it; null: a "
        "training takes these, and elsewhere all are for the test",
        at_least=0,
        at_most=1,
        length=3,
    )
    divide_seed: int = setting(0, "of the division", at_least=0, ceiling=LARGEST_SEED)

    def check_together(self, place: str) -> None:
        """Shares are shares of all, and somebody is trained on and tested on."""
        if self.divide is None:
            return
        train, _, test = self.divide
        if abs(sum(self.divide) - 1) > 1e-6 or not train or not test:
            raise ConfigError(
                f"{place}.divide is {self.divide}: give three shares that sum to 1, of training, calibration and test; the "
                "first and the last above 0."
            )


@dataclass
class TrainedDataConfig(Settings):
    """The dataset that a checkpoint was trained on, and where it lies now."""

    name: ClassVar[str] = "trained"

    root: str | None = setting(None, "where the dataset lies now; null: where it lay in training")
    cache: str | None = setting(None, "where decoded images are kept now; null: where they were in training")


@dataclass
class PairSizes(Settings):
    """Sizes of the embedded set in RegDB's layout."""

    ids: int = setting(REQUIRED, "persons", at_least=2, ceiling=100_000)
    frames: int = setting(REQUIRED, "pairs of images a person", at_least=1, ceiling=10_000)


@dataclass
class PeopleSizes(Settings):
    """Sizes of the embedded sets, by name: ``people=small``."""

    name: str = setting(REQUIRED, "of the sizes, in the folder's name")
    train_ids: int = setting(REQUIRED, "persons to train on", at_least=1, ceiling=100_000)
    val_ids: int = setting(REQUIRED, "persons to select on", at_least=0, ceiling=100_000)
    test_ids: int = setting(REQUIRED, "persons to test on", at_least=1, ceiling=100_000)
    frames: int = setting(REQUIRED, "images a person and camera", at_least=1, ceiling=10_000)
    pairs: PairSizes = setting(PairSizes(), "of data=synthetic_regdb")


BUILT_IN_DATASETS: dict[str, type[DataConfig]] = {
    schema.name: schema
    for schema in (SyntheticConfig, SyntheticRegDBConfig, SysuMM01Config, RegDBConfig, LLCMConfig, FolderConfig)
}
"""Name -> settings of the datasets of this package."""

NOT_PART_OF_DATA = ("root", "cache", "evaluation_batch", "threads")
"""Settings that say where a dataset lies, not what is in it."""


def home_filled_in(place: str) -> Path:
    """A path whose ``~`` at the start stands for a user's home; it stays where there is no such user."""
    try:
        return Path(place).expanduser()
    except RuntimeError:
        return Path(place)


def _drawn_folder(name: str, people: SyntheticPeople | RegDBPeople) -> Path:
    """A folder of its own for each choice of people."""
    told = json.dumps(people.plain(), sort_keys=True)
    return Path("datasets") / f"{name.replace('_', '-')}-{hashlib.sha256(told.encode()).hexdigest()[:8]}"
