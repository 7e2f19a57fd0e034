"""Persons, cameras and places of entries that came in several parts, numbered as one set."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import TypeGuard

import numpy as np

from crossreid.evaluation import Embeddings
from crossreid.evaluation.embeddings import Cell
from crossreid.extraction.labels import labels_of
from crossreid.galleries.entries import without_point


def numbered(entries: Embeddings) -> Embeddings:
    """Entries that came one after the other as one set: persons, cameras and places (``frames``) numbered over all of them.

    The columns ``person`` and ``camera`` say it, as where images are embedded. An image without one keeps its number; a person
    that nobody knows is a negative number of its own.
    """
    in_order = sorted(range(len(entries)), key=lambda row: entries.paths[row])  # places count by file
    order = np.array(in_order, dtype=np.int64)
    persons, raised = _persons_of(entries)
    cameras = _cameras_of(entries)
    columns = {
        "person": [persons[row] for row in in_order],
        "camera": [cameras[row] for row in in_order],
    }
    labels = labels_of(columns, entries.infrared[order])
    pids = np.where(labels.pids > 0, labels.pids - raised, labels.pids)
    back = np.argsort(order)  # undoes the order: row i of the entries is row back[i] of the labels
    return replace(entries, pids=pids[back], camids=labels.camids[back], frames=labels.frames[back])


def _persons_of(entries: Embeddings) -> tuple[list[Cell], int]:
    """Who each image shows, None for nobody who is known; and by how much numbers are raised here.

    Labels keep numbers from 1, and some sets count from 0.
    """
    numbers: list[Cell] = []
    for pid in entries.pids.tolist():
        numbers.append(pid if pid >= 0 else None)  # negative ones stand for persons that nobody knows
    persons = _cells_or(entries.columns.get("person"), numbers)
    known = [cell for cell in persons if cell is not None]
    if not all(isinstance(cell, int) and cell >= 0 for cell in known):
        return persons, 0  # names, which labels number by themselves
    raised: list[Cell] = []
    for cell in persons:
        raised.append(cell + 1 if isinstance(cell, int) else None)
    return raised, 1


def _cameras_of(entries: Embeddings) -> list[Cell]:
    """The camera of each image; where the column is empty a made-up number, beyond those that the column has."""
    cameras = entries.columns.get("camera")
    if cameras is None:
        return list(entries.camids.tolist())
    numbers = [cell for cell in cameras if _is_number(cell)]
    beyond = math.ceil(max(numbers, default=0))
    made_up = [beyond + camid for camid in entries.camids.tolist()]
    return _cells_or(cameras, made_up)


def _cells_or(cells: Sequence[Cell] | None, others: Sequence[Cell]) -> list[Cell]:
    """Cells, and others where they are empty."""
    if cells is None:
        return list(others)
    filled = []
    for cell, other in zip(cells, others, strict=True):
        filled.append(other if cell is None else without_point(cell))
    return filled


def _is_number(cell: Cell) -> TypeGuard[int | float]:
    """A cell that can be counted and compared with: neither text nor empty, nan or infinite."""
    return isinstance(cell, int | float) and math.isfinite(cell)
