"""Settings as text for a terminal, at most 100 columns wide."""

from __future__ import annotations

import textwrap

from crossreid.settings.fields import Described
from crossreid.settings.reference import assigned, explained

WIDTH = 100
_MARGIN = 34
"""Columns of a setting; its meaning begins behind them."""


def setting_entry(item: Described) -> list[str]:
    """A setting with its value and its meaning."""
    return entry(assigned(item), explained(item))


def entry(name: str, meaning: str) -> list[str]:
    """A name and its meaning: beside each other where the name is short, else below it."""
    lines = textwrap.wrap(meaning, WIDTH - _MARGIN)
    indented = [f"{'':{_MARGIN}}{line}" for line in lines]
    beside = len(name) + 4 <= _MARGIN
    if not beside or not lines:
        return [f"  {name}", *indented]
    return [f"  {name}".ljust(_MARGIN) + lines[0], *indented[1:]]
