"""How a public code's file is laid out: each of its tensors by name, and which of our weights it is.

A layout is a table of rows. A row maps a part of the public network to a part of ours, or leaves it out and says why. From the
rows follow the names and shapes that a file must have, where each number goes, and the way back.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import chain

import torch
from torch import Tensor

from crossreid.settings.compose import compose, method_part
from crossreid.settings.method import MethodConfig

Weights = Mapping[str, Tensor]
"""A method's state dict; where only names and shapes matter, on the meta device."""

COUNTER = "num_batches_tracked"
"""Of a norm with running averages: a whole number, all else is float32."""


def as_it_is(weight: Tensor) -> Tensor:
    """Both have the same form."""
    return weight


def as_convolution(weight: Tensor) -> Tensor:
    """A linear layer's weight (out, in) as that of a 1x1 convolution (out, in, 1, 1)."""
    return weight[:, :, None, None]


@dataclass(frozen=True)
class Piece:
    """A part of one of our weights, in a public tensor's form.

    Attributes:
        name: of our weight.
        view: our weight -> a view of it with the public shape, into which numbers can be written.
    """

    name: str
    view: Callable[[Tensor], Tensor] = as_it_is


@dataclass(frozen=True)
class Entry:
    """One tensor of a public file.

    Attributes:
        key: its name, without the prefix of DataParallel.
        pieces: parts of our weights that make it up, one below the other; none where we have nothing like it.
        filler: where there are no pieces, what stands for it in a file that we write.
        required: the file must hold the filler's numbers: anything else is no file of this code.
    """

    key: str
    pieces: tuple[Piece, ...] = ()
    filler: Tensor | None = None
    required: bool = False

    def views(self, weights: Weights) -> list[Tensor]:
        """The parts of our weights, as views."""
        return [piece.view(weights[piece.name]) for piece in self.pieces]

    def value(self, weights: Weights) -> Tensor:
        """The tensor as our weights have it, in memory of its own; from weights without values, its shape and type."""
        # A constant is one number seen many times, and a view may be turned: both are written out in their own order.
        if self.filler is not None:
            return self.filler.clone(memory_format=torch.contiguous_format)
        views = self.views(weights)
        if len(views) == 1:
            return views[0].clone(memory_format=torch.contiguous_format)
        return torch.cat(views)

    def put(self, weights: Weights, tensor: Tensor) -> None:
        """Write the tensor of a file into our weights, in place."""
        views = self.views(weights)
        if len(views) == 1:
            views[0].copy_(tensor)
            return
        parts = torch.split(tensor, [len(view) for view in views])
        for view, part in zip(views, parts, strict=True):
            view.copy_(part)


@dataclass(frozen=True)
class LayoutRow:
    """A part of a public network.

    Attributes:
        theirs: what it is called there.
        ours: what it is called here; empty where we have nothing like it.
        entries: its tensors, in the order of the file.
        left_out: why its numbers are not taken; empty where they are.
        file: which of a code's several files it stands in.
    """

    theirs: str
    ours: str
    entries: tuple[Entry, ...]
    left_out: str = ""
    file: int = 0


@dataclass(frozen=True)
class PublicLayout:
    """A public code's files.

    Attributes:
        name: as ``source=`` says it.
        title: of the method, with its paper.
        choices: what our method and its settings are chosen by: they make the network of the public code.
        rows: our weights' names and shapes -> the table.
        classes: file and key of the tensor that has a row for each training person.
        resize: the filter that the code resizes images by.
        wrapped: the weights stand under ``net``, beside scores and the epoch.
        prefix: that the code saves before all keys: ``module.`` of DataParallel, or empty.
        pattern: of the names of several files, from whose number and mark they follow; empty for one file.
        networks: what each file holds.
        own: our weights that no public file has; they stay as a new method has them.
    """

    name: str
    title: str
    choices: tuple[str, ...]
    rows: Callable[[Weights], list[LayoutRow]]
    classes: tuple[int, str]
    resize: str
    wrapped: bool = True
    prefix: str = ""
    pattern: str = ""
    networks: tuple[str, ...] = ("the whole network",)
    own: tuple[str, ...] = ()

    def settings(self) -> MethodConfig:
        """Settings of the method with which our network is the public one, and embeds images as it does."""
        composed = compose("train", [*self.choices, "preset=official", "scale=paper"])
        return method_part(str(composed.choices["model"]), composed.values["model"])

    def file_name(self, number: int, mark: str) -> str:
        """The name of one of several files."""
        return self.pattern.format(number=number, mark=mark)


def entries_of(rows: Iterable[LayoutRow]) -> Iterator[Entry]:
    """The entries of rows, in order."""
    return chain.from_iterable(row.entries for row in rows)


# ------------------------------------------------------------------ parts of tables


def same(weights: Weights, theirs: str, ours: str, *, left_out: str = "", file: int = 0) -> LayoutRow:
    """A module that both have with the same tensors: ``theirs.X`` is ``ours.X``.

    Args:
        weights: our names and shapes.
        theirs: the module's name there.
        ours: its name here.
        left_out: why the file's numbers are not taken though we have such a module; in a file that we write, ours stand for
            them.
        file: which of several files.
    """
    entries = []
    for name in weights:
        if name.startswith(f"{ours}."):
            entries.append(Entry(f"{theirs}.{name.removeprefix(f'{ours}.')}", (Piece(name),)))
    assert entries, f"our network has no {ours}"
    return LayoutRow(theirs, ours, tuple(entries), left_out, file)


def single(theirs: str, ours: str, view: Callable[[Tensor], Tensor] = as_it_is, *, file: int = 0) -> LayoutRow:
    """One tensor that is one of ours, perhaps in another form."""
    return LayoutRow(theirs, ours, (Entry(theirs, (Piece(ours, view),)),), file=file)


def absent(
    theirs: str, fillers: Mapping[str, Tensor], left_out: str, *, required: bool = False, file: int = 0
) -> LayoutRow:
    """Tensors that we have nothing like.

    Args:
        theirs: what they belong to.
        fillers: key -> what stands for it in a file that we write.
        left_out: why they are not taken.
        required: the file must hold just that.
        file: which of several files.
    """
    entries = []
    for key, filler in fillers.items():
        entries.append(Entry(key, filler=filler, required=required))
    return LayoutRow(theirs, "", tuple(entries), left_out, file)


def joined(theirs: str, ours: str, rows: Iterable[LayoutRow]) -> LayoutRow:
    """Several rows of one kind as one, under a common name."""
    parts = list(rows)
    first = parts[0]
    for row in parts:
        assert (row.left_out, row.file) == (first.left_out, first.file), "rows of one kind have one fate and one file"
    return replace(first, theirs=theirs, ours=ours, entries=tuple(entries_of(parts)))


def renamed(
    weights: Weights,
    theirs: str,
    ours: str,
    names: Iterable[tuple[str, str]],
    *,
    title: str = "",
    left_out: str = "",
    file: int = 0,
) -> LayoutRow:
    """A module that both have, whose parts are called otherwise: ``theirs.X`` is ``ours.Y`` for each (X, Y).

    Args:
        weights: our names and shapes.
        theirs: the module's name there.
        ours: its name here.
        names: of the parts, there and here, in the order of the file.
        title: what it is called in the table; empty for ``theirs``.
        left_out: as of :func:`same`.
        file: likewise.
    """
    parts = []
    for there, here in names:
        parts.append(same(weights, f"{theirs}.{there}", f"{ours}.{here}", left_out=left_out, file=file))
    return joined(title or theirs, ours, parts)


def constant(value: float, *shape: int) -> Tensor:
    """A float32 tensor of one number, which takes no memory before it is written."""
    return torch.tensor(value).expand(shape)


def no_batches() -> Tensor:
    """The counter of a norm that has seen nothing."""
    return torch.tensor(0)


def neck(weights: Weights, theirs: str, ours: str, *, left_out: str = "", file: int = 0) -> list[LayoutRow]:
    """A batch-norm neck: theirs has a shift that is 0 and never trained, ours has none."""
    channels = len(weights[f"{ours}.weight"])
    averages = []
    for name in ("running_mean", "running_var", COUNTER):
        averages.append(replace(single(f"{theirs}.{name}", f"{ours}.{name}", file=file), left_out=left_out))
    shift = {f"{theirs}.bias": constant(0.0, channels)}
    return [
        replace(single(f"{theirs}.weight", f"{ours}.weight", file=file), left_out=left_out),
        absent(f"{theirs}.bias", shift, "is 0 and never trained: our neck has no shift", required=True, file=file),
        joined(f"{theirs}.running_mean, .running_var, .{COUNTER}", ours, averages),
    ]
