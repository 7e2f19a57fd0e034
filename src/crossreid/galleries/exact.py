"""Exact search in memory, of entries that lie in an .npz or nowhere."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np

from crossreid.console import notice
from crossreid.errors import DataError
from crossreid.evaluation import Embeddings
from crossreid.evaluation.array_files import Array
from crossreid.galleries.candidates import Candidates, Nearest
from crossreid.galleries.entries import (
    CALIBRATION,
    ID,
    Header,
    concatenated,
    entries_of,
    filterable,
    header_of,
    type_of,
)
from crossreid.galleries.filters import Filter
from crossreid.galleries.store import Store
from crossreid.galleries.writer import FileVersion, one_writer, version_of


class MemoryStore(Store):
    """All entries in one matrix.

    Args:
        path: an .npz of embeddings to open or to make, written whole at every change; None for none.
    """

    def __init__(self, path: Path | None) -> None:
        self.path = path
        self._entries: Embeddings | None = None
        self._version: FileVersion | None = None
        if path is not None:
            self._read(path)

    def header(self) -> Header | None:
        """See the base."""
        if self._entries is None:
            return None
        return header_of(self._entries)

    def columns(self) -> Mapping[str, type]:
        """See the base."""
        if self._entries is None:
            return {}
        kinds: dict[str, type] = {}
        for name, cells in filterable(self._entries).items():
            kind = type_of(name, cells)
            if kind is not None:
                kinds[name] = kind
        return kinds

    def count(self) -> int:
        """See the base."""
        if self._entries is None:
            return 0
        return len(self._entries)

    def refresh(self) -> None:
        """See the base: a file is read once, and again before it is changed."""

    @contextmanager
    def writing(self) -> Iterator[None]:
        """See the base."""
        if self.path is None:  # no other process sees what lies in memory
            yield
            return
        with one_writer(self.path):
            if version_of(self.path) != self._version:
                self._read(self.path)
            yield

    def known(self, ids: Sequence[str]) -> set[str]:
        """See the base."""
        if self._entries is None:
            return set()
        names = {str(name) for name in self._entries.columns[ID]}
        return names.intersection(ids)

    def add(self, entries: Embeddings, header: Header, replaced: Sequence[str] = ()) -> None:
        """See the base."""
        if self._entries is None:
            self._keep(entries)
            return
        if set(self._entries.features) != set(entries.features):
            raise DataError(
                f"The gallery holds the features {', '.join(self._entries.features)}, and these images have "
                f"{', '.join(entries.features)}."
            )
        others = _without(self._entries, replaced)
        self._keep(concatenated([others, entries]))

    def remove(self, ids: Sequence[str]) -> None:
        """See the base."""
        if self._entries is not None:
            self._keep(_without(self._entries, ids))

    def matching(self, condition: Filter) -> list[str]:
        """See the base."""
        if self._entries is None:
            return []
        chosen = self._entries.select(condition.mask(filterable(self._entries)))
        return [str(name) for name in chosen.columns[ID]]

    def nearest(self, vectors: Array, k: int, condition: Filter | None) -> Candidates:
        """See the base; all queries are compared with all entries by matrix products."""
        entries = self._entries
        assert entries is not None, "a gallery looks whether it is empty before it searches"
        places = np.arange(len(entries))
        matrix = entries.features["main"]
        if condition is not None:
            places = np.flatnonzero(condition.mask(filterable(entries)))
            matrix = matrix[places]
        nearest = Nearest(vectors, k)
        nearest.add(matrix)
        # Rows count among the entries that fulfil the condition; their places, among all.
        return Candidates(entries, list(places[nearest.rows]))

    def everything(self) -> Iterator[Embeddings]:
        """See the base."""
        if self._entries is not None:
            yield self._entries

    def build(self) -> Header:
        """See the base."""
        header = self.header()
        if header is None:
            raise DataError("The gallery is empty: add images first.")
        notice("A gallery in memory is searched exactly: there is no index to build.")
        return replace(header, index={})

    def describe(self, header: Header) -> None:
        """See the base."""
        if self._entries is not None:
            about = {**self._entries.about, CALIBRATION: dict(header.calibration)}
            self._keep(replace(self._entries, about=about))

    def whole(self) -> Embeddings | None:
        """See the base."""
        return self._entries

    def _read(self, path: Path) -> None:
        # The version is taken first: a change while the file is read is then seen at the next look.
        version = version_of(path)
        entries = None
        if version is not None:
            entries = entries_of(Embeddings.load(path))
        self._entries = entries
        self._version = version

    def _keep(self, entries: Embeddings) -> None:
        if self.path is not None:
            entries.save(self.path)
            self._version = version_of(self.path)
        self._entries = entries


def _without(entries: Embeddings, ids: Sequence[str]) -> Embeddings:
    """Entries but for those of some names."""
    gone = set(ids)
    kept = np.array([name not in gone for name in entries.columns[ID]], dtype=bool)
    return entries.select(kept)
