"""Names and paths that others chose, made harmless where they are shown: terminal, Markdown, CSV, figures, file names.

What is escaped stays readable: a control character is shown by its number, nothing is dropped.
"""

from __future__ import annotations

import html
import re
import unicodedata

LINE_BREAKS = "\n\t"
"""Control characters that text of several lines may have."""
_DIRECTIONS = "\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"
"""Characters that turn the direction of writing, so that a name reads as another one."""
_HIDDEN_CATEGORIES = ("Cc", "Cs", "Zl", "Zp")
"""Control characters (ANSI escapes begin with one), halves of pairs (file names that are no UTF-8), separators of lines."""
_MARKDOWN = re.compile(r"([\\`*\[\]{}#|~$^]|(?<![A-Za-z0-9])_|_(?![A-Za-z0-9]))")
"""Signs that Markdown obeys; a ``_`` inside a word is none."""
_OUTSIDE_FILE_NAMES = re.compile(r"[^\w.-]+")
_FORMULA = ("=", "+", "-", "@", "\t", "\r")
"""With one of these a cell is a formula for a spreadsheet."""
_SHIELD = "'"
"""Before such a cell: a spreadsheet then takes it for text."""
_LONGEST_FILE_NAME = 120


def _visible(text: str, exceptions: str) -> str:
    """Characters that a screen obeys instead of showing, by their numbers; those in ``exceptions`` stay."""
    if text.isascii() and text.isprintable():
        return text
    signs = []
    for sign in text:
        hidden = sign in _DIRECTIONS or unicodedata.category(sign) in _HIDDEN_CATEGORIES
        number = ord(sign)
        if not hidden or sign in exceptions:
            signs.append(sign)
        elif number < 256:
            signs.append(f"\\x{number:02x}")
        else:
            signs.append(f"\\u{number:04x}")
    return "".join(signs)


def for_terminal(text: str) -> str:
    """Text of several lines, without anything that a terminal would obey."""
    return _visible(text, LINE_BREAKS)


def one_line(text: object) -> str:
    """A name or path as one line: a line break in it is shown by its number, too."""
    return _visible(str(text), "")


def for_markdown(text: object) -> str:
    """A name or path as text of a Markdown page: it makes no table, no link and no emphasis, and no HTML either."""
    without_marks = _MARKDOWN.sub(r"\\\1", one_line(text))
    return html.escape(without_marks, quote=False)  # a page is turned into HTML


def for_csv(cell: object) -> object:
    """A cell of a CSV file: numbers as they are; text that a spreadsheet would take for a formula after a ``'``."""
    if isinstance(cell, int | float):
        return cell
    text = str(cell)
    if text.startswith(_FORMULA) or _is_shielded(text):
        text = _SHIELD + text
    return one_line(text)


def from_csv(cell: str) -> str:
    """The text that :func:`for_csv` was given, but for control characters, which stay shown by their numbers."""
    if _is_shielded(cell):
        return cell[1:]
    return cell


def _is_shielded(cell: str) -> bool:
    """It begins as :func:`for_csv` leaves a formula; one that did so before gets a second ``'``."""
    return cell.startswith(_SHIELD) and cell[1:].startswith((*_FORMULA, _SHIELD, "\\x"))


def for_figure(text: object) -> str:
    """A name in a figure: no dollar sign begins a formula."""
    return one_line(text).replace("$", r"\$")


def for_file_name(text: object) -> str:
    """A name as a part of a file's name: letters, digits, ``_``, ``.`` and ``-``, and no way out of the folder."""
    plain = _OUTSIDE_FILE_NAMES.sub("_", one_line(text)).strip(".")
    return plain[:_LONGEST_FILE_NAME] or "_"
