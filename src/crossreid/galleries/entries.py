"""Embeddings as a gallery keeps them: unit vectors, a name for each image, columns of one type each."""

from __future__ import annotations

import hashlib
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, TypeGuard

import numpy as np

from crossreid.errors import DataError
from crossreid.evaluation import Embeddings
from crossreid.evaluation.array_files import Array
from crossreid.evaluation.embeddings import Cell
from crossreid.evaluation.scorers import normalised
from crossreid.extraction.labels import labels_of
from crossreid.extraction.manifest import BOX
from crossreid.extraction.transfer import TRANSFER
from crossreid.galleries.filters import NAME

ID = "id"
OWN_COLUMNS = (ID, "path", "modality", "pid", "camid")
"""What every gallery knows of an image, besides its vector."""
RESERVED = (*OWN_COLUMNS, "vector")
COSINE = "cosine"
CALIBRATION = "calibration"
_FRAME = "frame"
"""The column that says which picture of a video an image is."""
_ROWS_AT_ONCE = 512


@dataclass(frozen=True)
class Header:
    """What all images of a gallery share.

    Attributes:
        model: digest of the model that embedded them; None where nobody noted it.
        method: its registered name; None likewise.
        preprocessing: how images became its pixels.
        dimension: of the vectors.
        transfer: the model compares images through a transfer that sees the whole gallery (cm-SSFT).
        metric: how vectors are compared.
        index: partitions, probes and measured recall of an index; empty for exact search.
        calibration: thresholds and probabilities of the model, as plain values (see
            :class:`~crossreid.evaluation.calibration.Calibration`); empty where none is kept.
    """

    model: str | None
    method: str | None
    preprocessing: Mapping[str, Any]
    dimension: int
    transfer: bool = False
    metric: str = COSINE
    index: Mapping[str, Any] = field(default_factory=dict)
    calibration: Mapping[str, Any] = field(default_factory=dict)

    def plain(self) -> dict[str, Any]:
        """As JSON has it."""
        return {
            "model": self.model,
            "method": self.method,
            "preprocessing": dict(self.preprocessing),
            "dimension": self.dimension,
            TRANSFER: self.transfer,
            "metric": self.metric,
            "index": dict(self.index),
            CALIBRATION: dict(self.calibration),
        }

    @classmethod
    def from_plain(cls, content: Mapping[str, Any], place: object) -> Header:
        """Read what :meth:`plain` wrote.

        Raises:
            DataError: it is damaged.
        """
        dimension = content.get("dimension")
        calibration = content.get(CALIBRATION, {})  # galleries of older versions have none
        groups = (content.get("preprocessing"), content.get("index"), calibration)
        names = (content.get("model"), content.get("method"))
        right = (
            isinstance(dimension, int) and 0 < dimension < 2**20,
            all(isinstance(group, dict) for group in groups),
            all(name is None or isinstance(name, str) for name in names),
            content.get("metric") == COSINE,
        )
        if not all(right):
            raise DataError(f"'{place}' does not describe a gallery: restore it, or make the gallery anew.")
        return cls(
            model=names[0],
            method=names[1],
            preprocessing=content["preprocessing"],
            dimension=content["dimension"],
            transfer=content.get(TRANSFER) is True,
            index=content["index"],
            calibration=calibration,
        )


def header_of(embeddings: Embeddings) -> Header:
    """What embeddings say of themselves."""
    about = embeddings.about
    model, method = about.get("model"), about.get("method")
    preprocessing, calibration = about.get("preprocessing", {}), about.get(CALIBRATION, {})
    return Header(
        model=model if isinstance(model, str) else None,
        method=method if isinstance(method, str) else None,
        preprocessing=preprocessing if isinstance(preprocessing, dict) else {},
        dimension=embeddings.features["main"].shape[1],
        transfer=about.get(TRANSFER) is True,
        calibration=calibration if isinstance(calibration, dict) else {},
    )


def check_same(known: Header, other: Header, place: str) -> None:
    """Refuse what must not be compared with the images of a gallery.

    Raises:
        DataError: they are of another model, dimension or preprocessing.
    """
    if known.model != other.model:
        raise DataError(
            f"The gallery '{place}' holds embeddings of the model {_short(known)}, and these are of {_short(other)}: embed "
            "them with the gallery's model, or make another gallery."
        )
    if known.dimension != other.dimension:
        raise DataError(
            f"The gallery '{place}' holds vectors of {known.dimension} numbers, and these have {other.dimension}."
        )
    if known.preprocessing != other.preprocessing:
        raise DataError(
            f"The gallery '{place}' holds images that came to pixels otherwise (size or decoding): embed these likewise."
        )


def _short(header: Header) -> str:
    if header.model is None:
        return "an unknown model"
    return f"{header.method or 'unknown'} {header.model[:12]}"


def entries_of(embeddings: Embeddings) -> Embeddings:
    """Embeddings with unit ``main`` and the column ``id``: as given, else the path, else a digest of the vector.

    Pictures of a video and boxes are named after their place too, as ``#frame=100`` and ``#box=12,0,64,128``. What is still
    named alike is told apart by ``#2``, ``#3`` in its order.

    Raises:
        DataError: an id stands there twice, a column's name cannot be filtered by, or holds both text and numbers.
    """
    vectors = _unit(embeddings.features["main"])
    columns = dict(embeddings.columns)
    given = columns.pop(ID, None)
    ids = _made_ids(embeddings, vectors) if given is None else [str(cell) for cell in given]
    if len(set(ids)) < len(ids):
        raise DataError("The column id names an image twice: give each image a name of its own.")
    for name, cells in columns.items():
        if not NAME.fullmatch(name) or name in RESERVED:
            raise DataError(f"A gallery cannot hold the column '{name}': rename it, of letters, digits and _ alone.")
        type_of(name, cells)
    return replace(
        embeddings,
        features={**embeddings.features, "main": vectors},
        rows=np.arange(len(embeddings)),
        roles=np.zeros(len(embeddings)),  # all images of a gallery may be found
        columns={ID: ids, **columns},
    )


def _unit(feature: Array) -> Array:
    """Rows (N, D) of unit length as float32, some at a time, which stay in the processor's cache."""
    vectors = np.empty(feature.shape, dtype=np.float32)
    for start in range(0, len(feature), _ROWS_AT_ONCE):
        rows = slice(start, start + _ROWS_AT_ONCE)
        vectors[rows] = normalised(feature[rows])
    return vectors


def _made_ids(embeddings: Embeddings, vectors: Array) -> list[str]:
    counts: dict[str, int] = {}
    ids = []
    for path, spot, vector in zip(embeddings.paths, _spots(embeddings), vectors, strict=True):
        name = path + spot if path else hashlib.sha256(vector.tobytes()).hexdigest()[:32]
        counts[name] = counts.get(name, 0) + 1
        ids.append(name if counts[name] == 1 else f"{name}#{counts[name]}")
    return ids


def _spots(embeddings: Embeddings) -> list[str]:
    """Which picture and which part of its file each image is, as names have it; empty where it is all of the file."""
    unknown = (None,) * len(embeddings)
    frames = embeddings.columns.get(_FRAME, unknown)
    sides = [embeddings.columns.get(name, unknown) for name in BOX]
    spots = []
    for frame, *box in zip(frames, *sides, strict=True):
        parts = [] if frame is None else [f"frame={_plainly(frame)}"]
        if None not in box:
            parts.append(f"box={','.join(str(_plainly(side)) for side in box)}")
        spots.append(f"#{';'.join(parts)}" if parts else "")
    return spots


def _plainly(cell: Cell) -> Cell:
    """A cell, whole numbers without a point: some stores keep all numbers as fractions."""
    return int(cell) if isinstance(cell, float) and cell.is_integer() else cell


def spotted_paths(entries: Embeddings) -> list[str]:
    """Files of which entries are a picture or a part."""
    return sorted({path for path, spot in zip(entries.paths, _spots(entries), strict=True) if path and spot})


def with_older_names(entries: Embeddings, known: Iterable[Embeddings]) -> Embeddings:
    """Entries under the names that a gallery has for them, of when pictures of a video were numbered in their order.

    Args:
        entries: whose names were made.
        known: all entries of the gallery.
    """
    wanted = set(spotted_paths(entries))
    older: dict[str, Cell] = {}
    for part in known:
        for path, spot, name in zip(part.paths, _spots(part), part.columns[ID], strict=True):
            if path in wanted and spot and re.fullmatch(r"(#\d+)?", str(name).removeprefix(path)):
                older.setdefault(path + spot, name)
    names = [older.get(str(name), name) for name in entries.columns[ID]]
    return replace(entries, columns={**entries.columns, ID: names})


def type_of(name: str, cells: Sequence[Cell]) -> type | None:
    """``str`` or ``float`` of a column; None where it is empty.

    Raises:
        DataError: it holds both text and numbers.
    """
    kinds = {isinstance(cell, str) for cell in cells if cell is not None}
    if len(kinds) > 1:
        raise DataError(f"The column {name} holds both text and numbers: write all of it as one of them.")
    if not kinds:
        return None
    return str if kinds.pop() else float


def _is_number(cell: Cell) -> TypeGuard[int | float]:
    """A cell that can be counted and compared with: neither text nor empty, nan or infinite."""
    return isinstance(cell, int | float) and math.isfinite(cell)


def word_of(kind: type) -> str:
    """What a column holds, in words."""
    return "text" if kind is str else "numbers"


def check_columns(known: Mapping[str, type], columns: Mapping[str, Sequence[Cell]], place: str) -> None:
    """Refuse columns that hold text where a gallery's hold numbers, or the other way round.

    Args:
        known: the gallery's columns, with ``str`` or ``float`` as what they hold.
        columns: of images that are to be added, or compared with it.
        place: of the gallery.

    Raises:
        DataError: one does.
    """
    for name, cells in columns.items():
        kind = type_of(name, cells)
        if kind is not None and known.get(name, kind) is not kind:
            raise DataError(
                f"The column {name} of the gallery '{place}' holds {word_of(known[name])}, and these images have "
                f"{word_of(kind)}: write it alike."
            )


def filterable(embeddings: Embeddings) -> dict[str, Sequence[Cell]]:
    """All columns of entries that filters look at."""
    return {
        "path": embeddings.paths,
        "modality": embeddings.modalities,
        "pid": embeddings.pids.tolist(),
        "camid": embeddings.camids.tolist(),
        **embeddings.columns,
    }


def concatenated(parts: Sequence[Embeddings]) -> Embeddings:
    """Entries one after the other; a column that a part lacks is empty there."""
    names: dict[str, None] = {}
    for part in parts:
        names |= dict.fromkeys(part.columns)
    columns: dict[str, list[Cell]] = {}
    for name in names:
        columns[name] = []
        for part in parts:
            columns[name] += part.columns.get(name, (None,) * len(part))
    features = {}
    paths: list[str] = []
    for name in parts[0].features:
        features[name] = np.concatenate([part.features[name] for part in parts])
    for part in parts:
        paths += part.paths
    count = sum(len(part) for part in parts)
    return Embeddings(
        features=features,
        pids=np.concatenate([part.pids for part in parts]),
        camids=np.concatenate([part.camids for part in parts]),
        infrared=np.concatenate([part.infrared for part in parts]),
        frames=np.concatenate([part.frames for part in parts]),
        rows=np.arange(count),
        paths=tuple(paths),
        columns=columns,
        about=parts[0].about,
    )


def numbered(entries: Embeddings) -> Embeddings:
    """Entries that came one after the other as one set: persons, cameras and places (``frames``) numbered over all of them.

    The columns ``person`` and ``camera`` say it, as where images are embedded. An image without one keeps its number; a person
    that nobody knows is a negative number of its own.
    """
    in_order = sorted(range(len(entries)), key=lambda row: entries.paths[row])  # places count by file
    order = np.array(in_order, dtype=np.int64)
    persons, raised = _persons_of(entries)
    cameras = _cameras_of(entries)
    columns = {"person": [persons[row] for row in in_order], "camera": [cameras[row] for row in in_order]}
    labels = labels_of(columns, entries.infrared[order])
    pids = np.where(labels.pids > 0, labels.pids - raised, labels.pids)
    back = np.argsort(order)
    return replace(entries, pids=pids[back], camids=labels.camids[back], frames=labels.frames[back])


def _persons_of(entries: Embeddings) -> tuple[list[Cell], int]:
    """Who each image shows, None for nobody who is known; and by how much numbers are raised here.

    Labels keep numbers from 1, and some sets count from 0.
    """
    numbers = [pid if pid >= 0 else None for pid in entries.pids.tolist()]
    persons = _cells_or(entries.columns.get("person"), numbers)
    if not all(isinstance(cell, int) and cell >= 0 for cell in persons if cell is not None):
        return persons, 0
    return [cell + 1 if isinstance(cell, int) else None for cell in persons], 1


def _cameras_of(entries: Embeddings) -> list[Cell]:
    """The camera of each image; where the column is empty a made-up number, beyond those that the column has."""
    cameras = entries.columns.get("camera")
    if cameras is None:
        return list(entries.camids.tolist())
    beyond = math.ceil(max((cell for cell in cameras if _is_number(cell)), default=0))
    return _cells_or(cameras, [beyond + camid for camid in entries.camids.tolist()])


def _cells_or(cells: Sequence[Cell] | None, others: Sequence[Cell]) -> list[Cell]:
    """Cells, and others where they are empty."""
    if cells is None:
        return list(others)
    return [other if cell is None else _plainly(cell) for cell, other in zip(cells, others, strict=True)]
