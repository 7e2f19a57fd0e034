"""What the page and the endpoint do: the command's extractor and the command's search, for one picture at a time."""

from __future__ import annotations

import base64
import binascii
import io
import tempfile
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from importlib.util import find_spec
from math import ceil
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from crossreid.data.decoding import Decoder, resized
from crossreid.data.image_files import UnreadableImageError
from crossreid.data.records import MODALITIES, Modality
from crossreid.errors import ConfigError, CrossReIDError, DataError
from crossreid.evaluation import Embeddings
from crossreid.evaluation.calibration import Calibration
from crossreid.evaluation.embeddings import Cell
from crossreid.extraction import Extractor
from crossreid.extraction.images import ImageList, PersonBox, list_source
from crossreid.extraction.pixels import Pixels, are_grey
from crossreid.extraction.video import check_videos
from crossreid.galleries import Gallery
from crossreid.galleries.entries import ID, OWN_COLUMNS, without_point
from crossreid.galleries.filters import parse_filter
from crossreid.web.pictures import KnownPicture, PictureBook, as_data_url
from crossreid.web.spellings import HiddenPlace

FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "TIFF")
"""Kinds of files that are taken, whatever they are called."""
_NAMING_COLUMNS = ("path", ID)
"""Columns that can hold names of files."""
_MOST_SAMPLES = 60


@dataclass(frozen=True)
class Query:
    """A picture to search by, in a file of this process's own or of the page's samples.

    Attributes:
        path: the file.
        modality: said, or ``auto``.
        camera, time: where and when, where it is known; text that no column fits is refused by the search.
        box: where the person is in the picture; None where it shows the person alone.
        frame: the picture of a video; None for image files.
    """

    path: Path
    modality: str
    camera: Cell = None
    time: Cell = None
    box: PersonBox | None = None
    frame: int | None = None

    @property
    def picture(self) -> KnownPicture:
        """What is meant of the file."""
        return KnownPicture(self.path, _as_modality(self.modality), self.box, self.frame)


class SearchService:
    """A gallery and its model, for pictures that come over the network.

    Args:
        extractor: of the model.
        gallery: of the same model.
        place: where the gallery lies, which no message shows.
        samples: images to pick from.
        calibration: thresholds and probabilities of the model; None for those that the gallery keeps, if any.
        false_match_rate: share of pairs of two persons that match all the same; None for the smallest that is calibrated.
        show_names: paths may be shown and filtered by.
        upload_pixels: largest picture that is taken.

    Raises:
        DataError: the gallery is empty.
    """

    def __init__(
        self,
        extractor: Extractor,
        gallery: Gallery,
        *,
        place: str = "in memory",
        samples: ImageList | None = None,
        calibration: Calibration | None = None,
        false_match_rate: float | None = None,
        show_names: bool = False,
        upload_pixels: int = 16_000_000,
    ) -> None:
        if not len(gallery):
            raise DataError(f"The gallery '{place}' is empty: add images first.")
        self._extractor = extractor
        self._gallery = gallery
        self._calibration = calibration
        self._rate = false_match_rate
        self._show_names = show_names
        self._upload_pixels = upload_pixels
        self._lock = threading.Lock()  # of the gallery; the extractor has one of the model
        self._hidden = HiddenPlace(place)
        self.pictures = PictureBook(Decoder(extractor.decoding))
        self._samples = _spread(samples)
        self.translations = self._translations()

    # ------------------------------------------------------------------ what is there

    def about(self) -> dict[str, Any]:
        """What a page needs to know: counts, the model, columns to filter by, what it can show."""
        with self._lock:
            info = self._gallery.info()
        return {
            "images": info["images"],
            "method": self._extractor.about["method"],
            "model": str(self._extractor.about["model"])[:12],
            "columns": self.columns(),
            "translations": self.translations,
            "heat": self.shows_heat,
        }

    def columns(self) -> dict[str, str]:
        """Columns to filter by: ``text`` or ``numbers``."""
        with self._lock:
            columns: Mapping[str, str] = self._gallery.info()["columns"]
        if self._show_names:
            return dict(columns)
        return {name: kind for name, kind in columns.items() if name not in _NAMING_COLUMNS}

    def samples(self) -> list[dict[str, Any]]:
        """Pictures to pick from, by their tokens."""
        shown = []
        for query in self._samples:
            token = self.pictures.token(query.picture)
            shown.append({"picture": token, "modality": query.modality, "camera": query.camera, "time": query.time})
        return shown

    @property
    def shows_heat(self) -> bool:
        """The model is a checkpoint's, and what draws heat maps is there."""
        return self._has_method() and find_spec("matplotlib") is not None

    def _has_method(self) -> bool:
        try:
            return self._extractor.module is not None
        except ConfigError:
            return False

    # ------------------------------------------------------------------ queries

    def sample(self, token: str, modality: str) -> Query:
        """The picture of a token as a query.

        Raises:
            DataError: nobody was given this token, or long ago.
        """
        query = self._named(token)
        if modality == "auto":
            return query
        return replace(query, modality=modality)

    def _named(self, token: str) -> Query:
        """The picture of a token, with the modality that is known of it."""
        # Of the pictures to pick from more is known than of others: where and when they were taken.
        for query in self._samples:
            if self.pictures.token(query.picture) == token:
                return query
        known = self.pictures.known(token)
        if known is None:
            raise DataError("There is no such picture: search again.")
        return Query(known.path, known.modality, box=known.box, frame=known.frame)

    def upload(self, text: str, folder: Path) -> Path:
        """A picture that was sent, in base64, as a file of its own in a folder that is removed.

        Raises:
            DataError: it is no picture of a kind that is taken, or too large.
        """
        try:
            content = base64.b64decode(text, validate=True)
        except (binascii.Error, ValueError):
            raise DataError("The picture is not base64.") from None
        try:
            with Image.open(io.BytesIO(content), formats=FORMATS) as image:
                width, height = image.size
        except Exception:  # Pillow raises nearly anything
            raise DataError(
                f"What was sent is no picture: send one as {', '.join(FORMATS[:-1])} or {FORMATS[-1]}."
            ) from None
        if width * height > self._upload_pixels:
            raise DataError(
                f"The picture has {width} x {height} pixels: send one of at most {self._upload_pixels / 1e6:g} million."
            )
        path = folder / "picture"
        path.write_bytes(content)
        return path

    # ------------------------------------------------------------------ answers

    def search(self, query: Query, top_k: int, **conditions: Any) -> dict[str, Any]:
        """The images most like a query; ``conditions`` are those of :meth:`~crossreid.Gallery.search`.

        Raises:
            CrossReIDError: in one sentence without names of files, what cannot be.
        """
        try:
            self._check_filter(conditions.get("filter"))
            embedded = self._embedded(query)
            with self._lock:
                hits = self._gallery.search(
                    embedded, top_k, calibration=self._calibration, false_match_rate=self._rate, **conditions
                )
        except CrossReIDError as error:
            raise self._anonymous(error, query) from None
        found = hits.lists[0]
        answers = []
        for row, (score, match) in enumerate(zip(hits.scores[0].tolist(), hits.matches(0), strict=True)):
            answers.append({**self._hit(found, row, score), "match": match.matches, "probability": match.probability})
        return {
            "query": {"modality": embedded.modalities[0], "camera": query.camera, "time": query.time},
            "nobody": hits.nobody(0),
            "hits": answers,
        }

    def _check_filter(self, condition: str | None) -> None:
        """Refuse columns that are not shown: paths must not be guessed by comparing with them."""
        if condition is None:
            return
        kinds: dict[str, type] = {}
        for name, kind in self.columns().items():
            kinds[name] = str if kind == "text" else float
        parse_filter(condition, kinds)

    def _embedded(self, query: Query) -> Embeddings:
        """The query as a manifest with one line would give it."""
        embedded = self._extractor(self._pixels(query)[None], modality=query.modality)
        columns: dict[str, Sequence[Cell]] = {ID: ["query"]}
        if query.camera is not None:
            columns["camera"] = [query.camera]
        if query.time is not None:
            columns["time"] = [query.time]
        return replace(embedded, columns=columns)

    def _hit(self, found: Embeddings, row: int, score: float) -> dict[str, Any]:
        modality = found.modalities[row]
        columns: dict[str, Cell] = {}
        for name, cells in found.columns.items():
            if name not in OWN_COLUMNS:
                columns[name] = without_point(cells[row])
        hit: dict[str, Any] = {
            "rank": row + 1,
            "score": round(score, 6),
            "modality": modality,
            "picture": self.pictures.token(KnownPicture(Path(found.paths[row]), modality)),
            "columns": columns,
        }
        if self._show_names:
            hit["path"] = found.paths[row]
        return hit

    def heat(self, query: Query, other: Query) -> dict[str, str]:
        """Two pictures with what makes them alike laid over: ``query`` and ``other``, as addresses of images.

        Raises:
            CrossReIDError: the model is an exported program, or has no maps.
        """
        if not self.shows_heat:
            raise ConfigError("Heat maps need the model's checkpoint, and pip install 'crossreid[viz]'.")
        from crossreid.methods.attention import similarity_heat  # noqa: PLC0415 - torch and matplotlib
        from crossreid.visualization.heat import laid_over  # noqa: PLC0415

        shown: dict[str, str] = {}
        pictures = {"query": self._pixels(query), "other": self._pixels(other)}
        modalities = {"query": self._modality(query, pictures["query"]), "other": _as_modality(other.modality)}
        vectors = {}
        for name, pixels in pictures.items():
            embedded = self._extractor(pixels[None], modality=modalities[name])
            vectors[name] = embedded.features["main"][0]
        for name, opposite in (("query", "other"), ("other", "query")):
            pixels = pictures[name]
            with self._extractor.lock:
                heat = similarity_heat(self._extractor.module, pixels, modalities[name], vectors[opposite])
            if heat is None:
                raise ConfigError("This method has no feature maps to show.")
            shown[name] = as_data_url(laid_over(pixels, heat))
        return shown

    def translated(self, query: Query, other: Query | None) -> dict[str, str]:
        """What the method makes of a picture in the other modality: name -> address of an image; empty for most methods."""
        if not self.translations:
            return {}
        pixels = self._pixels(query)
        modality = self._modality(query, pixels)
        # Methods translate pairs: where there is no picture of the other modality, this one stands on both sides.
        partner = pixels
        if other is not None and other.modality != modality:
            partner = self._pixels(other)
        pair = {"visible": partner, "infrared": partner, modality: pixels}
        rows = self._rows(pair["visible"], pair["infrared"])
        # Of both fakes only that of the picture, which has the other modality, and not that of its partner.
        own = "fake infrared"
        if modality == "infrared":
            own = "fake visible"
        shown = {}
        for name, row in rows.items():
            if name == own or "fake" not in name:
                shown[name] = as_data_url(row)
        return shown

    def _translations(self) -> list[str]:
        """Names of what the method makes of images; none of an exported program."""
        if not self._has_method():
            return []
        black = np.zeros((*self._extractor.size, 3), dtype=np.uint8)
        return list(self._rows(black, black))

    def _rows(self, visible: Pixels, infrared: Pixels) -> dict[str, Pixels]:
        """What the method makes of two images (H, W, 3), without the real ones."""
        import torch  # noqa: PLC0415 - an exported program has no translation, and needs no torch

        from crossreid.data.transforms import to_float  # noqa: PLC0415

        method = self._extractor.module
        batches = []
        for pixels in (visible, infrared):
            # Each twice, as some methods show pairs; (2, H, W, 3) -> (2, 3, H, W).
            batch = torch.from_numpy(np.stack([pixels, pixels])).permute(0, 3, 1, 2)
            batches.append(to_float(batch.to(method.device)))
        with torch.inference_mode(), self._extractor.lock:
            rows = method.translate(*batches)
        made: dict[str, Pixels] = {}
        for name, pictures in rows.items():
            if not name.startswith("real"):
                picture = pictures[0].float().clamp(0, 1).mul(255).round().byte()
                made[name] = picture.permute(1, 2, 0).cpu().numpy()
        return made

    # ------------------------------------------------------------------ small things

    def _pixels(self, query: Query) -> Pixels:
        """(H, W, 3) of the model's size."""
        try:
            image = self.pictures.decoded(query.picture)
        except UnreadableImageError as error:
            raise DataError(f"The picture cannot be read ({error.reason}).") from None
        pixels = resized(image, self._extractor.size, self._extractor.decoding.resize)
        return pixels.copy()  # torch wants it writable

    def _modality(self, query: Query, pixels: Pixels) -> Modality:
        if query.modality in MODALITIES:
            return _as_modality(query.modality)
        return MODALITIES[int(are_grey(pixels[None])[0])]

    def _anonymous(self, error: CrossReIDError, query: Query) -> CrossReIDError:
        """The sentence without names of files of this machine."""
        sentence = str(error).replace(str(query.path), "the picture")
        return type(error)(self.anonymous(sentence))

    def anonymous(self, sentence: str) -> str:
        """A sentence without the gallery's place, however it is spelt there."""
        return self._hidden.out_of(sentence)


def samples_at(source: str, modality: str | None) -> ImageList:
    """Images to pick from; as :class:`~crossreid.Extractor` takes them.

    Raises:
        ConfigError: nothing says a modality, or there are videos and what reads them is not installed.
        DataError: there is no image, or a manifest is damaged.
    """
    images = list_source(source, modality)
    check_videos(images.paths)
    return images


def temporary_folder() -> tempfile.TemporaryDirectory[str]:
    """For one upload: nobody else may look inside."""
    return tempfile.TemporaryDirectory(prefix="crossreid-")


def _as_modality(name: str) -> Modality:
    """A modality by its name; what is not known is decoded as infrared, which only deep, grey files are."""
    if name == "visible":
        return "visible"
    return "infrared"


def _spread(images: ImageList | None) -> list[Query]:
    """At most some images of a list, from all of it."""
    if images is None:
        return []
    step = max(1, ceil(len(images) / _MOST_SAMPLES))
    unknown = (None,) * len(images)
    cameras = images.columns.get("camera", unknown)
    times = images.columns.get("time", unknown)
    chosen = []
    for row in range(0, len(images), step):
        modality = images.modalities[row] or "auto"
        query = Query(images.paths[row], modality, cameras[row], times[row], images.boxes[row], images.frames[row])
        chosen.append(query)
    return chosen
