"""Settings of ``crossreid.index`` and ``crossreid.search``."""

from __future__ import annotations

from dataclasses import dataclass

from crossreid.errors import ConfigError
from crossreid.settings.extraction import TRACKS, EmbeddingConfig
from crossreid.settings.fields import REQUIRED, setting

ACTIONS = ("add", "info", "remove", "build")
ON_DUPLICATE = ("skip", "replace", "refuse")
LARGEST_LIST = 10_000
"""Images that a search gives for each query."""
LONGEST_EXCLUSION = 1e12
"""Seconds about a query in which images of its own camera are left out."""
MODALITY = (
    "of all images; auto: grey ones are infrared; null: a column modality or a folder visible or infrared says it"
)
MODALITIES = ("visible", "infrared", "auto")
GALLERY = "an .npz (searched in memory), a folder (LanceDB), or http://HOST:PORT/NAME (Milvus)"


@dataclass
class IndexConfig(EmbeddingConfig):
    """Everything ``crossreid.index`` is told."""

    action: str = setting(REQUIRED, "what to do, said first: add, info, remove or build", choices=ACTIONS)
    gallery: str = setting(REQUIRED, GALLERY)
    checkpoint: str | None = setting(None, "add: a run folder or .ckpt that embeds the images")
    images: str | None = setting(None, "add: a folder, glob, image, list or manifest, as for crossreid.extract")
    embeddings: str | None = setting(None, "add: what crossreid.extract wrote, in the place of checkpoint and images")
    modality: str | None = setting(None, f"add: {MODALITY}", choices=MODALITIES)
    tracks: str = setting("keep", "add: average: one embedding for each value of the column track", choices=TRACKS)
    on_duplicate: str = setting("skip", "add: images that the gallery has already", choices=ON_DUPLICATE)
    ids: list[str] = setting([], "remove: names of images", distinct=True)
    filter: str | None = setting(None, 'remove: those that fulfil a condition, such as "camera = 3"')
    export: str | None = setting(None, "info: write all embeddings to an .npz or .parquet")

    def check_together(self, place: str) -> None:
        """What an action needs is there, and nothing that it does not read."""
        given = self.images is not None or self.embeddings is not None or self.checkpoint is not None
        embedding = self.modality is not None or self.tracks != "keep"
        if self.action == "add":
            from_images = bool(self.images and self.checkpoint) and self.embeddings is None
            from_embeddings = bool(self.embeddings) and self.images is None and self.checkpoint is None
            if not (from_images or from_embeddings):
                raise ConfigError("Name what to add: checkpoint=RUN and images=FOLDER, or embeddings=FILE alone.")
            if from_embeddings and embedding:
                raise ConfigError(
                    "modality and tracks go with images, and embeddings have theirs already: leave them out."
                )
        elif given:
            raise ConfigError(f"images, embeddings and checkpoint go with index add, not with index {self.action}.")
        elif embedding or self.on_duplicate != "skip":
            raise ConfigError(f"modality, tracks and on_duplicate go with index add, not with index {self.action}.")
        if self.action != "remove" and (self.ids or self.filter is not None):
            raise ConfigError(f"ids and filter go with index remove, not with index {self.action}.")
        if self.action != "info" and self.export is not None:
            raise ConfigError(f"export goes with index info, not with index {self.action}.")
        if self.export is not None and not self.export.endswith((".npz", ".parquet")):
            raise ConfigError(f"export is '{self.export}': end it in .npz or .parquet.")


@dataclass
class SearchConfig(EmbeddingConfig):
    """Everything ``crossreid.search`` is told."""

    gallery: str = setting(REQUIRED, GALLERY)
    checkpoint: str | None = setting(None, "a run folder or .ckpt that embeds the query; that of the gallery")
    query: str | None = setting(None, "a folder, glob, image, list or manifest, as for crossreid.extract")
    embeddings: str | None = setting(None, "what crossreid.extract wrote, in the place of checkpoint and query")
    modality: str | None = setting(None, MODALITY, choices=MODALITIES)
    top_k: int = setting(20, "images for each query", at_least=1, at_most=LARGEST_LIST)
    filter: str | None = setting(None, "which images are looked at, such as \"camera != 3 and zone = 'north'\"")
    exclude_camera: bool = setting(False, "leave out images of the query's own camera")
    exclude_seconds: float | None = setting(
        None, "of these only the ones within so many seconds of the query", at_least=0, ceiling=LONGEST_EXCLUSION
    )
    rerank: int = setting(
        0, "re-rank so many nearest images by k-reciprocal neighbours; 0 for none", at_least=0, at_most=LARGEST_LIST
    )
    calibration: str | None = setting(
        None,
        "what crossreid.calibrate wrote; null: what the gallery keeps, else calibration.json in the checkpoint's run",
    )
    false_match_rate: float | None = setting(
        None,
        "share of pairs of two persons that match all the same; null: the smallest that is calibrated",
        above=0,
        at_most=0.5,
    )
    per_camera: bool = setting(False, "go by thresholds of the two cameras, where there are some")
    output: str | None = setting(None, "the ranked lists to write: a .json or .csv")
    sheet: str | None = setting(None, "the contact sheet to write: a .png or .html")

    def check_together(self, place: str) -> None:
        """There is one kind of query, and endings are known."""
        from_images = bool(self.query and self.checkpoint) and self.embeddings is None
        from_embeddings = bool(self.embeddings) and self.query is None
        if not (from_images or from_embeddings):
            raise ConfigError("Name what to search for: checkpoint=RUN and query=IMAGE, or embeddings=FILE.")
        if from_embeddings and self.modality is not None:
            raise ConfigError("modality goes with query, and embeddings have theirs already: leave it out.")
        if self.output is not None and not self.output.endswith((".json", ".csv")):
            raise ConfigError(f"output is '{self.output}': end it in .json or .csv.")
        if self.sheet is not None and not self.sheet.endswith((".png", ".html")):
            raise ConfigError(f"sheet is '{self.sheet}': end it in .png or .html.")
