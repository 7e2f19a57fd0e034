"""Settings of HOG."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from crossreid.errors import ConfigError
from crossreid.settings.batches import StreamConfig, streams
from crossreid.settings.fields import setting
from crossreid.settings.method import MethodConfig


@dataclass
class HOGConfig(MethodConfig):
    """Settings of HOG (Dalal and Triggs, CVPR 2005); there are no phases, since there is nothing to train.

    Of the stream only the image size plays a part.
    """

    name: ClassVar[str] = "hog"
    module: ClassVar[str] = "crossreid.methods.hog.module:HOG"
    trains: ClassVar[bool] = False
    recomputable: ClassVar[tuple[str, ...]] = ()
    settled: ClassVar[dict[str, str]] = {
        "preset=official": "there is one HOG, that of Dalal and Triggs",
        "scale=small": "nothing is trained, so it is as in the full setting",
        "scale=medium": "nothing is trained, so it is as in the full setting",
    }

    streams: dict[str, StreamConfig] = streams(identity=(2, 1, 128, 64))
    iterations_per_epoch: int | None = setting(1, "plays no part: nothing is trained", at_least=1, ceiling=1_000_000)
    flip: float = setting(0.0, "stays 0: nothing is trained", at_least=0, at_most=1)
    cell: int = setting(8, "a cell's side", unit="pixels", at_least=1, ceiling=4096)
    block: int = setting(2, "a block's side", unit="cells", at_least=1, ceiling=100)
    bins: int = setting(9, "directions over half a turn", at_least=1, ceiling=360)

    def check_together(self, place: str) -> None:
        """Nothing asks for training, and an image has a block."""
        super().check_together(place)
        if self.flip or self.channel_exchange or self.clip_norm:
            raise ConfigError(
                f"HOG trains on nothing: leave {place}.flip, {place}.channel_exchange and {place}.clip_norm at 0."
            )
        stream = self.streams["identity"]
        if min(stream.height, stream.width) < self.cell * self.block:
            raise ConfigError(
                f"HOG needs images of at least one block, {self.block} x {self.block} cells of {self.cell} pixels, not "
                f"{stream.height}x{stream.width}."
            )
