"""Settings of ``crossreid.extract``."""

from __future__ import annotations

from dataclasses import dataclass

from crossreid.errors import ConfigError
from crossreid.settings.fields import REQUIRED, Settings, setting

ON_UNREADABLE = ("refuse", "skip")
TRACKS = ("keep", "average")


@dataclass
class GreyRangeConfig(Settings):
    """What commands have in common that take deep grey images of one's own."""

    grey_range: list[float] | None = setting(
        None,
        "values of deep grey images that become black and white; null: as in training",
        at_least=-(2**31),
        at_most=2**32 - 1,
        length=2,
        ascending=True,
    )

    def range_of_grey(self) -> tuple[float, float] | None:
        """``grey_range`` as a pair."""
        if self.grey_range is None:
            return None
        return self.grey_range[0], self.grey_range[1]


@dataclass
class EmbeddingConfig(GreyRangeConfig):
    """What commands that embed images of one's own have in common."""

    device: str = setting("auto", "where to compute: auto, cpu, gpu, cuda:1")
    batch_size: int = setting(64, "images that are embedded at once", at_least=1, ceiling=100_000)
    workers: int | None = setting(None, "processes that decode images; null: one a core", at_least=0, ceiling=1000)
    unreadable: str = setting(
        "refuse", "images that cannot be read: refuse, or leave them out and list them", choices=ON_UNREADABLE
    )
    progress: bool = setting(True, "show a progress bar with images per second")
    trust: bool = setting(False, "open exported programs of torch (.pt2), which may run what their maker put in")
    plugins: list[str] = setting([], "packages to import first, for methods of one's own", distinct=True)


@dataclass
class ExtractConfig(EmbeddingConfig):
    """Everything ``crossreid.extract`` is told."""

    checkpoint: str = setting(REQUIRED, "a run folder, or a .ckpt that training wrote")
    images: str = setting(
        REQUIRED, "a folder, a glob, an image, a list of files (.txt) or a manifest (.csv, .parquet with a column path)"
    )
    modality: str | None = setting(
        None,
        "of all images; auto: grey ones are infrared; null: a column modality or a folder visible or infrared says it",
        choices=("visible", "infrared", "auto"),
    )
    output: str = setting(REQUIRED, "what to write: an .npz (with a .json beside it) or a .parquet")
    tracks: str = setting("keep", "average: one embedding for each value of the column track", choices=TRACKS)
    shard: int = setting(
        4096,
        "images after which what is embedded is kept, so that the same command goes on",
        at_least=1,
        ceiling=100_000_000,
    )

    def check_together(self, place: str) -> None:
        """The output's ending is known."""
        if not self.output.endswith((".npz", ".parquet")):
            raise ConfigError(f"output is '{self.output}': end it in .npz or .parquet.")
