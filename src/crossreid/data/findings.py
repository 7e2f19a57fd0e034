"""What an examination of a dataset finds: counts, ranges of grey, names as they were read, and what is wrong."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from crossreid.data.datasets import CameraCount, SkippedFiles
from crossreid.data.decoding import GreyRange
from crossreid.data.records import Modality, Role

Severity = Literal["error", "warning"]


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong with a copy.

    Attributes:
        severity: an ``error`` makes scores wrong; a ``warning`` is odd but can be worked with.
        kind: ``layout``, ``names``, ``count``, ``unreadable``, ``size``, ``channels``, ``range``, ``modality``, ``split``,
            ``duplicate`` or ``cache``.
        message: what it is, with the names of the files or identities.
    """

    severity: Severity
    kind: str
    message: str


@dataclass(frozen=True)
class CountRow:
    """Identities and images of one camera in one split; ``expected`` is None where nothing is known."""

    split: str
    camera: int
    found: CameraCount
    expected: CameraCount | None

    @property
    def right(self) -> bool:
        """As many as there should be, as far as that is known."""
        return self.expected is None or self.found == self.expected


@dataclass(frozen=True)
class GreyUse:
    """Images of one modality that are deeper than 8 bits.

    Attributes:
        modality: theirs.
        images: how many there are.
        grey: their smallest and largest value, and what becomes 0 and 1.
    """

    modality: Modality
    images: int
    grey: GreyRange

    @property
    def share(self) -> float:
        """The part of [0, 1] that their values take up."""
        low, high, black, white = self.grey
        return (min(high, white) - max(low, black)) / max(white - black, 1e-9)


@dataclass(frozen=True)
class NameExample:
    """How one file was read; ``file`` is relative to the dataset's folder."""

    file: str
    split: str
    pid: int
    camera: int
    modality: Modality
    role: Role


@dataclass(frozen=True)
class NamesRead:
    """A way of naming images: how many images are named so, and how some of them were read."""

    pattern: str
    images: int
    examples: tuple[NameExample, ...]


@dataclass(frozen=True)
class Examination:
    """What the doctor found.

    Attributes:
        counts: a row for each split and camera.
        findings: errors first.
        images: number of images opened.
        ranges: values of images deeper than 8 bits, a row for each modality that has some.
        names: what was understood of the files' names, with up to three examples a pattern.
        skipped: what lies there and is not read, by reason.
    """

    counts: tuple[CountRow, ...]
    findings: tuple[Finding, ...]
    images: int
    ranges: tuple[GreyUse, ...] = ()
    names: tuple[NamesRead, ...] = ()
    skipped: tuple[SkippedFiles, ...] = ()

    @property
    def healthy(self) -> bool:
        """No errors; warnings may be there."""
        return all(finding.severity != "error" for finding in self.findings)
