"""The extractor: a trained model and images of one's own, to embeddings.

Images come to pixels by the decoder of training, are embedded in full batches of one modality, in evaluation mode and full
precision, as ``crossreid.evaluate`` does it.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from crossreid.console import make_progress, notice
from crossreid.data.cache import available_cores
from crossreid.data.records import MODALITIES, Modality
from crossreid.errors import ConfigError, DataError
from crossreid.evaluation import Embeddings
from crossreid.evaluation.scorers import Scorer
from crossreid.extraction.batching import EmbeddedBatch, Part, WaitingImages
from crossreid.extraction.exported import ExportedNetwork, is_exported
from crossreid.extraction.gathering import gather
from crossreid.extraction.network import EmbeddingNetwork
from crossreid.extraction.pixels import Chunk, Flags, Pixels, Rows, array_chunks, file_chunks
from crossreid.extraction.requests import Request, Source, make_request
from crossreid.extraction.shards import open_shards
from crossreid.extraction.storage import check_storable, save_extracted
from crossreid.settings.extraction import ON_UNREADABLE, TRACKS, EmbeddingConfig
from crossreid.settings.fields import check_choice

if TYPE_CHECKING:
    from crossreid.methods.base import CrossModalityModule


class Extractor:
    """Embeds images of one's own with a trained model.

    Args:
        checkpoint: a run folder, a ``.ckpt`` of a run or of a plain Lightning trainer, or what ``crossreid.export`` wrote: with
            ONNX files torch is not imported.
        device: ``auto`` (a GPU where there is one), ``cpu``, ``gpu`` or ``cuda:1``.
        batch_size: images that are embedded at once, 1 or more.
        workers: processes that decode files; None for one a core.
        unreadable: what is done about images that cannot be read: ``refuse``, or ``skip`` (they are listed in
            ``about["unreadable"]``).
        grey_range: (low, high), the values of grey files deeper than 8 bits that become black and white; None for what
            training did.
        progress: show a progress bar with images per second.
        trust: open exported programs of torch (.pt2), which may run what whoever made the file put in.

    Attributes:
        size: height and width in pixels to which images are brought.
        about: the model's digest and its preprocessing, which go with all embeddings.
        lock: held during each forward, since a method may change its batch norms for the time of one. Several threads may use
            one extractor; who uses :attr:`module` while others embed holds it too.

    Raises:
        CheckpointError: there is none, it is damaged, or its method is not registered here.
        ConfigError: the device is not there, or training took the range of deep grey files from its own images.

    Example:
        >>> extract = Extractor("outputs/demo")  # doctest: +SKIP
        >>> day = extract("day/", modality="visible")  # doctest: +SKIP
    """

    def __init__(
        self,
        checkpoint: str | Path,
        device: str = "auto",
        *,
        batch_size: int = 64,
        workers: int | None = None,
        unreadable: str = "refuse",
        grey_range: tuple[float, float] | None = None,
        progress: bool = False,
        trust: bool = False,
    ) -> None:
        check_choice("unreadable", unreadable, ON_UNREADABLE)
        if batch_size < 1:
            raise ConfigError(f"batch_size is {batch_size}: give 1 or more.")
        self._network = open_network(checkpoint, device, grey_range, trust=trust)
        self.decoding = self._network.decoding
        self.size = self._network.size
        self.about = self._network.about
        self.batch_size = batch_size
        if workers is None:
            workers = available_cores()
        self.workers = workers
        self.unreadable = unreadable
        self.progress = progress
        self.lock = threading.RLock()

    def __getstate__(self) -> dict[str, Any]:
        """All but the lock, which belongs to the threads of one process."""
        state = dict(vars(self))
        del state["lock"]
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        """As it was, with a lock of its own."""
        vars(self).update(state)
        self.lock = threading.RLock()

    @property
    def module(self) -> CrossModalityModule[Any]:
        """The method, in eval mode.

        Raises:
            ConfigError: an exported program embeds, which has no method behind it.
        """
        from crossreid.extraction.checkpoint import CheckpointNetwork  # noqa: PLC0415 - torch

        if not isinstance(self._network, CheckpointNetwork):
            raise ConfigError("An exported program only embeds: name the checkpoint that it was exported from.")
        return self._network.module

    def scorer(self) -> Scorer | None:
        """The model's way of comparing single queries with a whole gallery (cm-SSFT); None where cosine is all."""
        return self._network.scorer()

    def __call__(self, source: Source, modality: str | None = None, *, tracks: str = "keep") -> Embeddings:
        """Embed images.

        Args:
            source: a folder (with all folders inside), a glob, an image, a list of files (.txt), a manifest (.csv or
                .parquet, see :mod:`crossreid.extraction.manifest`), a sequence of files; or an array (N, H, W, 3) or
                (N, H, W), a tensor (N, 3, H, W), uint8 of any size or float in [0, 1] of the model's size.
            modality: ``visible`` or ``infrared`` of all images; ``auto``: by colour where no column or folder says it;
                None: a column or folder says it.
            tracks: ``keep``, or ``average`` for one embedding a track.

        Returns:
            N embeddings in the order of the source, ``main`` (N, D) float32 and L2-normalised, with the source's further
            columns, and the model's digest and preprocessing in ``about``.

        Raises:
            ConfigError: a setting cannot be, or nothing says the modality.
            DataError: there is no image, one cannot be read, or a manifest is damaged.
        """
        check_choice("tracks", tracks, TRACKS)
        request = make_request(source, modality, self.size)
        problems: dict[int, str] = {}
        parts = list(self._parts(request, range(len(request)), problems))
        return gather(request, parts, problems, self.about, tracks)

    def with_pixels(
        self, source: str | Path, modality: str | None = None, choose: Callable[[int], Rows] = np.arange
    ) -> tuple[Embeddings, Pixels]:
        """Embed some images of a source, and keep what the network was given of them; each is decoded once.

        Args:
            source: of files, see :meth:`__call__`, as ``modality``.
            choose: the number of images of the source -> places (n,), ascending, of those that are wanted; by default all.

        Returns:
            n embeddings and their (n, H, W, 3) uint8 pixels, both in the order of the source.

        Raises:
            ConfigError: as ``choose``, before anything is decoded.
            DataError: an image cannot be read.
        """
        request = make_request(source, modality, self.size)
        wanted = choose(len(request)).tolist()
        decoded: list[Chunk] = []

        def kept() -> Iterator[Chunk]:
            for chunk in self._chunks(request, wanted):
                decoded.append(chunk._replace(pixels=chunk.pixels.copy()))  # a worker's memory is given back
                yield chunk

        problems: dict[int, str] = {}
        parts = list(self._parts_of(request, kept(), len(wanted), problems))
        embeddings = gather(request, parts, problems, self.about, "keep")
        rows = np.concatenate([chunk.rows for chunk in decoded])
        pixels = np.concatenate([chunk.pixels for chunk in decoded])
        readable = np.isin(rows, embeddings.rows)  # others have no embedding, and black pixels
        return embeddings, pixels[readable]

    def modalities(self, source: Source, modality: str | None = None) -> tuple[int, Flags | None]:
        """What is known of some images before any is read.

        Args:
            source: see :meth:`__call__`, as ``modality``.

        Returns:
            N, and which ones are infrared (N,); None where the colours of some image decide.

        Raises:
            ConfigError: nothing says the modality.
            DataError: there is no image, or a manifest is damaged.
        """
        request = make_request(source, modality, self.size)
        return len(request), request.infrared()

    def pixels(self, source: Source, modality: str | None = None, rows: Rows | None = None) -> Pixels:
        """What the network is given of some images.

        Args:
            source: see :meth:`__call__`, as ``modality``.
            rows: (n,) places in the source, as ``rows`` of its embeddings; None for all.

        Returns:
            (n, H, W, 3) uint8; float32 in [0, 1] of floats.

        Raises:
            DataError: an image cannot be read.
        """
        request = make_request(source, modality, self.size)
        wanted = np.arange(len(request))
        if rows is not None:
            wanted = np.asarray(rows)
        chunks = []
        for chunk in self._chunks(request, wanted.tolist()):
            self._note(request, chunk, {})
            chunks.append(chunk.pixels)
        return np.concatenate(chunks)

    def to_file(
        self,
        source: Source,
        output: str | Path,
        modality: str | None = None,
        *,
        tracks: str = "keep",
        shard: int = 4096,
    ) -> Embeddings:
        """As calling it, and write ``output``: an .npz with a .json beside it, or a .parquet.

        What is embedded is kept beside the output in shards, so that a call that was cut off is gone on with by the same
        call; they are removed in the end.

        Args:
            source: see :meth:`__call__`, as the rest.
            output: the file to write.
            shard: images after which a shard is written, 1 or more.

        Raises:
            DataError: the shards that are there are of other images or another model.
            OwnedError: another process writes this output.
            WriteError: the disk is full; what was embedded so far stays.
        """
        check_choice("tracks", tracks, TRACKS)
        check_storable(Path(output))
        request = make_request(source, modality, self.size)
        with open_shards(Path(output), self._plan(request)) as shards:
            parts = [Part(*content) for content in shards.read()]
            done: set[int] = set()
            for part in parts:
                done.update(part.rows.tolist())
            if done:
                notice(f"Going on: {len(done)} of {len(request)} images are embedded already.")
            left = [row for row in range(len(request)) if row not in done]
            problems: dict[int, str] = {}
            fresh: list[Part] = []  # what no shard holds yet
            count = 0
            for part in self._parts(request, left, problems):
                fresh.append(part)
                count += len(part.rows)
                if count >= shard:
                    shards.write(fresh)
                    parts += fresh
                    fresh = []
                    count = 0
            shards.write(fresh)
            embeddings = gather(request, parts + fresh, problems, self.about, tracks)
            save_extracted(embeddings, Path(output))
            shards.remove()
        return embeddings

    def _plan(self, request: Request) -> dict[str, Any]:
        """What decides the embeddings, as plain values."""
        return {"about": self.about, "images": request.digest(), "unreadable": self.unreadable}

    # ------------------------------------------------------------------ embedding

    def _parts(self, request: Request, rows: Sequence[int], problems: dict[int, str]) -> Iterator[Part]:
        """Embed rows of a request; see :meth:`_parts_of`."""
        return self._parts_of(request, self._chunks(request, rows), len(rows), problems)

    def _parts_of(
        self, request: Request, chunks: Iterable[Chunk], count: int, problems: dict[int, str]
    ) -> Iterator[Part]:
        """Embed ``count`` images in full batches of one modality; what cannot be read is refused, or put into ``problems``.

        A batch is handed out one batch late: its features are copied back while the device computes the next.
        """
        waiting: dict[Modality, WaitingImages] = {modality: WaitingImages() for modality in MODALITIES}
        before: EmbeddedBatch | None = None
        with _rate(count, shown=self.progress) as advance:
            for chunk in chunks:
                self._note(request, chunk, problems)
                for modality in MODALITIES:
                    waiting[modality].add(chunk, request.rows_of(chunk, modality))
                    while waiting[modality].count >= self.batch_size:
                        batch = self._embed(waiting[modality].take(self.batch_size), modality)
                        if before is not None:
                            yield before.part()
                        before = batch
                advance(len(chunk.rows))
            for modality in MODALITIES:  # the last batches, which are not full
                if waiting[modality].count:
                    batch = self._embed(waiting[modality].take(self.batch_size), modality)
                    if before is not None:
                        yield before.part()
                    before = batch
            if before is not None:
                yield before.part()

    def _chunks(self, request: Request, rows: Sequence[int]) -> Iterator[Chunk]:
        if request.pixels is None:
            return file_chunks(
                request.images,
                rows,
                self.decoding,
                self.size,
                workers=self.workers,
                processes=self._network.by_processes,
            )
        return array_chunks(
            request.pixels, rows, self.size, self.decoding.resize, self.batch_size, by_colour=request.by_colour
        )

    def _note(self, request: Request, chunk: Chunk, problems: dict[int, str]) -> None:
        """Refuse a chunk with an image that cannot be read, or keep the reason."""
        for row, reason in chunk.problems.items():
            if self.unreadable == "refuse":
                raise DataError(
                    f"The image '{request.images.paths[row]}' cannot be read ({reason}): mend the file, or its "
                    "line in a manifest, or leave such images out by unreadable=skip."
                )
            problems[row] = reason

    def _embed(self, batch: tuple[Rows, Pixels], modality: Modality) -> EmbeddedBatch:
        """Rows (B,) and pixels (B, H, W, 3); the device may still be computing when this returns."""
        rows, pixels = batch
        with self.lock:
            fetch = self._network.embed(pixels, modality)
        return EmbeddedBatch(rows, modality == "infrared", fetch)


def make_extractor(checkpoint: str | Path, config: EmbeddingConfig) -> Extractor:
    """The extractor that a command's settings ask for; raises as :class:`Extractor`."""
    return Extractor(
        checkpoint,
        config.device,
        batch_size=config.batch_size,
        workers=config.workers,
        unreadable=config.unreadable,
        grey_range=config.range_of_grey(),
        progress=config.progress,
        trust=config.trust,
    )


def open_network(
    place: str | Path, device: str = "auto", grey_range: tuple[float, float] | None = None, *, trust: bool = False
) -> EmbeddingNetwork:
    """What embeds: exported programs where the place holds some, else a checkpoint; see :class:`Extractor`."""
    if is_exported(place):
        return ExportedNetwork(place, device, grey_range, trust=trust)
    from crossreid.extraction.checkpoint import CheckpointNetwork  # noqa: PLC0415 - exported programs do without torch

    return CheckpointNetwork(place, device, grey_range)


@contextmanager
def _rate(total: int, *, shown: bool) -> Iterator[Any]:
    """A progress bar with images per second; gives what counts images."""
    if not shown:
        yield lambda count: None
        return
    start = time.perf_counter()
    done = 0
    with make_progress() as progress:
        task = progress.add_task("embedding images", total=total, note="")

        def advance(count: int) -> None:
            nonlocal done
            done += count
            speed = done / max(time.perf_counter() - start, 1e-9)
            progress.update(task, advance=count, note=f"{speed:.0f} images/s")

        yield advance
