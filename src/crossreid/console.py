"""The one rich console, and a progress bar for long work."""

from __future__ import annotations

import logging
import os
import warnings
from collections.abc import Iterable, Iterator
from io import StringIO
from typing import TypeVar

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.table import Table

T = TypeVar("T")

console = Console(highlight=False, soft_wrap=True)
"""Where commands print results and notices."""

err_console = Console(stderr=True, highlight=False, soft_wrap=True)
"""Where commands print progress and errors."""


def unshortened(table: Table) -> Table:
    """Fix the width that the cells need: a narrow terminal may wrap lines, but never shortens a number."""
    caption, table.caption = table.caption, None  # it wraps
    table.width = Console(width=1000).measure(table).maximum
    table.caption = caption
    return table


def as_text(table: Table) -> str:
    """A table as plain text, as wide as its cells need."""
    text = StringIO()
    Console(file=text, width=1000, highlight=False).print(unshortened(table))
    return "\n".join(line.rstrip() for line in text.getvalue().splitlines())


def make_progress(*, transient: bool = False) -> Progress:
    """A progress bar: label, bar, count, elapsed and remaining time."""
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[note]}"),
        console=err_console,
        transient=transient,
    )


def track(items: Iterable[T], label: str, *, total: int | None = None, enabled: bool = True) -> Iterator[T]:
    """Yield ``items`` under a progress bar named ``label``; plain iteration when not ``enabled``."""
    if not enabled:
        yield from items
        return
    with make_progress() as progress:
        task = progress.add_task(label, total=total, note="")
        for item in items:
            yield item
            progress.advance(task)


def main_process() -> bool:
    """This process is not one that DDP relaunched."""
    return os.environ.get("LOCAL_RANK", "0") == "0" and os.environ.get("NODE_RANK", "0") == "0"


def notice(message: str) -> None:
    """Print, once and not on every rank, one line that a person should know but that stops nothing."""
    if main_process():
        console.print(message, markup=False)


_CHATTY = ("pytorch_lightning", "pytorch_lightning.utilities.rank_zero", "lightning_fabric")
_HARMLESS = (
    ".*does not have many workers.*",  # pixels come from a memory map
    ".*Total length of `DataLoader` across ranks is zero.*",  # a set of one modality
    ".*`tensorboardX` has been removed.*",  # other loggers are used
    ".*isinstance\\(treespec, LeafSpec\\).*",  # Lightning's own
    ".*your dataloader is not resumable.*",  # it is: the sampler goes by the iteration
)


def quiet() -> None:
    """Keep start-up chatter and known harmless warnings of the libraries off the screen."""
    for name in _CHATTY:
        logging.getLogger(name).setLevel(logging.WARNING)
    for message in _HARMLESS:
        warnings.filterwarnings("ignore", message=message)
