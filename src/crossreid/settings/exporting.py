"""Settings of ``crossreid.export``."""

from __future__ import annotations

from dataclasses import dataclass

from crossreid.errors import ConfigError
from crossreid.settings.extraction import GreyRangeConfig
from crossreid.settings.fields import REQUIRED, setting

FORMATS = ("onnx", "torch")
PRECISIONS = ("float32", "int8")


@dataclass
class ExportConfig(GreyRangeConfig):
    """Everything ``crossreid.export`` is told."""

    checkpoint: str = setting(REQUIRED, "a run folder, or a .ckpt that training wrote")
    output: str = setting(REQUIRED, "the folder to write: the programs, and model.json that says all of them")
    format: str = setting("onnx", "onnx, or torch for programs of torch.export (.pt2)", choices=FORMATS)
    precision: str = setting(
        "float32", "float32, or int8: weights and activations in 8 bits (ONNX alone)", choices=PRECISIONS
    )
    dimensions: int | None = setting(
        None, "numbers of an embedding, by its principal axes; null: all of the model's", at_least=2, ceiling=65_536
    )
    images: str | None = setting(
        None, "one's own images, as crossreid.extract takes them, that int8 and dimensions are fitted and measured on"
    )
    modality: str | None = setting(
        None,
        "of images=; auto: grey ones are infrared; null: a column modality or a folder visible or infrared says it",
        choices=("visible", "infrared", "auto"),
    )
    plugins: list[str] = setting([], "packages to import first, for methods of one's own", distinct=True)

    def check_together(self, place: str) -> None:
        """What makes a model smaller has images to be fitted on, and images have something to fit."""
        check_smaller(self.format, self.precision, self.dimensions, self.images)
        if self.modality is not None and self.images is None:
            raise ConfigError("modality goes with images=.")


def check_smaller(format: str, precision: str, dimensions: int | None, images: str | None) -> None:
    """Raise :class:`ConfigError` where a smaller export cannot be."""
    smaller = precision == "int8" or dimensions is not None
    if precision == "int8" and format != "onnx":
        raise ConfigError("precision=int8 is of ONNX: take format=onnx.")
    if smaller and images is None:
        raise ConfigError(
            "precision=int8 and dimensions= are fitted on images, and their cost is measured on others: name some by images=, "
            "as they will be searched."
        )
    if images is not None and not smaller:
        raise ConfigError("images= is for precision=int8 or dimensions=: say one of them, or leave it out.")
