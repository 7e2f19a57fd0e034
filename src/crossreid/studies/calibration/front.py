"""Calibrating what is named: a run's own persons, a dataset's, a manifest's, labelled pairs, or embeddings."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from crossreid.console import notice
from crossreid.data.datasets import ReIDDataset
from crossreid.data.datasets.names import read_name
from crossreid.errors import ConfigError, DataError
from crossreid.evaluation import Embeddings
from crossreid.evaluation.calibration import FILE, Calibration
from crossreid.extraction import Extractor
from crossreid.extraction.origin import model_digest, preprocessing_of, with_grey_range
from crossreid.extraction.storage import load_extracted
from crossreid.extraction.transfer import TRANSFER, transfers
from crossreid.settings.calibration import CalibrateConfig
from crossreid.settings.compose import compose, typed
from crossreid.settings.overrides import as_overrides
from crossreid.studies.calibration.building import calibrate_embeddings, calibrate_pairs
from crossreid.studies.calibration.pair_list import read_pairs, scored_pairs
from crossreid.training.checkpoints import read_checkpoint
from crossreid.training.imported import imported_of
from crossreid.training.loading import checkpoint_at, has_run, restore, run_of
from crossreid.training.persons import was_trained_on
from crossreid.training.scoring import embed_dataset


def calibrate(
    checkpoint: str | Path | None = None,
    *,
    embeddings: Embeddings | str | Path | None = None,
    output: str | Path | None = None,
    **settings: Any,
) -> Calibration:
    """Learn from which similarity on two images count as one person, and how probable that is.

    Args:
        checkpoint: a run or checkpoint; alone, its run's calibration or validation persons are taken.
        embeddings: embeddings of known persons (column ``person``) in the place of a checkpoint, or a file of them.
        output: a JSON to write; None for none.
        settings: of ``crossreid.calibrate``, such as ``rates=[0.01]``, ``images="people.csv"``, ``pairs="pairs.csv"``,
            ``data="folder"``; those inside groups as ``**{"data.root": "mine"}``.

    Raises:
        ConfigError: a setting cannot be, or the persons must not be calibrated on.
        DataError: persons or pairs are too few.

    Example:
        >>> calibration = crossreid.calibrate("outputs/demo", rates=[0.01])  # doctest: +SKIP
        >>> calibration.threshold("visible-infrared", rate=0.01)  # doctest: +SKIP
    """
    given = dict(settings)
    if checkpoint is not None:
        given["checkpoint"] = str(checkpoint)
    if isinstance(embeddings, Embeddings):
        given["embeddings"] = "in memory"  # a word in their place: settings are text
    elif embeddings is not None:
        given["embeddings"] = str(embeddings)
    config = typed(CalibrateConfig, compose("calibrate", as_overrides(given)))
    if isinstance(embeddings, Embeddings):
        calibration = calibrate_embeddings(embeddings, config, {"kind": "embeddings"})
    else:
        calibration = calibration_of(config)
    if output is not None:
        calibration.save(output)
    return calibration


def calibration_of(config: CalibrateConfig) -> Calibration:
    """The calibration that a command's settings ask for; raises as :func:`calibrate`."""
    if config.embeddings is not None:
        held = load_extracted(config.embeddings)
        return calibrate_embeddings(held, config, {"kind": "embeddings", "file": config.embeddings})
    assert config.checkpoint is not None, "settings name a checkpoint or embeddings"
    if config.pairs is not None:
        labelled = read_pairs(Path(config.pairs))
        embedded = _extractor(config)(list(labelled.paths), config.modality)
        source = {
            "kind": "pairs",
            "file": config.pairs,
            "persons": int(labelled.persons.max()),
            "images": len(embedded),
        }
        return calibrate_pairs(scored_pairs(embedded, labelled), config, source, embedded.about)
    if config.images is not None:
        embedded = _extractor(config)(config.images, config.modality)
        if "person" not in embedded.columns:
            raise DataError(f"'{config.images}' does not say who is who: calibrate on a manifest with a column person.")
        return calibrate_embeddings(embedded, config, {"kind": "images", "file": config.images})
    return _calibrate_dataset(config, checkpoint_at(config.checkpoint))


def place_of(config: CalibrateConfig) -> Path:
    """Where the calibration is written by default: in the run, or beside what was given."""
    if config.output is not None:
        return Path(config.output)
    if config.embeddings is not None:
        return Path(config.embeddings).with_suffix(f".{FILE}")
    assert config.checkpoint is not None, "settings name a checkpoint or embeddings"
    return checkpoint_at(config.checkpoint).parent / FILE


def _extractor(config: CalibrateConfig) -> Extractor:
    assert config.checkpoint is not None, "only a checkpoint embeds"
    return Extractor(
        config.checkpoint,
        config.trainer.accelerator,
        grey_range=config.range_of_grey(),
        progress=config.trainer.progress,
    )


def _calibrate_dataset(config: CalibrateConfig, path: Path) -> Calibration:
    """On persons of a dataset: that of training, or another one."""
    restored = restore(path, config.data, config.protocol, config.trainer)
    checkpoint = read_checkpoint(path)
    dataset = restored.data.dataset
    own = False  # the model was trained on this dataset
    validated = False  # and the validation persons were held out
    if has_run(checkpoint):
        trained = run_of(checkpoint, path)
        own = was_trained_on(dataset.root, trained.data, path.parent)
        validated = trained.selection.name == "validation"
    imported = imported_of(checkpoint, path)
    if imported is not None:
        own = imported.dataset == dataset.name  # public codes train on training and validation persons together
    split = _split(dataset, config.split, own=own, held_out=not own or validated)
    if own and split == "test":
        notice(
            "These are the run's test persons: its scores on them and this calibration are no independent estimates."
        )
    # embed_dataset takes the test persons: here these are the ones.
    restored.data.test_splits = (split,)
    restored.data.decoding = with_grey_range(restored.data.decoding, config.range_of_grey())
    embeddings = embed_dataset(restored.trainer, restored.module, restored.data)
    about = {
        "model": model_digest(restored.module),
        "method": restored.module.config.name,
        "preprocessing": preprocessing_of(restored.data.streams["identity"].size, restored.data.decoding),
        TRANSFER: transfers(restored.module),
    }
    source = {"kind": "dataset", "dataset": dataset.name, "folder": str(dataset.root), "split": split}
    # A folder counts a camera of both modalities twice, and makes up cameras that no name says: a gallery has the names' own.
    columns = {}
    if dataset.name == "folder":
        columns["camera"] = [read_name(Path(path)).camera for path in embeddings.paths]
    calibration = calibrate_embeddings(replace(embeddings, columns=columns, about=about), config, source)
    notice(f"Calibrated on the {len(dataset.people(split))} {split} persons of {dataset.name} at {dataset.root}.")
    return calibration


def _split(dataset: ReIDDataset, asked: str | None, *, own: bool, held_out: bool) -> str:
    """The persons to calibrate on.

    Args:
        dataset: what there is.
        asked: the split that was asked for.
        own: the model was trained on this dataset.
        held_out: it was not trained on the validation persons.

    Raises:
        ConfigError: there are none that were held out, or those that were asked for are not there.
    """
    there = ", ".join(dataset.splits)
    if asked is not None:
        if asked not in dataset.splits:
            raise ConfigError(f"{dataset.name} at '{dataset.root}' has no {asked} persons (splits there: {there}).")
        if asked == "val" and not held_out:
            raise ConfigError(_TRAINED_ON)
        return asked
    if "calibration" in dataset.splits:
        return "calibration"
    if "val" in dataset.splits and held_out:
        return "val"
    if not own and list(dataset.splits) == ["test"]:
        return "test"  # persons of a folder without splits, which nobody is scored on
    if "val" in dataset.splits and not held_out:
        raise ConfigError(_TRAINED_ON)
    raise ConfigError(
        f"{dataset.name} at '{dataset.root}' has no calibration or validation persons (splits there: {there}), and test "
        "persons are for the test: name other persons, or say split=test to take them all the same."
    )


_TRAINED_ON = (
    "The model was trained on its validation persons, whose similarities are higher than those of strangers: train with "
    "selection=validation, calibrate on other persons (images=people.csv, data=folder), or say split=test."
)
