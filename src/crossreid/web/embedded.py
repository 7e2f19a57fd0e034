"""The page without anything of one's own: a run's test images, by day as the gallery, by night to pick from."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from crossreid.console import notice
from crossreid.data.datasets import ReIDDataset
from crossreid.data.datasets.sources import open_source
from crossreid.data.records import Modality
from crossreid.errors import ConfigError
from crossreid.extraction.extractor import make_extractor
from crossreid.extraction.images import ImageList
from crossreid.galleries import Gallery
from crossreid.galleries.judging import chosen_calibration
from crossreid.settings.web import DemoConfig
from crossreid.training.checkpoints import read_checkpoint
from crossreid.training.loading import checkpoint_at, run_of
from crossreid.web.service import SearchService

DEMO_RUN = "outputs/demo"


def embedded_service(config: DemoConfig) -> SearchService:
    """The service on the test images of a run.

    Raises:
        ConfigError: no model is there yet.
    """
    run = config.checkpoint
    if run is None:
        run = DEMO_RUN
    if config.checkpoint is None and not Path(DEMO_RUN).is_dir():
        raise ConfigError(
            f"There is no model at {DEMO_RUN} yet: `make demo` trains one in minutes, and "
            f"`python -m crossreid.train model=aligngan scale=smoke run_dir={DEMO_RUN}` a poor one in seconds."
        )
    path = checkpoint_at(run)
    trained = run_of(read_checkpoint(path), path)
    dataset = open_source(trained.data).read()
    extractor = make_extractor(path, config)
    gallery = Gallery.open(model=extractor)
    day = _images(dataset, "visible")
    notice(f"Embedding {len(day)} day images of {run}")
    embedded = extractor(day.paths, modality="visible")
    gallery.add(replace(embedded, columns={**embedded.columns, **day.columns}))
    extractor.progress = False
    extractor.workers = 0  # from here on it embeds one picture at a time
    return SearchService(
        extractor,
        gallery,
        place=run,
        samples=_images(dataset, "infrared"),
        calibration=chosen_calibration(gallery, config.calibration, path),
        false_match_rate=config.false_match_rate,
        show_names=config.show_names,
        upload_pixels=config.upload_pixels,
    )


def _images(dataset: ReIDDataset, modality: Modality) -> ImageList:
    """The test images of a modality, with their cameras and persons."""
    paths = []
    cameras = []
    persons = []
    for row in dataset.rows("test"):
        record = dataset.records[row]
        if record.modality == modality:
            paths.append(record.path)
            cameras.append(record.camid)
            persons.append(record.pid)
    modalities = (modality,) * len(paths)
    nothing = (None,) * len(paths)  # no boxes, and no frames of videos
    return ImageList(tuple(paths), modalities, {"camera": cameras, "person": persons}, nothing, nothing)
