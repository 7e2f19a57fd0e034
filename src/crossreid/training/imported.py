"""What a checkpoint says of weights that came from another code: where from, and how that code prepares images."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from crossreid.errors import CheckpointError, ConfigError
from crossreid.settings.data import DataConfig, DecodingConfig
from crossreid.settings.fields import from_plain
from crossreid.settings.importing import ImportedConfig
from crossreid.settings.registry import dataset_settings

IMPORTED = "imported"
"""In what a checkpoint says of itself."""


def imported_of(checkpoint: Mapping[str, Any], path: Path) -> ImportedConfig | None:
    """What a checkpoint keeps of an import; None where training wrote it.

    Args:
        checkpoint: as :func:`~crossreid.training.checkpoints.read_checkpoint` gives it.
        path: where it came from, for messages.

    Raises:
        CheckpointError: it is damaged.
    """
    kept = checkpoint["crossreid"].get(IMPORTED)
    if kept is None:
        return None
    try:
        if not isinstance(kept, Mapping):
            raise ConfigError(f"{IMPORTED} is no group of settings.")
        config = from_plain(ImportedConfig, kept, IMPORTED)
        config.check(IMPORTED)
    except (ConfigError, TypeError, ValueError, AttributeError) as error:
        raise CheckpointError(
            f"The checkpoint '{path}' does not say where its weights were imported from ({error}): import them again."
        ) from error
    return config


def label_of(imported: ImportedConfig) -> str:
    """The weights' name in tables."""
    return f"{imported.source}, weights of '{imported.files[0]}'"


def decoding_of(imported: ImportedConfig) -> DecodingConfig:
    """How the source's code comes from a file to pixels."""
    return DecodingConfig(resize=imported.resize)


def resized_as_the_source(data: DataConfig, imported: ImportedConfig) -> DataConfig:
    """A dataset whose images are resized as the source's code does it."""
    return replace(data, decoding=replace(data.decoding, resize=imported.resize))


def trained_on(imported: ImportedConfig) -> DataConfig | None:
    """The dataset that the weights were trained on, nobody knows in which folder; None where that is not known."""
    if imported.dataset is None:
        return None
    schema = dataset_settings(imported.dataset)
    if imported.split is None:
        return schema(root="")
    return from_plain(schema, {"root": "", "split": imported.split}, "data")
