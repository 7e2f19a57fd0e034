"""The files of a public code: found, read, and held against the names and shapes that its network has."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from crossreid.errors import CheckpointError
from crossreid.importing.layouts import Entry, LayoutRow, PublicLayout, Weights, entries_of
from crossreid.pickled import read_pickled

WRAPPER = "net"
"""Under which codes save the weights beside scores and the epoch."""
DATA_PARALLEL = "module."
"""What torch's DataParallel puts before all keys."""
_MOST_RATIO = 2
"""Tensors together may be so many times the file: one that repeats numbers without end is damaged."""


@dataclass(frozen=True)
class PublicFiles:
    """What a code's files hold.

    Attributes:
        paths: the files, by their numbers.
        mark: what they have in common in their names, such as the step; empty for a single file.
        states: of each file, key without the prefix of DataParallel -> tensor.
        beside: what stands beside the weights: scores, the epoch.
    """

    paths: Sequence[Path]
    mark: str
    states: Sequence[Mapping[str, Tensor]]
    beside: Mapping[str, Any] = field(default_factory=dict)


def read_files(layout: PublicLayout, place: Path) -> PublicFiles:
    """The files of a public code.

    Args:
        layout: of the code.
        place: the file; of several, one of them or their folder.

    Raises:
        CheckpointError: one is missing, damaged, or holds no weights.
    """
    paths, mark = find_files(layout, place)
    states = []
    beside: dict[str, Any] = {}
    for path in paths:
        content = read_pickled(path)
        if not isinstance(content, Mapping):
            whole = "a single tensor without a name" if isinstance(content, Tensor) else _in_words(content)
            raise CheckpointError(f"'{path}' holds no weights but {whole}.")
        if layout.wrapped and isinstance(content.get(WRAPPER), Mapping):
            beside = {str(key): value for key, value in content.items() if key != WRAPPER}
            content = content[WRAPPER]
        state = _without_prefix(_tensors(content, path))
        _check_memory(state, path)
        states.append(state)
    return PublicFiles(paths, mark, states, beside)


def find_files(layout: PublicLayout, place: Path) -> tuple[list[Path], str]:
    """The paths of a code's files by their numbers, and the mark of their names.

    Raises:
        CheckpointError: there is none, one of several is missing, or it is not clear which are meant.
    """
    if not layout.pattern:
        if place.is_dir():
            raise CheckpointError(f"'{place}' is a folder: {layout.title} has one file, name it.")
        return [place], ""
    # The pattern as a regular expression: any number for the 0, and any mark for the @.
    example = re.escape(layout.file_name(0, "@"))
    shape = re.compile(example.replace("0", r"\d+").replace("@", "([A-Za-z0-9]+)"))
    if place.is_dir():
        folder = place
        candidates = sorted(folder.iterdir())
    else:
        folder = place.parent
        candidates = [place]
    marks = set()
    for path in candidates:
        match = shape.fullmatch(path.name)
        if match:
            marks.add(match[1])
    if not marks:
        raise CheckpointError(
            f"'{place}' is none of the files of {layout.title}: they are called {layout.file_name(0, '250')} and so on."
        )
    if len(marks) > 1:
        raise CheckpointError(
            f"'{place}' holds files of several steps ({', '.join(sorted(marks)[:5])}): name one file of the step that is meant."
        )
    (mark,) = marks
    paths = [folder / layout.file_name(number, mark) for number in range(len(layout.networks))]
    for path, network in zip(paths, layout.networks, strict=True):
        if not path.is_file():
            raise CheckpointError(
                f"'{path}' is missing ({network}): {layout.title} has {len(paths)} files, put all of them into one folder."
            )
    return paths, mark


def check_files(rows: Sequence[LayoutRow], weights: Weights, files: PublicFiles, layout: PublicLayout) -> None:
    """Refuse files whose tensors are not those of the layout: one sentence, naming the first.

    Args:
        rows: the table of the layout.
        weights: our names and shapes.
        files: as :func:`read_files` gives them.
        layout: for messages.

    Raises:
        CheckpointError: a tensor is missing, too much, of another shape or type, or not what it must be.
    """
    for number, (path, state) in enumerate(zip(files.paths, files.states, strict=True)):
        own_rows = [row for row in rows if row.file == number]
        entries = {entry.key: entry for entry in entries_of(own_rows)}
        missing = [key for key in entries if key not in state]
        surplus = [key for key in state if key not in entries]
        if missing:
            raise CheckpointError(f"'{path}' is no file of {layout.title}: it lacks {_first(missing)}.")
        if surplus:
            raise CheckpointError(
                f"'{path}' is no file of {layout.title}: it has {_first(surplus)}, which that network does not."
            )
        for key, entry in entries.items():
            _check_tensor(state[key], entry, weights, path)


def persons_in(layout: PublicLayout, files: PublicFiles) -> int:
    """How many persons the classifier tells apart.

    Raises:
        CheckpointError: there is no classifier, or it is none.
    """
    number, key = layout.classes
    classifier = files.states[number].get(key)
    if classifier is None:
        raise CheckpointError(f"'{files.paths[number]}' is no file of {layout.title}: it lacks '{key}'.")
    if classifier.dim() != 2 or not len(classifier):
        raise CheckpointError(
            f"'{files.paths[number]}' is no file of {layout.title}: '{key}' has the shape {_shape(classifier)}, which is no "
            "classifier's."
        )
    return len(classifier)


def _tensors(content: Mapping[Any, Any], path: Path) -> dict[str, Tensor]:
    """A state dict, all of whose values are plain tensors."""
    for key, value in content.items():
        plain = isinstance(value, Tensor) and value.layout == torch.strided and value.device.type == "cpu"
        if not isinstance(key, str) or not plain:
            raise CheckpointError(f"'{path}' does not hold weights alone: {_in_words(key)} is {_in_words(value)}.")
    return dict(content)


def _in_words(value: object) -> str:
    """What something is that should be a tensor or a name."""
    if isinstance(value, str):
        return f"'{value[:80]}'"
    if isinstance(value, Tensor):
        return "a tensor of another kind than networks have"
    if isinstance(value, Mapping):
        return "a group"
    if isinstance(value, list | tuple | set):
        return "a list"
    if isinstance(value, int | float):
        return "a number"
    return "nothing" if value is None else "something else"


def _without_prefix(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Without what DataParallel puts before all keys."""
    if all(key.startswith(DATA_PARALLEL) for key in state):
        return {key.removeprefix(DATA_PARALLEL): value for key, value in state.items()}
    return dict(state)


def _check_memory(state: Mapping[str, Tensor], path: Path) -> None:
    """Refuse tensors that claim more numbers than the file has."""
    # A view that repeats its numbers (stride 0) is a few bytes in a file, and could be any size in memory.
    claimed = sum(tensor.numel() * tensor.element_size() for tensor in state.values())
    if claimed > _MOST_RATIO * path.stat().st_size + 2**20:
        raise CheckpointError(f"'{path}' is damaged: it says that it holds more than it does.")


def _check_tensor(tensor: Tensor, entry: Entry, weights: Weights, path: Path) -> None:
    """Its shape and type, that its numbers are some, and those that must be."""
    expected = entry.value(weights)
    if tensor.shape != expected.shape:
        raise CheckpointError(f"'{path}': '{entry.key}' is {_shape(tensor)} and not {_shape(expected)}.")
    if tensor.dtype != expected.dtype:
        raise CheckpointError(f"'{path}': '{entry.key}' is of type {tensor.dtype} and not {expected.dtype}.")
    if not torch.isfinite(tensor).all():
        raise CheckpointError(f"'{path}' is damaged: '{entry.key}' holds nan or inf.")
    if entry.required and not torch.equal(tensor, expected):
        raise CheckpointError(
            f"'{path}': '{entry.key}' is not {float(expected.reshape(-1)[0]):g} throughout, as the public code leaves it, so "
            "the network here would embed images otherwise."
        )


def _first(keys: Sequence[str]) -> str:
    """The first of several keys, and how many more there are."""
    if len(keys) == 1:
        return f"'{keys[0]}'"
    return f"'{keys[0]}' and {len(keys) - 1} more"


def _shape(tensor: Tensor) -> str:
    return "x".join(map(str, tensor.shape)) or "a single number"
