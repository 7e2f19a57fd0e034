"""The gallery: embeddings are added, searched and removed; where they lie changes nothing else."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from crossreid.errors import ConfigError, DataError
from crossreid.evaluation import Embeddings, KReciprocal, Scorer
from crossreid.evaluation.array_files import Array
from crossreid.evaluation.calibration import Calibration
from crossreid.extraction import Extractor
from crossreid.extraction.storage import save_extracted
from crossreid.galleries.entries import (
    CALIBRATION,
    ID,
    Header,
    check_columns,
    check_same,
    concatenated,
    entries_of,
    filterable,
    header_of,
    spotted_paths,
    with_older_names,
    word_of,
)
from crossreid.galleries.exact import MemoryStore
from crossreid.galleries.exclusions import exclusions_of
from crossreid.galleries.filters import Filter, both, parse_filter
from crossreid.galleries.hits import Hits, MatchRule
from crossreid.galleries.lance import LanceStore
from crossreid.galleries.milvus import MilvusStore
from crossreid.galleries.numbering import numbered
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
            embeddings: of the gallery's model. An image's name is its column ``id``, else its path, with the picture of a video
                (column ``frame``) and the box (``x``, ``y``, ``width``, ``height``).
            on_duplicate: what is done about names that the gallery has: ``skip``, ``replace`` or ``refuse``.

        Raises:
            DataError: they are of another model, dimension or preprocessing; a name is there already and is refused; or a
                column does not fit.
            OwnedError: another process is changing the gallery.
            WriteError: the disk is full; what was there before is unchanged, or, of more than 65,536 images in a folder or on a
                server, a first part is there already.
        """
        check_choice("on_duplicate", on_duplicate, ON_DUPLICATE)
        header = header_of(embeddings)
        if header.transfer and not isinstance(self._store, MemoryStore):
            raise ConfigError(
                f"{header.method} compares images through a transfer that sees the whole gallery: keep it in memory "
                "(gallery=FILE.npz)."
            )
        if not len(embeddings):
            raise DataError("There is no image to add.")
        entries = entries_of(embeddings)
        with self._changing():
            if self._model is not None:
                check_same(self._model, header, self._place)
            check_columns(self._store.columns(), filterable(entries), self._place)
            # Pictures of videos had other names in galleries of older versions, and are found under these again.
            if ID not in embeddings.columns and self._store.known(spotted_paths(entries)):
                entries = with_older_names(entries, self._store.everything())
            names = [str(name) for name in entries.columns[ID]]
            known = self._store.known(names)
            there = np.array([name in known for name in names], dtype=bool)
            if there.any() and on_duplicate == "refuse":
                first = entries.columns[ID][int(np.argmax(there))]
                raise DataError(f"The gallery '{self._place}' has '{first}' and {int(there.sum()) - 1} others already.")
            chosen = np.flatnonzero(~there)
            if on_duplicate == "replace":
                chosen = np.arange(len(entries))
            self._add_in_parts(entries, chosen, header, known)
        already = int(there.sum())
        new = len(entries) - already
        if on_duplicate == "replace":
            return Added(new, skipped=0, replaced=already)
        return Added(new, skipped=already, replaced=0)

    def _add_in_parts(self, entries: Embeddings, chosen: Array, header: Header, known: set[str]) -> None:
        """Add the entries at some places; those whose names are ``known`` take the place of what has them."""
        step = _ADDED_AT_ONCE
        if isinstance(self._store, MemoryStore):
            step = len(entries)  # its file is written whole at every add
        for start in range(0, len(chosen), step):
            part = entries.select(chosen[start : start + step])
            replaced = [str(name) for name in part.columns[ID] if name in known]
            self._store.add(part, header, replaced)

    def remove(self, ids: Sequence[str] = (), filter: str | None = None) -> int:
        """Remove images by name, by a filter, or those that are named and fulfil it; returns how many.

        Raises:
            ConfigError: neither is given, or the filter cannot be read.
            DataError: a name is not there.
            OwnedError: another process is changing the gallery.
        """
        if not ids and filter is None:
            raise ConfigError('Say which images to remove: ids=[...] or filter="camera = 3".')
        with self._changing():
            chosen = list(dict.fromkeys(ids))  # each name once, in their order
            known = self._store.known(chosen)
            for name in chosen:
                if name not in known:
                    raise DataError(f"The gallery '{self._place}' has no image '{name}'.")
            if filter is not None:
                named = set(chosen)
                chosen = self._store.matching(self._condition(filter))
                if ids:
                    chosen = [name for name in chosen if name in named]
            if chosen:
                self._store.remove(chosen)
        return len(chosen)

    def keep_calibration(self, calibration: Calibration) -> None:
        """Keep thresholds and probabilities of the gallery's model in its description; :meth:`search` goes by them.

        Raises:
            DataError: it is of another model or preprocessing, or the gallery is empty.
            OwnedError: another process is changing the gallery.
        """
        with self._changing():
            header = self._store.header()
            if header is None:
                raise DataError(f"The gallery '{self._place}' is empty: add images first.")
            _check_calibration(calibration, header, self._place)
            self._store.describe(replace(header, calibration=calibration.compact().plain()))

    def calibration(self) -> Calibration | None:
        """Thresholds and probabilities that the gallery keeps; None where it keeps none.

        Raises:
            DataError: they are damaged.
        """
        header = self._store.header()
        if header is None or not header.calibration:
            return None
        return Calibration.from_plain(header.calibration, self._place)

    def build(self) -> dict[str, Any]:
        """Make an index that fits the gallery's size and spread, and measure its recall; returns :meth:`info`.

        Raises:
            DataError: the gallery is empty.
            OwnedError: another process is changing the gallery.
        """
        with self._changing():
            self._store.build()
        return self.info()

    def info(self) -> dict[str, Any]:
        """What the gallery is: place, images, model, dimension, metric, columns, index with its measured recall."""
        header = self._store.header() or self._model
        described: dict[str, Any] = {"place": self._place, "images": len(self)}
        described["columns"] = {name: word_of(kind) for name, kind in self._store.columns().items()}
        if header is not None:
            described |= header.plain()
            described[CALIBRATION] = _in_short(self.calibration())
        return described

    def export(self, path: str | Path) -> Path:
        """Write all images as a file of embeddings (.npz with a .json beside it, or .parquet); returns its path.

        Persons and cameras are numbered over all images, by the columns ``person`` and ``camera``.

        Raises:
            DataError: the gallery is empty.
        """
        self._store.refresh()
        parts = list(self._store.everything())
        header = self._store.header()
        if not parts or header is None:
            raise DataError(f"The gallery '{self._place}' is empty.")
        about = header.plain()
        for name in ("dimension", "metric", "index"):
            del about[name]  # of a gallery, and not of embeddings
        whole = numbered(concatenated(parts))
        save_extracted(replace(whole, about=about), Path(path))
        return Path(path)

    @contextmanager
    def _changing(self) -> Iterator[None]:
        """Inside, this process alone changes the gallery, and knows what others have changed since it was opened."""
        with self._store.writing():
            self._model = self._store.header() or self._model
            yield
            self._model = self._store.header() or self._model

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
        calibration: Calibration | None = None,
        false_match_rate: float | None = None,
        per_camera: bool = False,
    ) -> Hits:
        """The images most like each query, by cosine similarity in float32.

        With a calibration each image says whether it matches, and how probable that is. Images that others have added since
        the gallery was opened are found too, in a folder or on a server; an .npz is read once.

        Args:
            queries: Q embeddings of the gallery's model.
            top_k: images for each query, 1 or more.
            filter: which images are looked at, such as ``camera != 3 and time > '2025-11-03'``; see
                :mod:`crossreid.galleries.filters`.
            exclude_camera: leave out images of the query's own camera (column ``camera``).
            exclude_seconds: of these only the ones within so many seconds of the query (column ``time``).
            rerank: re-rank so many nearest images by k-reciprocal neighbours; 0 for none.
            calibration: thresholds and probabilities of the model; None for those that the gallery keeps, if any.
            false_match_rate: share of pairs of two persons that match all the same; None for the smallest that is calibrated.
            per_camera: go by thresholds of the two cameras (column ``camera``), where there are some.

        Returns:
            For each query its images, most alike first; fewer than ``top_k`` where fewer fulfil the conditions.

        Raises:
            ConfigError: a setting cannot be, or the filter names an unknown column.
            DataError: the queries are of another model, a column of theirs does not fit, or the gallery is empty.
        """
        _check_length("top_k", top_k, least=1)
        _check_length("rerank", rerank, least=0)
        model, condition = self.prepare(filter)
        check_same(model, header_of(queries), self._place)
        probes = entries_of(queries)
        exclusions = exclusions_of(probes, self._store, self._place, exclude_camera, exclude_seconds)
        if model.transfer:
            if calibration is not None or false_match_rate is not None or per_camera:
                raise ConfigError(
                    f"{model.method} compares images through a transfer, whose similarities are not calibrated: leave "
                    "calibration, false_match_rate and per_camera out."
                )
            return self._search_by_transfer(probes, top_k, condition, exclusions, rerank)
        rule = self._rule(calibration, false_match_rate, per_camera)
        return self._search_by_cosine(probes, top_k, condition, exclusions, rerank, rule)

    def prepare(self, filter: str | None = None) -> tuple[Header, Filter | None]:
        """What a search can be refused for before its queries are embedded; the model of the images, and the condition.

        Raises:
            ConfigError: the filter cannot be read, or names an unknown column.
            DataError: the gallery is empty.
        """
        self._store.refresh()
        self._model = self._store.header() or self._model
        if self._model is None or not len(self):
            raise DataError(f"The gallery '{self._place}' is empty: add images first.")
        if filter is None:
            return self._model, None
        return self._model, self._condition(filter)

    def _condition(self, text: str) -> Filter:
        return parse_filter(text, self._store.columns())

    def _rule(self, calibration: Calibration | None, rate: float | None, per_camera: bool) -> MatchRule | None:
        """By what images match; None without a calibration."""
        header = self._model
        assert header is not None, "search looks whether the gallery is empty"
        known = calibration or self.calibration()
        if known is None:
            if rate is not None or per_camera:
                raise ConfigError(
                    f"The gallery '{self._place}' has no calibration, which false_match_rate and per_camera go by: make one "
                    "with crossreid.calibrate, or leave them out."
                )
            return None
        _check_calibration(known, header, self._place)
        if rate is None:
            rate = known.default_rate()
        known.check_rate(rate)
        return MatchRule(known, rate, per_camera)

    def _shortlists(
        self, probes: Embeddings, k: int, condition: Filter | None, exclusions: Sequence[Filter | None]
    ) -> list[tuple[Embeddings, Array]]:
        """For each query, entries and the places of its candidates among them; queries with one condition are asked at once.

        What a query leaves out depends on its camera and time, so that each may have a condition of its own.
        """
        shortlists: dict[int, tuple[Embeddings, Array]] = {}
        groups: dict[Filter | None, list[int]] = {}
        for query, exclusion in enumerate(exclusions):
            groups.setdefault(both(condition, exclusion), []).append(query)
        for whole, queries in groups.items():
            found = self._store.nearest(probes.features["main"][queries], k, whole)
            for query, places in zip(queries, found.places, strict=True):
                shortlists[query] = (found.pool, places)
        return [shortlists[query] for query in range(len(probes))]

    def _search_by_cosine(
        self,
        probes: Embeddings,
        top_k: int,
        condition: Filter | None,
        exclusions: Sequence[Filter | None],
        rerank: int,
        rule: MatchRule | None,
    ) -> Hits:
        """The store's candidates for each query, compared exactly and perhaps re-ranked."""
        wanted = max(top_k, rerank)
        lists = []
        scores = []
        for place, (pool, candidates) in enumerate(self._shortlists(probes, wanted, condition, exclusions)):
            # (n, D) @ (D,): both are of unit length, so that the product is their cosine
            similarity = pool.features["main"][candidates] @ probes.features["main"][place]
            order = _best_first(similarity, pool, candidates)[:wanted]
            if rerank:
                query = probes.select(slice(place, place + 1))
                order = _reranked(query, pool, candidates, order, rerank)
            order = order[:top_k]
            lists.append(pool.select(candidates[order]))
            scores.append(similarity[order])  # re-ranking changes the order alone
        return Hits(probes, lists, scores, rule)

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
        scores = self._scorer(probes, whole)  # (Q, N)
        columns = filterable(whole)
        lists = []
        kept = []
        for row, exclusion in zip(scores, exclusions, strict=True):
            limits = both(condition, exclusion)
            allowed = np.arange(len(whole))
            if limits is not None:
                allowed = np.flatnonzero(limits.mask(columns))
            order = _best_first(row[allowed], whole, allowed)
            chosen = allowed[order[:top_k]]
            lists.append(whole.select(chosen))
            kept.append(row[chosen])
        return Hits(probes, lists, kept)


def require_gallery(place: str | Path) -> None:
    """Raise :class:`DataError` where nothing lies at a place that is to be searched; a server is not asked."""
    if "://" not in str(place) and not Path(place).exists():
        raise DataError(f"There is no gallery '{place}': check its path, or make it with crossreid.index add.")


def _store_at(place: str | Path | None) -> Store:
    """What keeps the entries, by the place."""
    if place is None:
        return MemoryStore(None)
    if "://" in str(place):
        return MilvusStore(str(place))
    if Path(place).suffix == ".npz":
        return MemoryStore(Path(place))
    return LanceStore(Path(place))


def _check_length(name: str, value: int, *, least: int) -> None:
    if not least <= value <= LARGEST_LIST:
        raise ConfigError(f"{name} is {value}: give {least} to {LARGEST_LIST}.")


def _check_calibration(calibration: Calibration, header: Header, place: str) -> None:
    """Refuse thresholds of another model.

    Raises:
        DataError: they are of another model, or of images in another preprocessing.
    """
    if not calibration.fits(header.model, header.preprocessing):
        raise DataError(
            f"The calibration is of another model, or of images that came to pixels otherwise, than the gallery '{place}': "
            "calibrate the gallery's model."
        )


def _in_short(calibration: Calibration | None) -> dict[str, Any]:
    """What a calibration is, for people: the thresholds at its smallest rate."""
    if calibration is None:
        return {}
    described: dict[str, Any] = {}
    for name, pair in calibration.pairs.items():
        thresholds = [f"{entry.threshold:.3f} at {entry.rate:g}" for entry in pair.thresholds]
        described[name] = "; ".join(thresholds)
    return described


def _header_of_model(extractor: Extractor) -> Header:
    """What all images that an extractor embeds share; the dimension is that of one black image."""
    black = np.zeros((1, *extractor.size, 3), dtype=np.uint8)
    return header_of(extractor(black, modality="visible"))


def _best_first(similarity: Array, entries: Embeddings, places: Array) -> Array:
    """The order of some of the entries by falling similarity; equal ones by name, so that no store's own order shows."""
    ids = entries.columns[ID]
    names = np.array([str(ids[place]) for place in places.tolist()])
    return np.lexsort((names, -similarity))  # the last key is sorted by first


def _reranked(query: Embeddings, entries: Embeddings, places: Array, order: Array, count: int) -> Array:
    """The first ``count`` of an order of some of the entries by k-reciprocal neighbours among them, then the others."""
    first = order[:count]
    scores = KReciprocal()(query, entries.select(places[first]))[0]
    reranked = first[np.argsort(-scores, kind="stable")]
    return np.concatenate([reranked, order[count:]])
