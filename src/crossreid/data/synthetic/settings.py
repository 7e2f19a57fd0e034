"""Settings of the synthetic people: together with ``VERSION`` they determine every byte on disk."""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields
from typing import ClassVar

from crossreid.errors import ConfigError


@dataclass(frozen=True)
class SyntheticPeople:
    """How many people to draw, how often, how large, and from which seed.

    Attributes:
        train_ids, val_ids, test_ids: number of identities of each split.
        frames: images per person and camera in which the person appears, 1..255 (permutations are uint8).
        height, width: size of each image in pixels.
        seed: any integer from 0; other seeds give other people.

    Raises:
        ConfigError: a number out of range.
    """

    train_ids: int = 96
    val_ids: int = 16
    test_ids: int = 48
    frames: int = 10
    height: int = 128
    width: int = 64
    seed: int = 0
    VERSION: ClassVar[int] = 3  # raised with every change of the pictures

    def __post_init__(self) -> None:
        lowest = {"train_ids": 1, "val_ids": 0, "test_ids": 1, "frames": 1, "height": 32, "width": 16, "seed": 0}
        for field in fields(self):
            value = getattr(self, field.name)
            if value < lowest[field.name]:
                raise ConfigError(
                    f"{field.name} of the synthetic people must be at least {lowest[field.name]}, not {value}."
                )
        if self.frames > 255:
            raise ConfigError(f"frames of the synthetic people must be at most 255, not {self.frames}.")
        if self.ids > 9999:
            raise ConfigError(f"The SYSU-MM01 layout numbers at most 9999 identities, not {self.ids}.")

    @property
    def ids(self) -> int:
        """Number of identities of all splits."""
        return self.train_ids + self.val_ids + self.test_ids

    def as_dict(self) -> dict[str, int]:
        """The settings as plain numbers, for the manifest."""
        return asdict(self)
