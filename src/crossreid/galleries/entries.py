"""Embeddings as a gallery keeps them: unit vectors, a name for each image, columns of one type each."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from crossreid.errors import DataError
from crossreid.evaluation import Embeddings
from crossreid.evaluation.array_files import Array
from crossreid.evaluation.embeddings import Cell
from crossreid.evaluation.scorers import normalised
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
_IN_ORDER = re.compile(r"(#\d+)?")
"""What an older name has behind the path: nothing for the first picture of a video, ``#2`` and so on for the others."""


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
        model = content.get("model")
        method = content.get("method")
        preprocessing = content.get("preprocessing")
        dimension = content.get("dimension")
        index = content.get("index")
        calibration = content.get(CALIBRATION, {})  # galleries of older versions have none
        damaged = DataError(f"'{place}' does not describe a gallery: restore it, or make the gallery anew.")
        if not isinstance(model, str | None) or not isinstance(method, str | None):
            raise damaged
        if not isinstance(dimension, int) or not 0 < dimension < 2**20:
            raise damaged
        if not isinstance(preprocessing, dict) or not isinstance(index, dict) or not isinstance(calibration, dict):
            raise damaged
        if content.get("metric") != COSINE:
            raise damaged
        return cls(
            model=model,
            method=method,
            preprocessing=preprocessing,
            dimension=dimension,
            transfer=content.get(TRANSFER) is True,
            index=index,
            calibration=calibration,
        )


def header_of(embeddings: Embeddings) -> Header:
    """What embeddings say of themselves."""
    # Embeddings of other people's models may say anything there, or nothing.
    about = embeddings.about
    return Header(
        model=_text_or_none(about.get("model")),
        method=_text_or_none(about.get("method")),
        preprocessing=_group_or_empty(about.get("preprocessing")),
        dimension=embeddings.features["main"].shape[1],
        transfer=about.get(TRANSFER) is True,
        calibration=_group_or_empty(about.get(CALIBRATION)),
    )


def _text_or_none(value: object) -> str | None:
    if isinstance(value, str):
        return value
    return None


def _group_or_empty(value: object) -> dict[str, Any]:
    if isinstance(value, dict):
        return value
    return {}


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
    if given is None:
        ids = _made_ids(embeddings, vectors)
    else:
        ids = [str(cell) for cell in given]
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
    """Names by file and place in it, or by the vector where there is no file; from the second of a name on it is numbered."""
    names = []
    for path, spot, vector in zip(embeddings.paths, _spots(embeddings), vectors, strict=True):
        if path:
            names.append(path + spot)
        else:
            names.append(hashlib.sha256(vector.tobytes()).hexdigest()[:32])
    taken = set(names)
    counts: dict[str, int] = {}
    ids = []
    for name in names:
        count = counts.get(name, 0) + 1
        numbered = name
        if count > 1:
            numbered = f"{name}#{count}"
            while numbered in taken:  # by a file that is called so
                count += 1
                numbered = f"{name}#{count}"
        counts[name] = count
        ids.append(numbered)
    return ids


def _spots(embeddings: Embeddings) -> list[str]:
    """Which picture and which part of its file each image is, as names have it; empty where it is all of the file."""
    unknown = (None,) * len(embeddings)
    frames = embeddings.columns.get(_FRAME, unknown)
    sides = [embeddings.columns.get(name, unknown) for name in BOX]
    spots = []
    for frame, *box in zip(frames, *sides, strict=True):
        parts = []
        if frame is not None:
            parts.append(f"frame={without_point(frame)}")
        if None not in box:
            numbers = [str(without_point(side)) for side in box]
            parts.append(f"box={','.join(numbers)}")
        spot = ""
        if parts:
            spot = f"#{';'.join(parts)}"
        spots.append(spot)
    return spots


def without_point(cell: Cell) -> Cell:
    """A cell, whole numbers without a point: some stores keep all numbers as fractions."""
    if isinstance(cell, float) and cell.is_integer():
        return int(cell)
    return cell


def spotted_paths(entries: Embeddings) -> list[str]:
    """Files of which entries are a picture or a part."""
    found = set()
    for path, spot in zip(entries.paths, _spots(entries), strict=True):
        if path and spot:
            found.add(path)
    return sorted(found)


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
            if path not in wanted or not spot:
                continue
            behind_path = str(name).removeprefix(path)
            if _IN_ORDER.fullmatch(behind_path):
                older.setdefault(path + spot, name)
    names = [older.get(str(name), name) for name in entries.columns[ID]]
    return replace(entries, columns={**entries.columns, ID: names})


def type_of(name: str, cells: Sequence[Cell]) -> type | None:
    """``str`` or ``float`` of a column; None where it is empty.

    Raises:
        DataError: it holds both text and numbers.
    """
    has_text = False
    has_numbers = False
    for cell in cells:
        if isinstance(cell, str):
            has_text = True
        elif cell is not None:
            has_numbers = True
    if has_text and has_numbers:
        raise DataError(f"The column {name} holds both text and numbers: write all of it as one of them.")
    if has_text:
        return str
    if has_numbers:
        return float
    return None


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
        names |= dict.fromkeys(part.columns)  # a dict keeps the order in which they come, a set would not
    columns: dict[str, list[Cell]] = {}
    for name in names:
        columns[name] = []
        for part in parts:
            columns[name] += part.columns.get(name, (None,) * len(part))
    features = {}
    for name in parts[0].features:
        features[name] = np.concatenate([part.features[name] for part in parts])
    paths: list[str] = []
    for part in parts:
        paths += part.paths
    return Embeddings(
        features=features,
        pids=np.concatenate([part.pids for part in parts]),
        camids=np.concatenate([part.camids for part in parts]),
        infrared=np.concatenate([part.infrared for part in parts]),
        frames=np.concatenate([part.frames for part in parts]),
        rows=np.arange(len(paths)),
        paths=tuple(paths),
        columns=columns,
        about=parts[0].about,
    )
