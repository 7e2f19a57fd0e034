"""The public codes whose files are read and written, by the name that ``source=`` has."""

from __future__ import annotations

from crossreid.errors import ConfigError
from crossreid.importing.aligngan import ALIGNGAN_LAYOUT
from crossreid.importing.jsia import JSIA_LAYOUT
from crossreid.importing.layouts import PublicLayout
from crossreid.importing.two_stream import AGW_LAYOUT, CAJ_LAYOUT, DDAG_LAYOUT, LBA_LAYOUT
from crossreid.settings.fields import check_choice

LAYOUTS: dict[str, PublicLayout] = {
    layout.name: layout for layout in (ALIGNGAN_LAYOUT, JSIA_LAYOUT, LBA_LAYOUT, AGW_LAYOUT, CAJ_LAYOUT, DDAG_LAYOUT)
}


def layout_of(source: str) -> PublicLayout:
    """The layout of a public code.

    Raises:
        ConfigError: there is no such code.
    """
    check_choice("source", source, tuple(LAYOUTS))
    return LAYOUTS[source]


def layout_of_method(method: str, *, mirrored: bool) -> PublicLayout:
    """The layout that a method of ours has in public.

    Args:
        method: its registered name.
        mirrored: it embeds mirror images too, by which CAJ and AGW differ.

    Raises:
        ConfigError: no public code has one.
    """
    if method == "agw" and mirrored:
        return CAJ_LAYOUT
    if method not in LAYOUTS:
        raise ConfigError(f"{method} has no public layout: there are {', '.join(LAYOUTS)}.")
    return LAYOUTS[method]
