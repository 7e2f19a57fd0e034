"""What a file's name says of an image: whom it shows, and which camera took it.

Names are matched in the order of :data:`PATTERNS`; the first that fits counts.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from crossreid.data.datasets.lists import camera_number, shortened
from crossreid.errors import DataError

JUNK = re.compile(r"0*-1")
"""Market-1501 and MARS call what shows no person -1 (MARS: 00-1)."""

DISTRACTOR = "0000"
"""Market-1501 and MARS call people who are none of the persons sought 0000."""


@dataclass(frozen=True)
class NamePattern:
    """A way of naming images.

    Attributes:
        name: of the way, in words.
        numbering: names of one numbering count the same people and cameras, so a set has one only.
        pattern: with the group ``camera``, and ``person`` where the name says it; fits the whole name.
        has_distractors: the person ``0000`` is nobody in particular, by the rule of Market-1501.
    """

    name: str
    numbering: str
    pattern: re.Pattern[str]
    has_distractors: bool = False


class NameReading(NamedTuple):
    """What one name says; ``person`` or ``camera`` is None where it does not say it."""

    pattern: NamePattern
    person: str | None
    camera: int | None

    @property
    def junk(self) -> bool:
        """The name says that no person is shown."""
        return self.person is not None and JUNK.fullmatch(self.person) is not None

    @property
    def distractor(self) -> bool:
        """The name says that somebody is shown who is none of the persons sought."""
        return self.pattern.has_distractors and self.person == DISTRACTOR


def _pattern(text: str) -> re.Pattern[str]:
    return re.compile(text, re.IGNORECASE | re.ASCII)


PATTERNS = (
    NamePattern(
        "MARS: <person>C<camera>T<track>F<frame>",
        "MARS",
        _pattern(r"(?P<person>00-1|\d{4})C(?P<camera>\d+)T\d+F\d+\..*"),
        has_distractors=True,
    ),
    NamePattern(
        "MSMT17: <person>_<index>_<camera>_<date><time of day>_...",
        "MSMT17",
        _pattern(r"(?P<person>\d+)_\d+_(?P<camera>\d+)_\d{4}(?:morning|noon|afternoon|evening|night)_.*"),
    ),
    NamePattern(
        "Market-1501: <person>_c<camera>s<sequence>_...",
        "c<camera>",
        _pattern(r"(?P<person>-1|\d+)_c(?P<camera>\d+)s\d+[_.-].*"),
        has_distractors=True,
    ),
    NamePattern(
        "DukeMTMC-reID: <person>_c<camera>_f<frame>",
        "c<camera>",
        _pattern(r"(?P<person>-1|\d+)_c(?P<camera>\d+)_f\d+\..*"),
        has_distractors=True,
    ),
    NamePattern(
        "<person>_c<camera>_...",
        "c<camera>",
        _pattern(r"(?P<person>-1|\d+)_c(?P<camera>\d+)[_.-].*"),
        has_distractors=True,
    ),
)
"""Names that say person and camera."""

MARKED = NamePattern("..._c<camera>_... or ..._cam<camera>_...", "c<camera>", re.compile(""))
"""Names that say the camera alone, in a person's folder."""

UNMARKED = NamePattern("any other name, which says no camera", "none", re.compile(""))
"""Names that say nothing, in a person's folder."""

_MARK = _pattern(r"(?:^|_)c(?:am)?(\d+)(?=s\d|[_.-])")


def read_name(path: Path) -> NameReading:
    """What a file's name says.

    Raises:
        DataError: it says camera 0, a camera that is too large, or two cameras.
    """
    cameras = sorted({camera_number(number, path) for number in _MARK.findall(path.name)})
    if len(cameras) > 1:
        raise DataError(
            f"The name of '{path}' says camera {cameras[0]} and camera {cameras[1]}: leave one of them out."
        )
    for pattern in PATTERNS:
        match = pattern.pattern.fullmatch(path.name)
        if match is not None:
            return NameReading(pattern, match["person"], camera_number(match["camera"], path))
    if cameras:
        return NameReading(MARKED, None, cameras[0])
    return NameReading(UNMARKED, None, None)


def require_one_numbering(readings: list[tuple[Path, NameReading]]) -> None:
    """Raise :class:`DataError` where numbers of people and cameras need not mean the same all over a set."""
    first_path, first = readings[0]
    for path, reading in readings:
        if reading.pattern.numbering == first.pattern.numbering:
            continue
        if "none" in (reading.pattern.numbering, first.pattern.numbering):
            with_camera = first_path
            without = path
            if reading.camera:
                with_camera = path
                without = first_path
            raise DataError(
                f"'{with_camera}' has a camera in its name and '{without}' has no camera: name all images "
                "c<camera>_..., or none."
            )
        raise DataError(
            f"'{first_path}' is named as in {shortened(first.pattern.name)} and '{path}' as in "
            f"{shortened(reading.pattern.name)}: their numbers need not mean the same cameras, so keep them in two sets."
        )
