"""Extracted embeddings on disk: an .npz with a .json beside it, or one Parquet table with embeddings as fixed-size lists."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from crossreid.errors import ConfigError, DataError, reason_of
from crossreid.evaluation import Embeddings
from crossreid.evaluation.array_files import Array
from crossreid.evaluation.embeddings import files_of
from crossreid.extraction.manifest import require_pyarrow
from crossreid.files import write_atomically

PARQUET = ".parquet"
_ABOUT = b"crossreid.about"
_FEATURE = "embedding"
"""The column of ``main``; that of another feature is ``embedding_NAME``."""
_OWN = ("path", "pid", "camid", "frame_of_person", "infrared")
_MOST_ENTRIES = 2**34
"""Of all embeddings of a file together: 64 GiB."""


def check_storable(output: Path) -> None:
    """Raise :class:`ConfigError` where an output's ending is not known, or its package is not installed."""
    if output.suffix not in (".npz", PARQUET):
        raise ConfigError(f"output is '{output}': end it in .npz or .parquet.")
    if output.suffix == PARQUET:
        require_pyarrow(output)


def storage_files(output: Path) -> list[Path]:
    """The files that an output stands for."""
    if output.suffix == PARQUET:
        return [output]
    return files_of(output)


def save_extracted(embeddings: Embeddings, output: Path) -> None:
    """Write embeddings, whole or not at all."""
    check_storable(output)
    if output.suffix == PARQUET:
        _write_parquet(embeddings, output)
    else:
        embeddings.save(output)


def load_extracted(path: str | Path) -> Embeddings:
    """Read what :func:`save_extracted` wrote.

    Raises:
        ConfigError: it is Parquet and pyarrow is not installed.
        DataError: it is missing or damaged.
    """
    if Path(path).suffix == PARQUET:
        return _read_parquet(Path(path))
    return Embeddings.load(path)


def _write_parquet(embeddings: Embeddings, output: Path) -> None:
    import pyarrow as pa  # noqa: PLC0415 - extra `search`
    import pyarrow.parquet as pq  # noqa: PLC0415

    columns: dict[str, Any] = {
        "path": pa.array(embeddings.paths, pa.string()),
        "pid": pa.array(embeddings.pids),
        "camid": pa.array(embeddings.camids),
        "frame_of_person": pa.array(embeddings.frames),
        "infrared": pa.array(embeddings.infrared),
    }
    for name, cells in embeddings.columns.items():
        if name in columns or name.startswith(_FEATURE):
            raise DataError(f"The column {name} cannot be written to '{output}': embeddings have one of that name.")
        columns[name] = pa.array(cells)
    for name, feature in embeddings.features.items():
        flat = pa.array(feature.astype(np.float32).reshape(-1))
        columns[_column_of(name)] = pa.FixedSizeListArray.from_arrays(flat, feature.shape[1])
    table = pa.table(columns)
    about = json.dumps(dict(embeddings.about)).encode()
    table = table.replace_schema_metadata({_ABOUT: about})
    write_atomically(output, lambda stream: pq.write_table(table, stream))


def _read_parquet(path: Path) -> Embeddings:
    require_pyarrow(path)
    import pyarrow as pa  # noqa: PLC0415 - extra `search`
    import pyarrow.parquet as pq  # noqa: PLC0415

    if not path.is_file():
        raise DataError(f"There is no embeddings file {path}.")
    try:
        table = pq.read_table(path)
        metadata = table.schema.metadata or {}  # None where a table has none
        about = json.loads(metadata.get(_ABOUT, b"{}"))
        if not isinstance(about, dict):
            about = {}
        features: dict[str, Array] = {}
        columns: dict[str, list[Any]] = {}
        for name in table.column_names:
            if pa.types.is_fixed_size_list(table.schema.field(name).type):
                features[_feature_of(name)] = _as_matrix(table[name].combine_chunks())
            elif name not in _OWN:
                columns[name] = table[name].to_pylist()
        own = {name: table[name].to_numpy() for name in _OWN if name != "path"}
        paths = tuple(table["path"].to_pylist())
        return Embeddings(
            features=features,
            pids=own["pid"],
            camids=own["camid"],
            infrared=own["infrared"],
            frames=own["frame_of_person"],
            rows=np.arange(len(paths)),
            paths=paths,
            columns=columns,
            about=about,
        )
    except DataError:
        raise
    except Exception as error:  # a damaged file makes pyarrow raise nearly anything
        raise DataError(f"'{path}' cannot be read as embeddings ({reason_of(error)}).") from error


def _as_matrix(column: Any) -> Array:
    """A column of fixed-size lists as (N, D)."""
    width = column.type.list_size
    if len(column) * width > _MOST_ENTRIES or column.null_count:
        raise DataError("the embeddings have empty rows, or are more than one file may hold")
    flat = np.asarray(column.flatten().to_numpy(zero_copy_only=False))
    return flat.reshape(len(column), width)


def _column_of(feature: str) -> str:
    if feature == "main":
        return _FEATURE
    return f"{_FEATURE}_{feature}"


def _feature_of(column: str) -> str:
    if column == _FEATURE:
        return "main"
    return column.removeprefix(f"{_FEATURE}_")
