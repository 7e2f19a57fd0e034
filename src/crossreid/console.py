"""The one rich console, and a progress bar for long work. Text is shown as it is: no name in it is markup or obeyed."""

from __future__ import annotations

import logging
import os
import sys
import warnings
from collections.abc import Iterable, Iterator
from io import StringIO, TextIOWrapper
from typing import Any, NoReturn, TypeVar

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

from crossreid.escaping import for_terminal, one_line

T = TypeVar("T")
_RANKS = ("LOCAL_RANK", "NODE_RANK", "GROUP_RANK")
"""Environment variables of processes that train together; a machine is a node for Lightning and a group for torchrun."""
WANDB_SWEEP = "WANDB_SWEEP_ID"
"""Environment variable that W&B's agent sets for the runs of a sweep."""


class PlainConsole(Console):
    """A console that takes text literally, wherever it stands: in a line, a cell, a heading, a title or a caption.

    Names and paths come from other people: ``[red]`` in one is no colour, and no control character reaches the terminal.
    Colours are given by ``style=``, or as :class:`rich.text.Text`.
    """

    def render_str(self, text: str, **how: Any) -> Text:
        """Text as it is; rich calls this for every string that it shows."""
        literally = {**how, "markup": False, "emoji": False}
        return super().render_str(for_terminal(text), **literally)


def make_console(**how: Any) -> PlainConsole:
    """A console as all commands use it; the arguments are those of rich's."""
    return PlainConsole(**{"highlight": False, "soft_wrap": True, **how})


console = make_console()
"""Where commands print results and notices."""

err_console = make_console(stderr=True)
"""Where commands print progress and errors."""


def unshortened(table: Table) -> Table:
    """Fix the width that the cells need: a narrow terminal may wrap lines, but never shortens a number.

    All text becomes literal, so that the table is safe on anybody's console, and each cell is one line.
    """
    for column in table.columns:
        column.header = _literal(column.header)
        column._cells = [_literal(cell) for cell in column.cells]
    if isinstance(table.title, str):
        table.title = Text(one_line(table.title), style="table.title")
    # A caption wraps, and so has no part in the width: it is taken off while the width is measured.
    caption = table.caption
    table.caption = None
    table.width = make_console(width=1000).measure(table).maximum
    if isinstance(caption, str):
        caption = Text(for_terminal(caption), style="table.caption")
    table.caption = caption
    return table


def _literal(cell: Any) -> Any:
    """A cell's text as one line without markup."""
    if isinstance(cell, str):
        return Text(one_line(cell))
    return cell


def as_text(table: Table) -> str:
    """A table as plain text, as wide as its cells need."""
    text = StringIO()
    make_console(file=text, width=1000, soft_wrap=False).print(unshortened(table))
    lines = [line.rstrip() for line in text.getvalue().splitlines()]
    return "\n".join(lines)


def make_progress(*, transient: bool = False) -> Progress:
    """A progress bar: label, bar, count, elapsed and remaining time."""
    return Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[note]}", markup=False),
        console=err_console,
        transient=transient,
    )


def track(items: Iterable[T], label: str, *, total: int | None = None, enabled: bool = True) -> Iterator[T]:
    """Yield ``items`` under a progress bar named ``label``; plain iteration when not ``enabled``."""
    if not enabled:
        yield from items
        return
    with make_progress() as progress:
        task = progress.add_task(one_line(label), total=total, note="")
        for item in items:
            yield item
            progress.advance(task)


def main_process() -> bool:
    """This process is the first of those that train together: not one that DDP relaunched, or another one of torchrun."""
    return all(os.environ.get(name, "0") == "0" for name in _RANKS)


def in_wandb_sweep() -> bool:
    """An agent of a W&B sweep started this process."""
    return bool(os.environ.get(WANDB_SWEEP))


def notice(message: str) -> None:
    """Print, once and not on every rank, one line that a person should know but that stops nothing."""
    if main_process():
        console.print(one_line(message))


def complain(message: str) -> None:
    """Print a mistake."""
    err_console.print(f"Error: {message}", style="red")


class CommandEnded(SystemExit):
    """A command ends with exit code 1, a whole multirun too, and has said why.

    Attributes:
        message: what it said.
    """

    def __init__(self, message: str) -> None:
        super().__init__(1)
        self.message = message


def stop(message: str) -> NoReturn:
    """Say one sentence and end the command, a whole multirun too, with exit code 1."""
    complain(message)
    raise CommandEnded(message)


def show_page(text: str) -> None:
    """Print what a person may read a part of: where the reader has gone (``| head``), the rest is nobody's."""
    try:
        print(text, flush=True)
    except BrokenPipeError:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stdout.fileno())  # Python flushes it once more at its end


_CHATTY = ("pytorch_lightning", "pytorch_lightning.utilities.rank_zero", "lightning_fabric")
_HARMLESS = (
    ".*does not have many workers.*",  # pixels come from a memory map
    ".*Total length of `DataLoader` across ranks is zero.*",  # a set of one modality
    ".*`tensorboardX` has been removed.*",  # other loggers are used
    ".*isinstance\\(treespec, LeafSpec\\).*",  # Lightning's own
    ".*your dataloader is not resumable.*",  # it is: the sampler goes by the iteration
)


def quiet() -> None:
    """Keep start-up chatter and known harmless warnings of the libraries off the screen.

    A sign that the terminal's encoding lacks is shown by its number: it must not end a run.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    for name in _CHATTY:
        logging.getLogger(name).setLevel(logging.WARNING)
    for message in _HARMLESS:
        warnings.filterwarnings("ignore", message=message)
