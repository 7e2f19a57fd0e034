"""Where a gallery's entries lie: the narrow interface behind which memory, LanceDB and Milvus are alike."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager

from crossreid.evaluation import Embeddings
from crossreid.evaluation.array_files import Array
from crossreid.galleries.candidates import Candidates
from crossreid.galleries.entries import Header
from crossreid.galleries.filters import Filter


class Store(ABC):
    """Entries (see :func:`~crossreid.galleries.entries.entries_of`) of one header."""

    @abstractmethod
    def header(self) -> Header | None:
        """What all entries share; None of a gallery that holds none yet."""

    @abstractmethod
    def columns(self) -> Mapping[str, type]:
        """The columns that filters can look at, with ``str`` or ``float`` as what they hold."""

    @abstractmethod
    def count(self) -> int:
        """Number of entries."""

    @abstractmethod
    def refresh(self) -> None:
        """See what others have changed, before a search."""

    @abstractmethod
    def writing(self) -> AbstractContextManager[None]:
        """Inside, this process alone changes the gallery, and sees what others have changed before.

        Raises:
            OwnedError: another process does.
        """

    @abstractmethod
    def known(self, ids: Sequence[str]) -> set[str]:
        """Those of some names that entries have."""

    @abstractmethod
    def add(self, entries: Embeddings, header: Header, replaced: Sequence[str] = ()) -> None:
        """Append entries, all of them or none; their names are new, or are of what they take the place of.

        Args:
            entries: of columns that fit (see :func:`~crossreid.galleries.entries.check_columns`).
            header: what they share with all of the gallery.
            replaced: those of their names that are there already.
        """

    @abstractmethod
    def remove(self, ids: Sequence[str]) -> None:
        """Remove the entries of these names."""

    @abstractmethod
    def matching(self, condition: Filter) -> list[str]:
        """Names of the entries that fulfil a condition."""

    @abstractmethod
    def nearest(self, vectors: Array, k: int, condition: Filter | None) -> Candidates:
        """For each of Q unit vectors (Q, D), entries among which its k nearest are, at least k where there are so many.

        Args:
            vectors: (Q, D) float32.
            k: entries wanted.
            condition: that they fulfil; None for any.
        """

    @abstractmethod
    def everything(self) -> Iterator[Embeddings]:
        """All entries, some at a time."""

    @abstractmethod
    def build(self) -> Header:
        """Make an index that fits the size and spread of the gallery; exact search where that is fast enough."""

    @abstractmethod
    def describe(self, header: Header) -> None:
        """Keep another description of the entries that are there."""

    def whole(self) -> Embeddings | None:
        """All entries at once with every feature, for comparisons that need them; None where the store keeps vectors alone."""
        return None
