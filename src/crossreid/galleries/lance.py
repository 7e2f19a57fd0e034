"""A gallery in a folder, by LanceDB (extra ``search``): versions on disk, so that what is cut off leaves the last whole one.

Up to :data:`EXACT` images are compared one by one. An index beyond that is an inverted file with rotated binary codes
(IVF_RQ): it finds candidates, which are then compared exactly.
"""

from __future__ import annotations

import os
import re
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from crossreid.console import notice
from crossreid.errors import ConfigError, CrossReIDError, DataError, WriteError
from crossreid.evaluation import Embeddings
from crossreid.evaluation.array_files import Array
from crossreid.files import check_folder
from crossreid.galleries.candidates import Candidates, Nearest
from crossreid.galleries.entries import ID, Header
from crossreid.galleries.filters import Filter, literal
from crossreid.galleries.recall import choose_probes
from crossreid.galleries.store import Store
from crossreid.galleries.tables import QUERY, ROW, VECTOR, entries_of_table, table_of, with_columns_of
from crossreid.galleries.writer import FileVersion, one_writer, version_of
from crossreid.runs.folder import write_json
from crossreid.untrusted import read_json

EXACT = 50_000
"""Up to so many images comparing all of them takes some milliseconds."""
HEADER = "gallery.json"
_TABLE = "images"
_TOGETHER = 8
"""From so many queries on, all vectors are read once instead of once a query."""
_AT_ONCE = 16_384
"""Entries that are read at once."""
_REMOVED_AT_ONCE = 1000
_SOURCE_FILE = re.compile(r",?\s*\S*/registry/src/\S*")
_ERROR_NAME = re.compile(r"\b(?:[a-z]+ error|\w*(?:Error|Exception))\b(?:\(\w+\))?:?\s*")
_IN_PARTITION, _PARTITIONS, _IN_LARGE_PARTITION = 200, 1000, 1000
"""Entries of a small partition, about; partitions up to which they are small; entries of a large one."""
_FEWEST_LEARNED_FROM, _MOST_LEARNED_FROM, _LEARNED_FROM = 128, 256, 128_000
"""Entries that a centre is learned from, at least and at most, and all centres together, if that allows it."""


class LanceStore(Store):
    """One table in a folder, and what all its entries share in ``gallery.json``.

    Args:
        folder: of the gallery; made by the first entries.

    Raises:
        ConfigError: LanceDB is not installed.
        DataError: something else lies in the folder, or it is damaged.
    """

    def __init__(self, folder: Path) -> None:
        if find_spec("lancedb") is None:
            raise ConfigError(
                f"The gallery '{folder}' needs the package lancedb: pip install 'crossreid[search]', or use an .npz."
            )
        self.folder = folder
        self._header: Header | None = None
        self._version: FileVersion | None = None
        self._read_header()
        if self._header is None and folder.exists() and not (folder.is_dir() and not any(folder.iterdir())):
            raise DataError(f"'{folder}' is there and no gallery: choose another name.")
        self._opened: Any = None

    # ------------------------------------------------------------------ what is there

    def header(self) -> Header | None:
        """See the base."""
        return self._header

    def columns(self) -> Mapping[str, type]:
        """See the base."""
        table = self._table()
        if table is None:
            return {}
        kinds: dict[str, type] = {}
        for item in table.schema:
            if item.name not in (VECTOR, "infrared"):
                is_text = str(item.type) in ("string", "large_string")
                kinds[item.name] = str if is_text else float
        return kinds

    def count(self) -> int:
        """See the base."""
        table = self._table()
        if table is None:
            return 0
        return int(table.count_rows())

    def known(self, ids: Sequence[str]) -> set[str]:
        """See the base."""
        table = self._table()
        if table is None:
            return set()
        names = self._read(lambda: table.search().select([ID]).limit(None).to_arrow())[ID]
        return set(ids) & set(names.to_pylist())

    def matching(self, condition: Filter) -> list[str]:
        """See the base."""
        table = self._table()
        if table is None:
            return []
        found = self._read(lambda: table.search().where(condition.sql()).select([ID]).limit(None).to_arrow())
        return [str(name) for name in found[ID].to_pylist()]

    def everything(self) -> Iterator[Embeddings]:
        """See the base."""
        table = self._table()
        if table is not None:
            for batch in self._batches(table.search().limit(None)):
                yield self._entries(batch)

    def _batches(self, search: Any) -> Iterator[Any]:
        """What a search gives, some rows at a time: a gallery may be larger than memory."""
        batches = self._read(lambda: search.to_batches(_AT_ONCE))
        while (batch := self._read(lambda: next(batches, None))) is not None:
            yield batch

    # ------------------------------------------------------------------ changes

    @contextmanager
    def writing(self) -> Iterator[None]:
        """See the base."""
        with one_writer(self.folder):
            self._read_header()
            self._opened = None
            yield

    def add(self, entries: Embeddings, header: Header, replaced: Sequence[str] = ()) -> None:
        """See the base; the table's new version is there when all entries are."""
        check_folder(self.folder, "gallery")
        if self._header is None:
            self.describe(header)  # before the table, which is not opened without it
        content = table_of(entries)
        table = self._table()
        if table is None:
            self._write(lambda: self._database().create_table(_TABLE, content))
        else:
            self._add_columns(table, content)
            fitting = with_columns_of(content, table.schema)
            if replaced:
                merging = table.merge_insert(ID).when_matched_update_all().when_not_matched_insert_all()
                self._write(lambda: merging.execute(fitting))
            else:
                self._write(lambda: table.add(fitting))
        self._opened = None

    def remove(self, ids: Sequence[str]) -> None:
        """See the base."""
        table = self._table()
        if table is None:
            return
        for start in range(0, len(ids), _REMOVED_AT_ONCE):
            listed = ", ".join(literal(name) for name in ids[start : start + _REMOVED_AT_ONCE])
            self._write(lambda listed=listed: table.delete(f"`{ID}` IN ({listed})"))

    def build(self) -> Header:
        """See the base; as many partitions are looked at as reach the recall on a sample."""
        table = self._table()
        if table is None or self._header is None:
            raise DataError(f"The gallery '{self.folder}' is empty: add images first.")
        count = self.count()
        if count <= EXACT:
            notice(f"{count} images are compared one by one in some milliseconds: no index is needed up to {EXACT}.")
            self.describe(replace(self._header, index={}))
            return self._header
        from lancedb.index import IvfRq  # noqa: PLC0415 - extra `search`

        partitions, sample = partitions_of(count)
        config = IvfRq(distance_type="cosine", num_partitions=partitions, sample_rate=sample)
        self._write(lambda: table.create_index(VECTOR, config=config))
        self._opened = None
        self.describe(replace(self._header, index={"partitions": partitions, "images": count}))
        index = choose_probes(self, partitions)  # and how many candidates
        self.describe(replace(self._header, index={**self._header.index, **index}))
        return self._header

    # ------------------------------------------------------------------ search

    def nearest(self, vectors: Array, k: int, condition: Filter | None) -> Candidates:
        """See the base."""
        index: Mapping[str, Any] = {}
        if self._header is not None:
            index = self._header.index
        probes = int(index.get("probes", 0))
        refine = int(index.get("refine", 1))
        if not probes and len(vectors) >= _TOGETHER:
            return self._by_products(vectors, k, condition)
        return self.nearest_with(vectors, k, condition, probes, refine, further=True)

    def nearest_with(
        self, vectors: Array, k: int, condition: Filter | None, probes: int, refine: int, *, further: bool = False
    ) -> Candidates:
        """As :meth:`nearest`, looking at so many partitions of the index, 0 for all entries one by one.

        Args:
            vectors: (Q, D) float32.
            k: entries wanted.
            condition: that they fulfil; None for any.
            probes: partitions.
            refine: candidates for each entry wanted: the index knows the order of its entries coarsely.
            further: look at more partitions while these hold fewer candidates, as where few entries fulfil a condition.
        """
        table = self._table()
        assert table is not None, "a gallery looks whether it is empty before it searches"
        search = table.search(np.ascontiguousarray(vectors), vector_column_name=VECTOR).distance_type("cosine")
        if condition is not None:
            search = search.where(condition.sql(), prefilter=True)  # else fewer than k of the nearest might be left
        if probes:
            most_probes = 0 if further else probes  # 0 is no limit
            search = search.minimum_nprobes(probes).maximum_nprobes(most_probes)
            search = search.limit(k * refine)
        else:
            search = search.bypass_vector_index().limit(k)
        search = search.with_row_id(True)
        many = len(vectors) >= _TOGETHER
        if many:  # they find the same entries again and again: row numbers first, then each entry once
            search = search.select(["_distance"])
        answer = self._read(search.to_arrow)
        query = np.zeros(len(answer), np.int64)
        if QUERY in answer.column_names:  # not there for one vector
            query = answer[QUERY].to_numpy()
        content = None
        if not many:
            content = answer
        return self._candidates(answer[ROW].to_numpy(), query, len(vectors), content)

    def _by_products(self, vectors: Array, k: int, condition: Filter | None) -> Candidates:
        """As :meth:`nearest` without an index: the vectors are read once for all queries."""
        table = self._table()
        assert table is not None, "a gallery looks whether it is empty before it searches"
        search = table.search().select([VECTOR]).with_row_id(True).limit(None)
        if condition is not None:
            search = search.where(condition.sql())
        nearest = Nearest(vectors, k)
        rows: list[Array] = [np.empty(0, np.uint64)]
        for batch in self._batches(search):
            flat = batch.column(VECTOR).flatten().to_numpy(zero_copy_only=False)
            nearest.add(flat.reshape(batch.num_rows, -1))
            rows.append(batch.column(ROW).to_numpy())
        chosen = np.concatenate(rows)[nearest.rows]  # (Q, n)
        query = np.repeat(np.arange(len(vectors)), chosen.shape[1])
        return self._candidates(chosen.reshape(-1), query, len(vectors))

    def _candidates(self, rows: Array, query: Array, queries: int, content: Any = None) -> Candidates:
        """Entries by the table's row numbers (M,), whose queries are (M,); each entry is read once.

        Where ``content`` has the M entries already, they are not read again.
        """
        unique, first, places = np.unique(rows, return_index=True, return_inverse=True)
        if content is not None:
            entries = self._entries(content.take(first))
        else:
            table = self._table()
            read = self._read(lambda: table.take_row_ids(unique.tolist()).with_row_id().to_arrow())
            order = np.argsort(read[ROW].to_numpy())  # they come in the table's own order
            entries = self._entries(read)
            places = order[places]
        # Gathered by query, and cut where the next query's begin: a query that found nothing has an empty part.
        by_query = np.argsort(query, kind="stable")
        cuts = np.searchsorted(query[by_query], np.arange(1, queries))
        return Candidates(entries, np.split(places[by_query], cuts))

    def _add_columns(self, table: Any, content: Any) -> None:
        """Give a table the columns that it lacks, empty so far."""
        for name in content.column_names:
            if name not in table.schema.names:
                is_text = str(content.schema.field(name).type) == "string"
                kind = "string" if is_text else "double"
                self._write(lambda name=name, kind=kind: table.add_columns({name: f"cast(NULL as {kind})"}))

    def _entries(self, table: Any) -> Embeddings:
        """Rows of a table, or a batch of them, as entries."""
        assert self._header is not None
        return entries_of_table(table, self._header.dimension)

    # ------------------------------------------------------------------ the folder

    def _database(self) -> Any:
        os.environ.setdefault("LANCEDB_LOG", "error")  # building an index warns some hundred times of a full queue
        import lancedb  # noqa: PLC0415 - extra `search`

        return lancedb.connect(self.folder)

    def _table(self) -> Any:
        """The table, opened once; None where there is none yet."""
        if self._opened is None and self._header is not None:
            if not (self.folder / f"{_TABLE}.lance").is_dir():
                return None  # a first add was cut off before it had written anything
            self._opened = self._read(lambda: self._database().open_table(_TABLE))
        return self._opened

    def refresh(self) -> None:
        """See the base."""
        self._read_header()
        if self._header is None:
            self._opened = None
        elif self._opened is not None:
            self._read(self._opened.checkout_latest)

    def _read_header(self) -> None:
        path = self.folder / HEADER
        version = version_of(path)
        if version == self._version:
            return
        header = None
        if version is not None:
            header = Header.from_plain(read_json(path), path)
        self._header = header
        self._version = version

    def describe(self, header: Header) -> None:
        """See the base."""
        write_json(self.folder / HEADER, header.plain())
        self._header = header
        self._version = version_of(self.folder / HEADER)

    def _read(self, work: Any) -> Any:
        """Do what reads the table; what is wrong with it is said in one sentence."""
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                return work()
        except CrossReIDError:
            raise
        except Exception as error:  # a damaged table makes the library raise nearly anything
            raise DataError(
                f"The gallery '{self.folder}' cannot be read ({_in_words(error)}): restore it, or make it anew."
            ) from error

    def _write(self, work: Any) -> None:
        """Do what changes the table; the version before stays where it fails."""
        try:
            work()
        except CrossReIDError:
            raise
        except Exception as error:  # a full disk makes the library raise nearly anything
            raise WriteError(
                f"The gallery '{self.folder}' could not be changed ({_in_words(error)}): free some space, or choose another "
                "place; what was there before is unchanged."
            ) from error


def partitions_of(count: int) -> tuple[int, int]:
    """How an index of so many entries is divided, chosen by measuring (``benchmarks/searching.py``).

    Returns:
        partitions, and entries that the centre of each is learned from.
    """
    # Small ones hold few persons, so that few entries are looked at. But each one that is looked at costs too.
    partitions = max(1, count // _IN_LARGE_PARTITION, min(_PARTITIONS, count // _IN_PARTITION))
    sample = _LEARNED_FROM // partitions  # these entries lie in memory
    return partitions, min(_MOST_LEARNED_FROM, max(_FEWEST_LEARNED_FROM, sample))


def _in_words(error: Exception) -> str:
    """What the library says is wrong, without the names of its own errors and source files."""
    text = " ".join(str(error).split())
    text = _SOURCE_FILE.sub("", text)
    text = _ERROR_NAME.sub("", text)
    return text[:160].strip(" ,:") or "the library says no more"
