"""Settings of ``crossreid.import_weights`` and ``crossreid.export_weights``, and what a checkpoint keeps of an import."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from crossreid.errors import ConfigError
from crossreid.settings.fields import REQUIRED, Settings, setting

LAYOUT_NAMES = ("aligngan", "jsia", "lba", "agw", "caj", "ddag", "deen", "deen_regdb")
"""Public codes whose files are read and written."""
TRAINED_ON = ("sysu_mm01", "regdb", "llcm")
"""Datasets that public files were trained on."""


def _trained_on() -> Any:
    return setting(
        None,
        "the dataset that the weights were trained on; null: by the number of persons, 395 of sysu_mm01, 206 of regdb, 713 of "
        "llcm",
        choices=TRAINED_ON,
    )


def _split() -> Any:
    return setting(
        None,
        "which of RegDB's ten splits they were trained on; null: as the file's name says it (trial_3)",
        at_least=1,
        at_most=10,
    )


@dataclass
class ImportWeightsConfig(Settings):
    """Everything ``crossreid.import_weights`` is told."""

    source: str = setting(REQUIRED, "the public code that wrote the weights", choices=LAYOUT_NAMES)
    file: str = setting(REQUIRED, "its file; of aligngan and jsia one of several, or their folder")
    output: str = setting(REQUIRED, "the folder to write, which other commands take as checkpoint=")
    dataset: str | None = _trained_on()
    split: int | None = _split()

    def check_together(self, place: str) -> None:
        """RegDB alone has splits."""
        if self.split is not None and self.dataset not in (None, "regdb"):
            raise ConfigError(f"split is one of RegDB's, and dataset={self.dataset}: leave one of them out.")


@dataclass
class ExportWeightsConfig(Settings):
    """Everything ``crossreid.export_weights`` is told."""

    checkpoint: str = setting(REQUIRED, "a run folder, or a .ckpt, of a method that has a public layout")
    output: str = setting(REQUIRED, "the file to write; of aligngan and jsia the folder of several")
    source: str | None = setting(
        None,
        "the public code whose layout is written; null: the one that the weights came from, or of the same method",
        choices=LAYOUT_NAMES,
    )


@dataclass
class ImportedConfig(Settings):
    """What a checkpoint keeps of where its weights come from."""

    source: str = setting(REQUIRED, "the public code", choices=LAYOUT_NAMES)
    files: list[str] = setting(REQUIRED, "names of its files", filled=True)
    resize: str = setting(REQUIRED, "the filter that its code resizes images by", choices=("bicubic", "lanczos"))
    dataset: str | None = _trained_on()
    split: int | None = _split()
    mark: str = setting("", "how its code numbers these weights: the end of the files' names")
