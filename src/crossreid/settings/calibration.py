"""Settings of ``crossreid.calibrate``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from crossreid.errors import ConfigError
from crossreid.settings.extraction import GreyRangeConfig
from crossreid.settings.fields import LARGEST_SEED, REQUIRED, Settings, setting
from crossreid.settings.run import TrainerConfig

MODALITY_PAIRS = ("visible-visible", "visible-infrared", "infrared-infrared")
CURVES = ("logistic", "isotonic")
SPLITS = ("calibration", "val", "test")


@dataclass
class CalibrationSettings(Settings):
    """What is learned from pairs of images."""

    rates: list[float] | None = setting(
        None,
        "of false matches, such as [0.01,0.001]; null: 0.1, 0.01, 0.001 and 0.0001 as far as 30 pairs of two persons match at "
        "each",
        above=0,
        at_most=0.5,
        filled=True,
        distinct=True,
    )
    between: list[str] | None = setting(
        None,
        "modalities that are compared; null: all that are there",
        choices=MODALITY_PAIRS,
        filled=True,
        distinct=True,
    )
    same_camera: bool = setting(False, "count pairs of two images of one camera too, whose background is the same")
    probability: str = setting("logistic", "curve from similarity to probability", choices=CURVES)
    prior: float = setting(
        0.5, "probability that two images show one person before one looks at them", above=0, below=1
    )
    bootstrap: int = setting(1000, "resamples of persons for the 95 % intervals", at_least=100, ceiling=100_000)
    seed: int = setting(0, "of the resamples and draws", at_least=0, ceiling=LARGEST_SEED)
    most_images: int = setting(
        6000, "images that are compared with each other; more are drawn from", at_least=10, ceiling=20_000
    )


@dataclass
class CalibrateConfig(CalibrationSettings, GreyRangeConfig):
    """Everything ``crossreid.calibrate`` is told."""

    checkpoint: str | None = setting(None, "a run folder, or a .ckpt that training wrote")
    embeddings: str | None = setting(
        None, "what crossreid.extract wrote of images with a column person, in the place of a checkpoint"
    )
    images: str | None = setting(None, "with checkpoint: a manifest (.csv, .parquet) with a column person")
    pairs: str | None = setting(
        None, "with checkpoint: a CSV with the columns first, second (image files) and same (yes or no)"
    )
    modality: str | None = setting(
        None,
        "of images and pairs; auto: grey ones are infrared; null: a column modality or a folder visible or infrared says it",
        choices=("visible", "infrared", "auto"),
    )
    split: str | None = setting(
        None,
        "which persons of the dataset; null: its calibration persons, else validation persons that were not trained on; test "
        "persons must be asked for, since scores on them are no honest estimate any more",
        choices=SPLITS,
    )
    gallery: str | None = setting(None, "a gallery that keeps the calibration too")
    output: str | None = setting(None, "the JSON to write; null: calibration.json in the run, or beside what was given")
    figure: bool = setting(True, "draw PNGs beside the JSON")
    people: Any = setting(None, "sizes of the embedded sets, chosen by people=NAME")
    plugins: list[str] = setting([], "packages to import first, for methods and datasets of one's own", distinct=True)
    data: Any = setting(REQUIRED, "the dataset; trained: the one of training")
    protocol: Any = setting(REQUIRED, "of the dataset; auto: as in training")
    trainer: TrainerConfig = setting(TrainerConfig(), "where it runs")

    def check_together(self, place: str) -> None:
        """There is one kind of persons."""
        if (self.checkpoint is None) == (self.embeddings is None):
            raise ConfigError("Name what to calibrate: either checkpoint=RUN or embeddings=FILE.")
        if self.embeddings is not None and (self.images is not None or self.pairs is not None):
            raise ConfigError("images and pairs are embedded by a checkpoint: name it in the place of embeddings.")
        if self.embeddings is not None and self.grey_range is not None:
            raise ConfigError("grey_range is of images that are embedded: leave it out with embeddings.")
        if self.images is not None and self.pairs is not None:
            raise ConfigError("Calibrate on images or on pairs: leave one of them out.")
        if self.pairs is not None and (self.same_camera or self.most_images != CalibrationSettings.most_images):
            raise ConfigError(
                "same_camera and most_images say which images are paired: leave them out with pairs, which are listed."
            )
        if self.modality is not None and self.images is None and self.pairs is None:
            raise ConfigError("modality is of images and pairs, and all others have theirs already: leave it out.")
        listed = self.embeddings is not None or self.images is not None or self.pairs is not None
        if listed and self.split is not None:
            raise ConfigError("split chooses persons of a dataset: leave it out with embeddings, images or pairs.")
        if self.output is not None and not self.output.endswith(".json"):
            raise ConfigError(f"output is '{self.output}': end it in .json.")
