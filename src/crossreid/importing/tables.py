"""The tables of the layouts in words, for docs/imported_weights.md."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch

from crossreid.importing.layouts import LayoutRow, PublicLayout
from crossreid.importing.sources import LAYOUTS
from crossreid.methods.base import CrossModalityModule
from crossreid.settings.registry import method_class


def rows_of(layout: PublicLayout, persons: int = 395) -> list[LayoutRow]:
    """A layout's table for a number of training persons."""
    settings = layout.settings()
    with torch.device("meta"):
        outline: CrossModalityModule[Any] = method_class(settings)(settings, persons, 0)
    return layout.rows(outline.state_dict())


def key_table(layout: PublicLayout) -> str:
    """A layout's table in Markdown: what each part of the files becomes, or why it is left out.

    Parts of one file that are left out for one reason stand in one line.
    """
    lines = ["| in the file | tensors | here |", "|---|---|---|"]
    for row in _gathered(rows_of(layout)):
        theirs = _in_code(row.theirs)
        if layout.pattern:
            theirs = f"{row.file}: {theirs}"
        here = _in_code(row.ours)
        if row.left_out:
            here = f"left out: {row.left_out}"
        lines.append(f"| {theirs} | {len(row.entries)} | {here} |")
    return "\n".join(lines)


def all_tables() -> str:
    """The tables of all layouts, each below its own heading."""
    parts = []
    for layout in LAYOUTS.values():
        parts.append(f"### {layout.title}\n")
        twin = _twin(layout)
        if twin is not None:
            parts.append(f"`source={layout.name}`: the table of `source={twin.name}`.\n")
            continue
        if layout.pattern:
            files = [f"{number} {network}" for number, network in enumerate(layout.networks)]
            name = layout.file_name(0, "N")
            parts.append(f"`source={layout.name}`. Files `{name}` and so on: {', '.join(files)}.\n")
        else:
            parts.append(f"`source={layout.name}`.\n")
        parts.append(f"{key_table(layout)}\n")
    return "\n".join(parts)


def _gathered(rows: list[LayoutRow]) -> list[LayoutRow]:
    """Rows of one file that are left out for one reason as one, at the place of the first."""
    gathered: list[LayoutRow] = []
    for row in rows:
        for place, other in enumerate(gathered):
            if row.left_out and (other.left_out, other.file) == (row.left_out, row.file):
                theirs = f"{other.theirs}, {row.theirs}"
                gathered[place] = replace(other, theirs=theirs, entries=other.entries + row.entries)
                break
        else:
            gathered.append(row)
    return gathered


def _twin(layout: PublicLayout) -> PublicLayout | None:
    """A layout with the same table that comes before this one."""
    for other in LAYOUTS.values():
        if other is layout:
            return None
        if other.rows is layout.rows:
            return other
    return None


def _in_code(names: str) -> str:
    """Names as code, each for itself."""
    return ", ".join(f"`{name}`" for name in names.split(", "))


if __name__ == "__main__":
    print(all_tables())
