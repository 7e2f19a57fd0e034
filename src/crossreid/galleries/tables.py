"""Entries as Arrow tables, which LanceDB keeps, and back."""

from __future__ import annotations

from typing import Any

import numpy as np

from crossreid.evaluation import Embeddings
from crossreid.evaluation.array_files import Array
from crossreid.galleries.entries import ID, OWN_COLUMNS, filterable, type_of

VECTOR = "vector"
ROW = "_rowid"
QUERY = "query_index"
_DISTANCE = "_distance"
_OF_SEARCHES = (_DISTANCE, QUERY, ROW)
"""Columns that LanceDB adds to what a search finds."""


def table_of(entries: Embeddings) -> Any:
    """Entries as a table: vectors as fixed-size lists, and a column for each that filters look at and that is not empty."""
    import pyarrow as pa  # noqa: PLC0415 - extra `search`

    vectors = entries.features["main"]
    flat = pa.array(np.ascontiguousarray(vectors).reshape(-1))
    content: dict[str, Any] = {VECTOR: pa.FixedSizeListArray.from_arrays(flat, vectors.shape[1])}
    for name, cells in filterable(entries).items():
        kind = type_of(name, cells)
        if name in ("pid", "camid"):
            content[name] = pa.array(cells, pa.int64())
        elif kind is str:
            content[name] = pa.array(cells, pa.string())
        elif kind is float:
            content[name] = pa.array(cells, pa.float64())
        # An empty column needs no place.
    return pa.table(content)


def with_columns_of(content: Any, schema: Any) -> Any:
    """A table with the columns of another one, in its order; those that it lacks are empty."""
    import pyarrow as pa  # noqa: PLC0415 - extra `search`

    for item in schema:
        if item.name not in content.column_names:
            content = content.append_column(item, pa.nulls(len(content), item.type))
    return content.select(schema.names)


def entries_of_table(table: Any, dimension: int) -> Embeddings:
    """Rows of a table, or a batch of them, as entries of so many numbers."""
    modality = table.column("modality").to_pylist()
    count = len(modality)
    pids = np.empty(0)
    camids = np.empty(0)
    if count:
        pids = table.column("pid").to_numpy(zero_copy_only=False)
        camids = table.column("camid").to_numpy(zero_copy_only=False)
    columns = {ID: table.column(ID).to_pylist()}
    for name in table.schema.names:
        if name not in (*OWN_COLUMNS, VECTOR, *_OF_SEARCHES):
            columns[name] = table.column(name).to_pylist()
    return Embeddings(
        features={"main": _flat(table.column(VECTOR)).reshape(count, dimension)},
        pids=pids,
        camids=camids,
        infrared=[name == "infrared" for name in modality],  # type: ignore[arg-type]
        frames=np.zeros(count),
        rows=np.arange(count),
        paths=tuple(table.column("path").to_pylist()),
        columns=columns,
    )


def _flat(column: Any) -> Array:
    """All numbers of a column of vectors in a row, as a copy: a table keeps them in chunks, a batch in one piece."""
    chunks = [column]
    if hasattr(column, "chunks"):
        chunks = column.chunks
    parts: list[Array] = [np.empty(0, np.float32)]  # there may be no chunk
    for chunk in chunks:
        parts.append(chunk.flatten().to_numpy(zero_copy_only=False))
    return np.concatenate(parts)
