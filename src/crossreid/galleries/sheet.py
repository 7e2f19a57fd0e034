"""Contact sheets: each query with the images that were found beside it, as one picture or one page."""

from __future__ import annotations

import base64
import html
import io
import math
from collections.abc import Sequence
from pathlib import Path

from PIL import Image, ImageDraw

from crossreid.data.decoding import Decoder
from crossreid.data.image_files import UnreadableImageError
from crossreid.data.records import MODALITIES
from crossreid.errors import ConfigError
from crossreid.escaping import one_line
from crossreid.files import write_atomically
from crossreid.galleries.entries import without_point
from crossreid.galleries.hits import Hits, Match

SHEET_SUFFIXES = (".png", ".html")
_WIDTH, _HEIGHT = 96, 192
"""Of a picture, in pixels."""
_LABEL = 30
"""Height of what stands below a picture."""
_GAP = 8
"""Between pictures, and around them."""
_PER_LINE = 10
"""Images of a query beside each other."""
_MOST_QUERIES = 100
"""Rows of a sheet; there are more in the list."""
_MOST_HITS = 50


def save_sheet(hits: Hits, path: str | Path) -> Path:
    """Write a contact sheet, .png or .html (the pictures are inside the page); images that cannot be read are grey.

    Shown are the first 100 queries and 50 images of each.

    Raises:
        ConfigError: it ends otherwise.
    """
    target = Path(path)
    if target.suffix == ".png":
        picture = _as_picture(hits)
        write_atomically(target, lambda stream: picture.save(stream, "PNG"))
    elif target.suffix == ".html":
        page = _as_page(hits)
        write_atomically(target, lambda stream: stream.write(page.encode()))
    else:
        raise ConfigError(f"sheet is '{path}': end it in .png or .html.")
    return target


def _as_picture(hits: Hits) -> Image.Image:
    """Each query at the left, its images beside it, ten in a line."""
    rows = min(len(hits), _MOST_QUERIES)
    counts = [min(len(found), _MOST_HITS) for found in hits.lists[:rows]]
    lines = [max(1, math.ceil(count / _PER_LINE)) for count in counts]  # a query that found nothing has one too
    columns = min(_PER_LINE, max(counts, default=0))
    step = _HEIGHT + _LABEL + _GAP
    width = (columns + 1) * (_WIDTH + _GAP) + 2 * _GAP  # one gap more sets the query apart
    height = sum(lines) * step + _GAP
    sheet = Image.new("RGB", (width, height), "white")
    draw = ImageDraw.Draw(sheet)
    top = _GAP
    for row in range(rows):
        sheet.paste(_thumbnail(hits.queries.paths[row], hits.queries.infrared[row]), (_GAP, top))
        draw.text((_GAP, top + _HEIGHT + 2), "\n".join(_query_label(hits, row)), fill="black")
        found = hits.lists[row]
        matches = hits.matches(row)
        for rank in range(counts[row]):
            line, column = divmod(rank, _PER_LINE)
            left = 2 * _GAP + (column + 1) * (_WIDTH + _GAP)
            upper = top + line * step
            sheet.paste(_thumbnail(found.paths[rank], found.infrared[rank]), (left, upper))
            label = "\n".join(_label(hits, matches, row, rank))
            draw.text((left, upper + _HEIGHT + 2), label, fill="black")
        top += lines[row] * step
    return sheet


def _query_label(hits: Hits, row: int) -> list[str]:
    """That it is the query; and, with a calibration, that nobody matches it."""
    if hits.nobody(row):
        return ["query", "nobody"]
    return ["query"]


def _label(hits: Hits, matches: Sequence[Match], row: int, rank: int) -> list[str]:
    """Rank and score, with a calibration whether it matches; camera, where it is known."""
    lines = [f"{rank + 1}: {hits.scores[row][rank]:.3f}"]
    match = matches[rank]
    if match.matches is not None and match.probability is not None:
        word = "match" if match.matches else "no match"
        lines[0] += f" {word}, {100 * match.probability:.0f} %"
    camera = hits.lists[row].columns.get("camera", ())
    if len(camera) and camera[rank] is not None:
        shown = one_line(without_point(camera[rank]))[:12]
        lines.append(f"camera {shown}".encode("ascii", "replace").decode())  # the font has no others
    return lines


def _as_page(hits: Hits) -> str:
    """One page without scripts, links or anything from elsewhere."""
    rows = []
    for row in range(min(len(hits), _MOST_QUERIES)):
        label = _query_label(hits, row)
        cells = [_cell(hits.queries.paths[row], bool(hits.queries.infrared[row]), label)]
        found = hits.lists[row]
        matches = hits.matches(row)
        for rank in range(min(len(found), _MOST_HITS)):
            label = _label(hits, matches, row, rank)
            cells.append(_cell(found.paths[rank], bool(found.infrared[rank]), label))
        rows.append(f"<tr>{''.join(cells)}</tr>")
    style = "body{font:13px sans-serif}td{vertical-align:top;padding:4px}td:first-child{border-right:2px solid #888}"
    table = "\n".join(rows)
    return (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>Search</title><style>{style}</style>\n'
        f"<table>\n{table}\n</table></html>\n"
    )


def _cell(path: str, infrared: bool, label: list[str]) -> str:
    """A cell of the page's table, with the picture inside."""
    stream = io.BytesIO()
    _thumbnail(path, infrared).save(stream, "JPEG", quality=85)
    content = base64.b64encode(stream.getvalue()).decode()
    named = "/".join(Path(path).parts[-2:])  # with its folder, which often is the person's
    title = html.escape(one_line(named), quote=True)
    text = "<br>".join(html.escape(line) for line in label)
    return f'<td title="{title}"><img alt="{title}" src="data:image/jpeg;base64,{content}"><br>{text}</td>'


def _thumbnail(path: str, infrared: bool) -> Image.Image:
    """An image in the size of the sheet; grey where it is not there or cannot be read."""
    modality = MODALITIES[int(infrared)]
    try:
        picture = Decoder().decode(Path(path), modality).image
    except UnreadableImageError:
        return Image.new("RGB", (_WIDTH, _HEIGHT), (200, 200, 200))
    return picture.resize((_WIDTH, _HEIGHT), Image.Resampling.BICUBIC)
