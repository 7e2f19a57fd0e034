"""Settings of training batches: which streams there are, and how their images are changed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from crossreid.errors import ConfigError
from crossreid.settings.fields import REQUIRED, Settings, setting


@dataclass
class StreamConfig(Settings):
    """One named stream of a training batch: P identities with K visible and K infrared images each."""

    identities: int = setting(REQUIRED, "P, identities in a batch of one process", at_least=2, ceiling=10_000)
    images: int = setting(REQUIRED, "K, images of each identity and modality", at_least=1, ceiling=10_000)
    height: int = setting(REQUIRED, "image height", unit="pixels", at_least=1, ceiling=4096)
    width: int = setting(REQUIRED, "image width", unit="pixels", at_least=1, ceiling=4096)

    @property
    def size(self) -> tuple[int, int]:
        """Height and width in pixels."""
        return self.height, self.width


def streams(**shapes: tuple[int, int, int, int]) -> Any:
    """The setting ``streams`` of a method: name -> (identities, images, height, width)."""
    by_name: dict[str, StreamConfig] = {}
    for name, (identities, images, height, width) in shapes.items():
        by_name[name] = StreamConfig(identities, images, height, width)
    return setting(by_name, "streams of a training batch, by name")


@dataclass
class ErasingConfig(Settings):
    """Random erasing of training images (Zhong et al., AAAI 2020)."""

    probability: float = setting(0.5, "probability of erasing a part of an image", at_least=0, at_most=1)
    area: list[float] = setting(
        [0.02, 0.4], "smallest and largest share of the image that is erased", length=2, above=0, at_most=1
    )
    ratio: list[float] = setting(
        [0.3, 3.3], "smallest and largest height / width of what is erased", length=2, above=0, ceiling=100
    )

    def check_together(self, place: str) -> None:
        """The smallest comes first."""
        for key, (smallest, largest) in (("area", self.area), ("ratio", self.ratio)):
            if smallest > largest:
                raise ConfigError(f"{place}.{key} is [smallest, largest], not [{smallest}, {largest}].")
