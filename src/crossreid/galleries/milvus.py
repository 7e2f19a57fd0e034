"""A gallery on a Milvus server or cluster, by pymilvus (extra ``milvus``), for those who outgrow one machine.

``http://HOST:PORT/NAME`` is the collection NAME (``crossreid`` where none is given); a token is taken from the environment
variable ``MILVUS_TOKEN``. What all images share stands in a second collection, ``NAME_about``. Names and vectors are fields,
everything else is dynamic, so columns may come later. The server settles who writes when.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from importlib.util import find_spec
from typing import Any
from urllib.parse import urlsplit

import numpy as np

from crossreid.errors import ConfigError, CrossReIDError, DataError, reason_of
from crossreid.evaluation import Embeddings
from crossreid.evaluation.array_files import Array
from crossreid.galleries.candidates import Candidates
from crossreid.galleries.entries import (
    ID,
    OWN_COLUMNS,
    Header,
    check_columns,
    check_same,
    filterable,
    type_of,
    word_of,
)
from crossreid.galleries.filters import Filter
from crossreid.galleries.recall import choose_effort
from crossreid.galleries.store import Store
from crossreid.untrusted import MOST_BYTES_OF_SETTINGS

EXACT = 50_000
"""Up to so many images comparing all of them takes some milliseconds."""
TOKEN = "MILVUS_TOKEN"
_DEFAULT = "crossreid"
_COLLECTION = re.compile(r"[A-Za-z_]\w{0,200}", re.ASCII)
_VECTOR = "vector"
_ROWS_AT_ONCE = 1000
"""A message may have 64 MiB."""
_LONGEST_ID = 4096
_LONGEST_ABOUT = 65_535
_SECONDS = 30.0
_EFFORTS = (64, 128, 256, 512, 1024)
"""Candidates that a search in the index's graph keeps (``ef``)."""
_KINDS = {"text": str, "numbers": float}


class MilvusStore(Store):
    """One collection.

    Args:
        address: of the server, with the collection's name as its path.

    Raises:
        ConfigError: the address is none, or pymilvus is not installed.
        DataError: the server does not answer, or the collection is no gallery.
    """

    def __init__(self, address: str) -> None:
        parts = urlsplit(address)
        self.address = address
        self.name = parts.path.strip("/") or _DEFAULT
        if parts.scheme not in ("http", "https") or not parts.netloc or not _COLLECTION.fullmatch(self.name):
            raise ConfigError(f"gallery is '{address}': an address is http://HOST:PORT/NAME, of letters, digits and _.")
        if find_spec("pymilvus") is None:
            raise ConfigError(f"The gallery '{address}' needs the package pymilvus: pip install 'crossreid[milvus]'.")
        from pymilvus import MilvusClient  # noqa: PLC0415 - extra `milvus`

        server = f"{parts.scheme}://{parts.netloc}"
        token = os.environ.get(TOKEN, "")
        self._client: Any = self._ask(lambda: MilvusClient(uri=server, token=token, timeout=_SECONDS))
        self._header: Header | None = None
        self._kinds: dict[str, type] = {}
        self.refresh()
        if self._header is None and not self._has(self._about) and self._has(self.name):
            raise DataError(f"The collection '{self.name}' at '{server}' is no gallery: choose another name.")

    @property
    def _about(self) -> str:
        return f"{self.name}_about"

    # ------------------------------------------------------------------ what is there

    def header(self) -> Header | None:
        """See the base."""
        return self._header

    def columns(self) -> Mapping[str, type]:
        """See the base."""
        return self._kinds

    def count(self) -> int:
        """See the base."""
        if self._header is None:
            return 0
        answer = self._ask(lambda: self._client.query(self.name, filter="", output_fields=["count(*)"]))
        return int(answer[0]["count(*)"])

    def known(self, ids: Sequence[str]) -> set[str]:
        """See the base."""
        found: set[str] = set()
        if self._header is None:
            return found
        for start in range(0, len(ids), _ROWS_AT_ONCE):
            condition = _one_of(ids[start : start + _ROWS_AT_ONCE])
            rows = self._ask(
                lambda condition=condition: self._client.query(
                    self.name, filter=condition, output_fields=[ID], limit=_ROWS_AT_ONCE
                )
            )
            found.update(row[ID] for row in rows)
        return found

    def matching(self, condition: Filter) -> list[str]:
        """See the base."""
        names: list[str] = []
        for rows in self._rows(condition.milvus(), [ID]):
            names += [row[ID] for row in rows]
        return names

    def everything(self) -> Iterator[Embeddings]:
        """See the base."""
        for rows in self._rows("", ["*"]):
            yield self._entries(rows)

    def _rows(self, condition: str, fields: list[str]) -> Iterator[list[dict[str, Any]]]:
        """Rows that fulfil a condition, some at a time."""
        if self._header is None:
            return
        walk = self._ask(
            lambda: self._client.query_iterator(
                self.name, batch_size=_ROWS_AT_ONCE, filter=condition, output_fields=fields
            )
        )
        while rows := self._ask(walk.next):
            yield list(rows)
        walk.close()

    # ------------------------------------------------------------------ changes

    def refresh(self) -> None:
        """See the base: what all images share is asked for again; the images are at every search."""
        if self._header is not None or self._has(self._about):
            self._read_about()

    @contextmanager
    def writing(self) -> Iterator[None]:
        """See the base: the server settles it, and a name that two add at once is there once."""
        self.refresh()
        yield

    def add(self, entries: Embeddings, header: Header, replaced: Sequence[str] = ()) -> None:
        """See the base; what is cut off has some of the entries, and the next add goes on.

        The server itself puts an entry in the place of the one that has its name.
        """
        lengths = [len(str(name).encode()) for name in entries.columns[ID]]  # the server counts bytes
        if max(lengths) > _LONGEST_ID:
            raise DataError(f"The name of an image has more than {_LONGEST_ID} bytes: add a column id of shorter ones.")
        if self._header is None:
            # Images without their description are taken for somebody else's; a description without images is a first add that
            # was cut off, and the next one goes on.
            self._make_about()
            self._make_images(header, entries)
        kinds = dict(self._kinds)
        for name, cells in filterable(entries).items():
            kind = type_of(name, cells)
            if kind is not None:
                kinds.setdefault(name, kind)
        if self._header is None or kinds != self._kinds:
            self._write_about(self._header or header, kinds)
        rows = self._as_rows(entries)
        for start in range(0, len(rows), _ROWS_AT_ONCE):
            part = rows[start : start + _ROWS_AT_ONCE]
            self._ask(lambda part=part: self._client.upsert(self.name, part))

    def remove(self, ids: Sequence[str]) -> None:
        """See the base."""
        for start in range(0, len(ids), _ROWS_AT_ONCE):
            condition = _one_of(ids[start : start + _ROWS_AT_ONCE])
            self._ask(lambda condition=condition: self._client.delete(self.name, filter=condition))

    def build(self) -> Header:
        """See the base: a graph (HNSW), searched as widely as reaches the recall on a sample."""
        if self._header is None or not self.count():
            raise DataError(f"The gallery '{self.address}' is empty: add images first.")
        count = self.count()
        graph = count > EXACT
        self._ask(lambda: self._client.release_collection(self.name))
        self._ask(lambda: self._client.drop_index(self.name, index_name=_VECTOR))
        self._ask(lambda: self._client.create_index(self.name, self._index(graph)))
        self._ask(lambda: self._client.load_collection(self.name))
        index: dict[str, Any] = {}
        if graph:
            effort = choose_effort(self, _EFFORTS)
            index = {"kind": "HNSW", "images": count, **effort}
        self._write_about(replace(self._header, index=index), self._kinds)
        return self._header

    def describe(self, header: Header) -> None:
        """See the base."""
        self._write_about(header, self._kinds)

    # ------------------------------------------------------------------ search

    def nearest(self, vectors: Array, k: int, condition: Filter | None) -> Candidates:
        """See the base."""
        effort = 0
        if self._header is not None:
            effort = int(self._header.index.get("effort", 0))
        return self.nearest_with(vectors, k, condition, effort)

    def nearest_with(self, vectors: Array, k: int, condition: Filter | None, effort: int) -> Candidates:
        """As :meth:`nearest`, keeping so many candidates of the graph; 0 where there is no graph."""
        parameters = {}
        if effort:
            parameters["ef"] = max(effort, k)  # at least as many as are wanted
        filtered = ""
        if condition is not None:
            filtered = condition.milvus()
        rows: list[dict[str, Any]] = []
        counts: list[int] = []
        for start in range(0, len(vectors), _ROWS_AT_ONCE):
            part = vectors[start : start + _ROWS_AT_ONCE].tolist()
            answers = self._ask(
                lambda part=part: self._client.search(
                    self.name,
                    data=part,
                    anns_field=_VECTOR,
                    limit=k,
                    filter=filtered,
                    output_fields=["*"],
                    search_params={"params": parameters},
                )
            )
            for answer in answers:
                for hit in answer:
                    rows.append({**hit["entity"], ID: hit[ID]})
                counts.append(len(answer))
        # An image that several queries found is there once for each: rows stand query after query.
        places = np.split(np.arange(len(rows)), np.cumsum(counts)[:-1])
        return Candidates(self._entries(rows), places)

    # ------------------------------------------------------------------ between entries and rows

    def _as_rows(self, entries: Embeddings) -> list[dict[str, Any]]:
        """Rows as the server takes them: a cell that is empty has no field."""
        rows: list[dict[str, Any]] = []
        columns = filterable(entries)
        for place, vector in enumerate(entries.features["main"]):
            row: dict[str, Any] = {_VECTOR: vector.tolist()}
            for name, cells in columns.items():
                if cells[place] is not None:
                    row[name] = cells[place]
            rows.append(row)
        return rows

    def _entries(self, rows: Sequence[Mapping[str, Any]]) -> Embeddings:
        assert self._header is not None
        vectors = np.array([row[_VECTOR] for row in rows], dtype=np.float32)
        columns = {ID: [row[ID] for row in rows]}
        for name in self._kinds:
            if name not in OWN_COLUMNS:
                columns[name] = [row.get(name) for row in rows]
        return Embeddings(
            features={"main": vectors.reshape(len(rows), self._header.dimension)},  # of no rows too
            pids=[row["pid"] for row in rows],  # type: ignore[arg-type]
            camids=[row["camid"] for row in rows],  # type: ignore[arg-type]
            infrared=[row["modality"] == "infrared" for row in rows],  # type: ignore[arg-type]
            frames=np.zeros(len(rows)),
            rows=np.arange(len(rows)),
            paths=tuple(str(row["path"]) for row in rows),
            columns=columns,
        )

    # ------------------------------------------------------------------ the collections

    def _index(self, graph: bool) -> Any:
        """Settings of a graph, or of comparing all images."""
        parameters = self._client.prepare_index_params()
        kind: dict[str, Any] = {"index_type": "FLAT"}
        if graph:
            kind = {"index_type": "HNSW", "params": {"M": 16, "efConstruction": 200}}
        parameters.add_index(field_name=_VECTOR, index_name=_VECTOR, metric_type="COSINE", **kind)
        return parameters

    def _make_images(self, header: Header, entries: Embeddings) -> None:
        """The collection of the images, empty; of an earlier add that was cut off, it is made anew.

        One that another process has made and described meanwhile stays, and the entries must fit it.
        """
        from pymilvus import DataType, MilvusClient  # noqa: PLC0415 - extra `milvus`

        if self._has(self.name):
            self._read_about()  # once more, right before it goes: whoever adds images has described them before
            if self._header is not None:
                check_same(self._header, header, self.address)
                check_columns(self._kinds, filterable(entries), self.address)
                return
            self._ask(lambda: self._client.drop_collection(self.name))
        schema = MilvusClient.create_schema(auto_id=False, enable_dynamic_field=True)
        schema.add_field(ID, DataType.VARCHAR, is_primary=True, max_length=_LONGEST_ID)
        schema.add_field(_VECTOR, DataType.FLOAT_VECTOR, dim=header.dimension)
        self._make_collection(self.name, schema)

    def _make_about(self) -> None:
        """The collection of what all images share, empty: of one row (a vector belongs to every row there)."""
        from pymilvus import DataType, MilvusClient  # noqa: PLC0415 - extra `milvus`

        if self._has(self._about):
            return
        schema = MilvusClient.create_schema(auto_id=False, enable_dynamic_field=False)
        schema.add_field(ID, DataType.VARCHAR, is_primary=True, max_length=64)
        schema.add_field("content", DataType.VARCHAR, max_length=_LONGEST_ABOUT)
        schema.add_field(_VECTOR, DataType.FLOAT_VECTOR, dim=2)
        self._make_collection(self._about, schema)

    def _make_collection(self, name: str, schema: Any) -> None:
        """A collection whose changes are seen at once; all of its vectors are compared until an index is built."""
        self._ask(
            lambda: self._client.create_collection(
                name, schema=schema, index_params=self._index(False), consistency_level="Strong"
            )
        )

    def _write_about(self, header: Header, kinds: Mapping[str, type]) -> None:
        """What all images share."""
        columns = {name: word_of(kind) for name, kind in kinds.items()}
        content = json.dumps({**header.plain(), "columns": columns})
        if len(content.encode()) > _LONGEST_ABOUT:
            raise DataError(
                f"The gallery '{self.address}' has too many columns, or its calibration too many cameras: the server takes "
                f"{_LONGEST_ABOUT} bytes of description."
            )
        row = {ID: "gallery", "content": content, _VECTOR: [1.0, 0.0]}
        self._ask(lambda: self._client.upsert(self._about, [row]))
        self._header = header
        self._kinds = dict(kinds)

    def _read_about(self) -> None:
        """What all images share, from the second collection."""
        rows = self._ask(
            lambda: self._client.query(self._about, filter=f'{ID} == "gallery"', output_fields=["content"])
        )
        if not rows:
            return  # a first add was cut off
        described = _group_in(str(rows[0]["content"]))
        columns = described.get("columns")
        if not isinstance(columns, dict) or not all(kind in _KINDS for kind in columns.values()):
            raise DataError(f"'{self.address}' does not describe a gallery: restore it, or make the gallery anew.")
        self._header = Header.from_plain(described, self.address)
        self._kinds = {str(name): _KINDS[kind] for name, kind in columns.items()}

    def _has(self, name: str) -> bool:
        return bool(self._ask(lambda: self._client.has_collection(name)))

    def _ask(self, work: Any) -> Any:
        """Ask the server; what goes wrong is said in one sentence."""
        try:
            return work()
        except CrossReIDError:
            raise
        except Exception as error:  # of the network, the server, its limits
            reason = reason_of(getattr(error, "message", error))
            raise DataError(f"The server of the gallery '{self.address}' does not do this ({reason}).") from error


def _group_in(text: str) -> dict[str, Any]:
    """A group of JSON that anybody may have written; empty where it is damaged, or something else."""
    if len(text) > MOST_BYTES_OF_SETTINGS:
        return {}
    try:
        content = json.loads(text)
    except (ValueError, RecursionError):
        return {}
    if isinstance(content, dict):
        return content
    return {}


def _one_of(ids: Sequence[str]) -> str:
    """A condition that takes rows by name."""
    names = [json.dumps(name, ensure_ascii=False) for name in ids]
    return f"{ID} in [{', '.join(names)}]"
