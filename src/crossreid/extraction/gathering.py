"""From batches in the order in which they were embedded to embeddings in the order of their source."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from crossreid.console import notice
from crossreid.errors import DataError
from crossreid.evaluation import Embeddings
from crossreid.evaluation.array_files import Array
from crossreid.evaluation.embeddings import Cell
from crossreid.extraction.batching import Part
from crossreid.extraction.labels import labels_of
from crossreid.extraction.pixels import Flags, Rows
from crossreid.extraction.requests import Request
from crossreid.extraction.tracks import averaged_tracks

_SHOWN_PROBLEMS = 3


def gather(
    request: Request, parts: Sequence[Part], problems: Mapping[int, str], about: Mapping[str, Any], tracks: str
) -> Embeddings:
    """All parts in the order of the list, with what is known of the images.

    Args:
        request: the images.
        parts: what was embedded of them.
        problems: row -> why the image could not be read.
        about: the model's digest and preprocessing.
        tracks: ``keep``, or ``average`` for one embedding a track.

    Raises:
        DataError: no image could be read.
    """
    if not parts:
        first = next(iter(problems.values()))
        raise DataError(f"None of the {len(request)} images can be read; the first: {first}.")
    rows, infrared, features = _in_order(parts)
    # Images that could not be read have no row here, and their cells go with them.
    columns: dict[str, list[Cell]] = {}
    for name, cells in request.images.columns.items():
        columns[name] = [cells[row] for row in rows]
    paths = [""] * len(rows)
    if request.pixels is None:
        paths = [str(request.images.paths[row]) for row in rows]
    if request.by_colour:
        _say_modalities(infrared)
    labels = labels_of(columns, infrared)
    embeddings = Embeddings(
        features=features,
        pids=labels.pids,
        camids=labels.camids,
        infrared=infrared,
        frames=labels.frames,
        rows=rows,
        paths=tuple(paths),
        columns=columns,
        about={**about, "unreadable": _listed(request, problems)},
    )
    if tracks == "average":
        return averaged_tracks(embeddings)
    return embeddings


def _in_order(parts: Sequence[Part]) -> tuple[Rows, Flags, dict[str, Array]]:
    """Rows (n,), which are infrared (n,), and features (n, D) of all parts, by row.

    Batches hold one modality each, and come when they are full: their order is not the source's.
    """
    rows = np.concatenate([part.rows for part in parts])
    order = np.argsort(rows)
    flags = [np.full(len(part.rows), part.infrared) for part in parts]
    infrared = np.concatenate(flags)
    features = {}
    for name in parts[0].features:
        features[name] = np.concatenate([part.features[name] for part in parts])[order]
    return rows[order], infrared[order], features


def _say_modalities(infrared: Flags) -> None:
    """Say what colours decided."""
    grey = int(infrared.sum())
    visible = len(infrared) - grey
    notice(f"By colour: {visible} images are visible and {grey}, grey ones, infrared.")


def _listed(request: Request, problems: Mapping[int, str]) -> list[dict[str, str]]:
    """Images that were left out, with the reason; says how many there are."""
    listed = []
    for row, reason in sorted(problems.items()):
        listed.append({"path": str(request.images.paths[row]), "reason": reason})
    if listed:
        shown = [f"'{entry['path']}' ({entry['reason']})" for entry in listed[:_SHOWN_PROBLEMS]]
        notice(f"Left out, {len(listed)} of {len(request)} images that cannot be read: {'; '.join(shown)}")
    return listed
