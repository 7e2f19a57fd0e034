"""The public codes whose files are read and written, by the name that ``source=`` has."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from crossreid.errors import ConfigError
from crossreid.importing.aligngan import ALIGNGAN_LAYOUT
from crossreid.importing.jsia import JSIA_LAYOUT
from crossreid.importing.layouts import PublicLayout
from crossreid.importing.two_stream import (
    AGW_LAYOUT,
    CAJ_LAYOUT,
    DDAG_LAYOUT,
    DEEN_LAYOUT,
    DEEN_REGDB_LAYOUT,
    LBA_LAYOUT,
)
from crossreid.settings.fields import check_choice

_ALL = (
    ALIGNGAN_LAYOUT,
    JSIA_LAYOUT,
    LBA_LAYOUT,
    AGW_LAYOUT,
    CAJ_LAYOUT,
    DDAG_LAYOUT,
    DEEN_LAYOUT,
    DEEN_REGDB_LAYOUT,
)
LAYOUTS: dict[str, PublicLayout] = {layout.name: layout for layout in _ALL}


def layout_of(source: str) -> PublicLayout:
    """The layout of a public code.

    Raises:
        ConfigError: there is no such code.
    """
    check_choice("source", source, tuple(LAYOUTS))
    return LAYOUTS[source]


def layout_of_method(method: str, settings: Mapping[str, Any]) -> PublicLayout:
    """The layout that a method of ours has in public.

    Args:
        method: its registered name.
        settings: of it: CAJ and AGW differ by mirror images at test, DEEN's networks by their last stage.

    Raises:
        ConfigError: no public code has one.
    """
    if method == "agw" and settings.get("flip_test"):
        return CAJ_LAYOUT
    if method == "deen" and settings.get("last_stage") == 3:
        return DEEN_REGDB_LAYOUT
    if method not in LAYOUTS:
        raise ConfigError(f"{method} has no public layout: there are {', '.join(LAYOUTS)}.")
    return LAYOUTS[method]
