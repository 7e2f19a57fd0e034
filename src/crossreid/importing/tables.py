"""The tables of the layouts in words, for docs/imported_weights.md."""

from __future__ import annotations

from typing import Any

import torch

from crossreid.importing.layouts import PublicLayout, Row
from crossreid.importing.sources import LAYOUTS
from crossreid.methods.base import CrossModalityModule
from crossreid.settings.registry import method_class


def rows_of(layout: PublicLayout, persons: int = 395) -> list[Row]:
    """A layout's table for a number of training persons."""
    settings = layout.settings()
    with torch.device("meta"):
        outline: CrossModalityModule[Any] = method_class(settings)(settings, persons, 0)
    return layout.rows(outline.state_dict())


def key_table(layout: PublicLayout) -> str:
    """A layout's table in Markdown: what each part of the files becomes, or why it is left out."""
    several = len(layout.networks) > 1
    lines = ["| in the file | tensors | here |", "|---|---|---|"]
    if several:
        lines = ["| file | in the file | tensors | here |", "|---|---|---|---|"]
    for row in rows_of(layout):
        here = f"left out: {row.left_out}" if row.left_out else ", ".join(f"`{part}`" for part in row.ours.split(", "))
        cells = [f"`{row.theirs}`", str(len(row.entries)), here]
        if several:
            cells.insert(0, f"{row.file}, {layout.networks[row.file]}")
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def all_tables() -> str:
    """The tables of all layouts, each below its own heading."""
    parts = []
    for layout in LAYOUTS.values():
        parts.append(f"### {layout.title}: `source={layout.name}`\n\n{key_table(layout)}\n")
    return "\n".join(parts)


if __name__ == "__main__":
    print(all_tables())
