"""The gallery: embeddings are added, searched and removed; where they lie changes nothing else."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from crossreid.errors import ConfigError, DataError
from crossreid.evaluation import Embeddings, KReciprocal, Scorer
from crossreid.evaluation.embeddings import Array, Cell
from crossreid.extraction import Extractor
from crossreid.extraction.storage import save_extracted
from crossreid.galleries.entries import (
    ID,
    Header,
    check_same,
    concatenated,
    entries_of,
    filterable,
    header_of,
)
from crossreid.galleries.exact import MemoryStore
from crossreid.galleries.filters import Compared, Filter, Joined, Not, both, parse_filter
from crossreid.galleries.hits import Hits
from crossreid.galleries.lance import LanceStore
from crossreid.galleries.milvus import MilvusStore
from crossreid.galleries.store import Store
from crossreid.settings.fields import check_choice
from crossreid.settings.galleries import LARGEST_LIST, ON_DUPLICATE

_ADDED_AT_ONCE = 65_536
"""Entries that a store has for good at a time: an add that is killed has the ones before."""


@dataclass(frozen=True)
class Added:
    """What an add did.

    Attributes:
        added: images that are new.
        skipped: images that were there already, and stay as they were.
        replaced: images that were there already, and are those given now.
    """

    added: int
    skipped: int
    replaced: int


class Gallery:
    """Embedded images of one model. Made by :meth:`open`.

    Example:
        >>> gallery = Gallery.open("street.gallery", model="outputs/demo")  # doctest: +SKIP
        >>> gallery.add(extract("day/", modality="visible"))  # doctest: +SKIP
        >>> hits = gallery.search(extract("night.png", modality="infrared"), top_k=20)  # doctest: +SKIP
    """

    def __init__(self, store: Store, place: str, model: Header | None, scorer: Scorer | None) -> None:
        self._store = store
        self._place = place
        self._scorer = scorer
        known = store.header()
        if model is not None and known is not None:
            check_same(known, model, place)
        self._model = known or model

    @classmethod
    def open(cls, place: str | Path | None = None, model: str | Path | Extractor | None = None) -> Gallery:
        """Open a gallery, or begin one.

        Args:
            place: None for one in memory; a file ``.npz`` of embeddings, searched in memory; ``http://HOST:PORT/NAME`` for
                a collection of Milvus (extra ``milvus``); any other path for a folder of LanceDB (extra ``search``).
            model: a run, a checkpoint or an extractor: images of other models are refused from the start, and cm-SSFT's
                transfer needs it. None: the first images decide.

        Raises:
            CheckpointError: there is no such model.
            ConfigError: a package is missing.
            DataError: what lies there is no gallery, is damaged, or holds embeddings of another model.
        """
        header = None
        scorer = None
        if model is not None:
            extractor = model if isinstance(model, Extractor) else Extractor(model)
            header = _header_of_model(extractor)
            scorer = extractor.scorer()
        return cls(_store_at(place), str(place or "in memory"), header, scorer)

    def __len__(self) -> int:
        return self._store.count()

    def add(self, embeddings: Embeddings, on_duplicate: str = "skip") -> Added:
        """Add images. What is known of each is kept: path, modality, person, camera and all further columns.

        Args:
            embeddings: of the gallery's model. An image's name is its column ``id``, else its path.
            on_duplicate: what is done about names that the gallery has: ``skip``, ``replace`` or ``refuse``.

        Raises:
            DataError: they are of another model, dimension or preprocessing; a name is there already and is refused; or a
                column does not fit.
            OwnedError: another process is changing the gallery.
            WriteError: the disk is full; what was there before is unchanged.
        """
        check_choice("on_duplicate", on_duplicate, ON_DUPLICATE)
        header = header_of(embeddings)
        if self._model is not None:
            check_same(self._model, header, self._place)
        if header.transfer and not isinstance(self._store, MemoryStore):
            raise ConfigError(
                f"{header.method} compares images through a transfer that sees the whole gallery: keep it in memory "
                "(gallery=FILE.npz)."
            )
        if not len(embeddings):
            raise DataError("There is no image to add.")
        entries = entries_of(embeddings)
        with self._store.writing():
            names = [str(name) for name in entries.columns[ID]]
            known = self._store.known(names)
            there = np.array([name in known for name in names], dtype=bool)
            if there.any() and on_duplicate == "refuse":
                first = entries.columns[ID][int(np.argmax(there))]
                raise DataError(f"The gallery '{self._place}' has '{first}' and {int(there.sum()) - 1} others already.")
            chosen = np.arange(len(entries)) if on_duplicate == "replace" else np.flatnonzero(~there)
            step = len(entries) if isinstance(self._store, MemoryStore) else _ADDED_AT_ONCE
            for start in range(0, len(chosen), step):
                part = entries.select(chosen[start : start + step])
                again = [str(name) for name in part.columns[ID] if name in known]
                if again:
                    self._store.remove(again)
                self._store.add(part, header)
        self._model = self._store.header() or header
        replaced = int(there.sum()) if on_duplicate == "replace" else 0
        return Added(int((~there).sum()), int(there.sum()) - replaced, replaced)

    def remove(self, ids: Sequence[str] = (), filter: str | None = None) -> int:
        """Remove images by name, by a filter, or those that are named and fulfil it; returns how many.

        Raises:
            ConfigError: neither is given, or the filter cannot be read.
            DataError: a name is not there.
            OwnedError: another process is changing the gallery.
        """
        if not ids and filter is None:
            raise ConfigError('Say which images to remove: ids=[...] or filter="camera = 3".')
        with self._store.writing():
            chosen = list(dict.fromkeys(ids))
            known = self._store.known(chosen)
            for name in chosen:
                if name not in known:
                    raise DataError(f"The gallery '{self._place}' has no image '{name}'.")
            if filter is not None:
                matching = self._store.matching(self._condition(filter))
                chosen = [name for name in matching if not ids or name in set(ids)]
            if chosen:
                self._store.remove(chosen)
        return len(chosen)

    def build(self) -> dict[str, Any]:
        """Make an index that fits the gallery's size and spread, and measure its recall; returns :meth:`info`.

        Raises:
            DataError: the gallery is empty.
            OwnedError: another process is changing the gallery.
        """
        with self._store.writing():
            self._store.build()
        return self.info()

    def info(self) -> dict[str, Any]:
        """What the gallery is: place, images, model, dimension, metric, columns, index with its measured recall."""
        header = self._store.header() or self._model
        described: dict[str, Any] = {"place": self._place, "images": len(self)}
        described["columns"] = {
            name: "text" if kind is str else "numbers" for name, kind in self._store.columns().items()
        }
        if header is not None:
            described |= header.plain()
        return described

    def export(self, path: str | Path) -> Path:
        """Write all images as a file of embeddings (.npz with a .json beside it, or .parquet); returns its path.

        Raises:
            DataError: the gallery is empty.
        """
        parts = list(self._store.everything())
        header = self._store.header()
        if not parts or header is None:
            raise DataError(f"The gallery '{self._place}' is empty.")
        about = {name: value for name, value in header.plain().items() if name not in ("dimension", "metric", "index")}
        save_extracted(replace(concatenated(parts), about=about), Path(path))
        return Path(path)

    # ------------------------------------------------------------------ search

    def search(
        self,
        queries: Embeddings,
        top_k: int = 20,
        *,
        filter: str | None = None,
        exclude_camera: bool = False,
        exclude_seconds: float | None = None,
        rerank: int = 0,
    ) -> Hits:
        """The images most like each query, by cosine similarity in float32.

        Args:
            queries: Q embeddings of the gallery's model.
            top_k: images for each query, 1 or more.
            filter: which images are looked at, such as ``camera != 3 and time > '2025-11-03'``; see
                :mod:`crossreid.galleries.filters`.
            exclude_camera: leave out images of the query's own camera (column ``camera``).
            exclude_seconds: of these only the ones within so many seconds of the query (column ``time``).
            rerank: re-rank so many nearest images by k-reciprocal neighbours; 0 for none.

        Returns:
            For each query its images, most alike first; fewer than ``top_k`` where fewer fulfil the conditions.

        Raises:
            ConfigError: a setting cannot be, or the filter names an unknown column.
            DataError: the queries are of another model, or the gallery is empty.
        """
        for name, value, least in (("top_k", top_k, 1), ("rerank", rerank, 0)):
            if not least <= value <= LARGEST_LIST:
                raise ConfigError(f"{name} is {value}: give {least} to {LARGEST_LIST}.")
        if self._model is None or not len(self):
            raise DataError(f"The gallery '{self._place}' is empty: add images first.")
        check_same(self._model, header_of(queries), self._place)
        condition = None if filter is None else self._condition(filter)
        probes = entries_of(queries)
        exclusions = self._exclusions(probes, exclude_camera, exclude_seconds)
        if self._model.transfer:
            return self._search_by_transfer(probes, top_k, condition, exclusions, rerank)
        candidates = self._candidates(probes, max(top_k, rerank), condition, exclusions)
        lists, scores = [], []
        for place, found in enumerate(candidates):
            similarity = found.features["main"] @ probes.features["main"][place]
            order = _best_first(similarity, found)[: max(top_k, rerank)]
            if rerank:
                order = _reranked(probes.select(slice(place, place + 1)), found, order, rerank)
            order = order[:top_k]
            lists.append(found.select(order))
            scores.append(similarity[order])
        return Hits(probes, lists, scores)

    def _condition(self, text: str) -> Filter:
        return parse_filter(text, self._store.columns())

    def _candidates(
        self, probes: Embeddings, k: int, condition: Filter | None, exclusions: Sequence[Filter | None]
    ) -> list[Embeddings]:
        """Candidates of each query; queries with one condition are asked at once."""
        found: list[Embeddings | None] = [None] * len(probes)
        groups: dict[Filter | None, list[int]] = {}
        for place, exclusion in enumerate(exclusions):
            groups.setdefault(both(condition, exclusion), []).append(place)
        for whole, places in groups.items():
            vectors = probes.features["main"][places]
            for place, entries in zip(places, self._store.nearest(vectors, k, whole), strict=True):
                found[place] = entries
        return [entries for entries in found if entries is not None]

    def _exclusions(
        self, probes: Embeddings, exclude_camera: bool, exclude_seconds: float | None
    ) -> list[Filter | None]:
        """For each query, what keeps images of its own place out."""
        if not exclude_camera:
            if exclude_seconds is not None:
                raise ConfigError(
                    "exclude_seconds says which images of the query's camera are left out: add exclude_camera."
                )
            return [None] * len(probes)
        for name in ("camera", *(() if exclude_seconds is None else ("time",))):
            if name not in probes.columns or name not in self._store.columns():
                raise ConfigError(
                    f"Queries and gallery need a column {name} to leave out images of the query's own place."
                )
        times = probes.columns.get("time", (None,) * len(probes))
        return [
            _exclusion(camera, time, exclude_seconds)
            for camera, time in zip(probes.columns["camera"], times, strict=True)
        ]

    def _search_by_transfer(
        self,
        probes: Embeddings,
        top_k: int,
        condition: Filter | None,
        exclusions: Sequence[Filter | None],
        rerank: int,
    ) -> Hits:
        """cm-SSFT: each query with the whole gallery through the method's own transfer; conditions choose among the results."""
        whole = self._store.whole()
        if self._scorer is None or whole is None:
            raise ConfigError(
                "This gallery's model compares images through a transfer: name its checkpoint as the model."
            )
        if rerank:
            raise ConfigError("Re-ranking takes cosine similarities, and this model has a transfer: leave rerank out.")
        if len(set(whole.infrared.tolist())) > 1 or bool(whole.infrared[0]) in probes.infrared:
            raise ConfigError(
                "cm-SSFT transfers between a visible and an infrared set: keep one modality in the gallery, and query by the "
                "other."
            )
        scores = self._scorer(probes, whole)
        columns = filterable(whole)
        lists, kept = [], []
        for row, exclusion in zip(scores, exclusions, strict=True):
            limits = both(condition, exclusion)
            allowed = np.arange(len(whole)) if limits is None else np.flatnonzero(limits.mask(columns))
            chosen = allowed[_best_first(row[allowed], whole.select(allowed))[:top_k]]
            lists.append(whole.select(chosen))
            kept.append(row[chosen])
        return Hits(probes, lists, kept)


def _store_at(place: str | Path | None) -> Store:
    """What keeps the entries, by the place."""
    if place is None:
        return MemoryStore(None)
    if "://" in str(place):
        return MilvusStore(str(place))
    if Path(place).suffix == ".npz":
        return MemoryStore(Path(place))
    return LanceStore(Path(place))


def _header_of_model(extractor: Extractor) -> Header:
    """What all images that an extractor embeds share; the dimension is that of one black image."""
    black = np.zeros((1, *extractor.size, 3), dtype=np.uint8)
    return header_of(extractor(black, modality="visible"))


def _exclusion(camera: Cell, time: Cell, seconds: float | None) -> Filter | None:
    """Not of this camera; or, with a window, not of this camera at about this time. None where the query's is unknown."""
    if camera is None:
        return None
    same_camera = Compared("camera", "=", camera)
    if seconds is None:
        return Not(same_camera)
    if not isinstance(time, int | float):
        return None
    since = Compared("time", ">=", time - seconds)
    until = Compared("time", "<=", time + seconds)
    return Not(Joined("AND", (same_camera, since, until)))


def _best_first(similarity: Array, entries: Embeddings) -> Array:
    """Places by falling similarity; equal ones by name, so that no store's own order shows."""
    names = np.array([str(name) for name in entries.columns[ID]])
    return np.lexsort((names, -similarity))


def _reranked(query: Embeddings, found: Embeddings, order: Array, count: int) -> Array:
    """The first ``count`` places of an order by k-reciprocal neighbours among them, then the others."""
    first = order[:count]
    scores = KReciprocal()(query, found.select(first))[0]
    return np.concatenate([first[np.argsort(-scores, kind="stable")], order[count:]])
