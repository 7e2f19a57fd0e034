"""Examining a copy of a dataset: what is missing, unreadable, odd, swapped or there twice.

A reader refuses a copy at the first problem, in one sentence. The doctor goes through all of it, opens every image once,
and names everything that it finds.
"""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import combinations
from math import sqrt
from pathlib import Path
from statistics import median

import numpy as np
from PIL import Image

from crossreid.console import track
from crossreid.data.datasets import CameraCount, ReIDDataset, SplitCounts, some
from crossreid.data.decoding import Decoder, GreyRange, make_decoder
from crossreid.data.findings import CountRow, Examination, Finding, GreyUse, NameExample, NamesRead, Severity
from crossreid.data.image_files import UnreadableImageError
from crossreid.data.records import MODALITIES, ImageRecord, Modality
from crossreid.settings.data import DecodingConfig

FLAT = 0.25  # share of [0, 1] below which deep images are nearly flat
SMALLEST = (16, 8)  # height and width in pixels below which an image is odd
_THUMB = (16, 32)  # width and height at which colour is measured: sensor noise averages out


@dataclass(frozen=True, slots=True)
class _Look:
    """What one image is like. ``problem`` is None where it can be read; ``chroma`` is in [0, 255], 0 for grey."""

    problem: str | None
    size: tuple[int, int] = (0, 0)
    mode: str = ""
    grey: GreyRange | None = None
    chroma: float = 0.0
    digest: bytes = b""


def examine(
    dataset: ReIDDataset,
    expected: SplitCounts | None,
    complaints: Sequence[str] = (),
    *,
    decoding: DecodingConfig | None = None,
    damaged_caches: Sequence[Path] = (),
    workers: int = 1,
    progress: bool = False,
) -> Examination:
    """Open every image of a dataset and name all that is wrong.

    Args:
        dataset: as a reader listed it, without verifying.
        expected: what a complete copy holds; None where that is not known.
        complaints: what the reader complained of.
        decoding: how files become pixels.
        damaged_caches: files of decoded images that are not what was written.
        workers: decoding threads.
        progress: show a bar.
    """
    records = dataset.records
    training = [split for split in ("train", "val") if split in dataset.splits]
    reference = None
    if training:
        reference = dataset.rows(*training)
    decoder = make_decoder(decoding or DecodingConfig(), records, reference, workers=workers)
    with ThreadPoolExecutor(workers) as pool:
        results = pool.map(lambda record: _look(record, decoder), records)
        looks = list(track(results, "examining images", total=len(records), enabled=progress))
    pairs = list(zip(records, looks, strict=True))
    readable = [(record, look) for record, look in pairs if look.problem is None]
    counts = tuple(_count_rows(dataset.counts(), expected))
    ranges = tuple(_grey_ranges(readable))
    findings: list[Finding] = []
    for complaint in complaints:
        findings.append(Finding("error", "layout", complaint))
    for note in dataset.notes:
        findings.append(Finding("warning", "names", note))
    findings += _wrong_counts(counts)
    findings += _shared_identities(dataset)
    findings += _unreadable(pairs, decoder.config)
    findings += _odd_images(readable)
    findings += _flat(ranges)
    findings += _wrong_modality(readable)
    findings += _duplicates(readable)
    for path in damaged_caches:
        findings.append(Finding("error", "cache", f"{path} is not what was written: remove it"))
    errors_first = tuple(sorted(findings, key=lambda finding: finding.severity != "error"))
    return Examination(counts, errors_first, len(records), ranges, names_read(dataset), dataset.skipped)


def names_read(dataset: ReIDDataset, examples: int = 3) -> tuple[NamesRead, ...]:
    """What a reader understood of the files' names: of each pattern some images from its first to its last."""
    split_of: dict[int, str] = {}
    for split, rows in dataset.splits.items():
        split_of |= dict.fromkeys(rows.tolist(), split)
    patterns = []
    for pattern, rows in dataset.names.items():
        places = np.unique(np.linspace(0, len(rows) - 1, min(examples, len(rows))).astype(np.int64))
        files = []
        for row in rows[places].tolist():
            record = dataset.records[row]
            file = record.path.relative_to(dataset.root).as_posix()
            split = split_of.get(row, "none")
            files.append(NameExample(file, split, record.pid, record.camid, record.modality, record.role))
        patterns.append(NamesRead(pattern, len(rows), tuple(files)))
    return tuple(patterns)


_Looks = Sequence[tuple[ImageRecord, _Look]]


def _look(record: ImageRecord, decoder: Decoder) -> _Look:
    try:
        content = record.path.read_bytes()
        image, mode, grey = decoder.decode(record.path, record.modality)
    except UnreadableImageError as error:
        return _Look(error.reason)
    except OSError as error:
        return _Look(error.strerror or type(error).__name__)
    thumb = np.asarray(image.resize(_THUMB, Image.Resampling.BOX), dtype=np.int16)
    chroma = float((thumb.max(2) - thumb.min(2)).mean())
    size = (image.height, image.width)
    return _Look(None, size, mode, grey, chroma, hashlib.sha256(content).digest())


def _count_rows(found: SplitCounts, expected: SplitCounts | None) -> Iterator[CountRow]:
    none = CameraCount(0, 0)
    if expected is None:
        for split, cameras in found.items():
            for camera, count in cameras.items():
                yield CountRow(split, camera, count, None)
        return
    for split in dict.fromkeys([*found, *expected]):  # each once, in this order
        found_cameras = found.get(split, {})
        expected_cameras = expected.get(split, {})
        for camera in sorted({*found_cameras, *expected_cameras}):
            yield CountRow(split, camera, found_cameras.get(camera, none), expected_cameras.get(camera, none))


def _wrong_counts(rows: Iterable[CountRow]) -> Iterator[Finding]:
    for row in rows:
        if not row.right:
            assert row.expected is not None
            what = "is missing"
            if row.found.images:
                what = f"holds {row.found.ids} ids and {row.found.images} images"
            yield Finding(
                "error",
                "count",
                f"{row.split} camera {row.camera} {what} where {row.expected.ids} ids and {row.expected.images} images "
                "belong",
            )


def _shared_identities(dataset: ReIDDataset) -> Iterator[Finding]:
    people = {split: dataset.people(split) for split in dataset.splits}
    for one, two in combinations(people, 2):
        shared = sorted(people[one] & people[two])
        if shared:
            yield Finding(
                "error", "split", f"identities {some(shared)} are in both {one} and {two}: scores would be too good"
            )


def _unreadable(looks: _Looks, decoding: DecodingConfig) -> Iterator[Finding]:
    severity: Severity = "error"
    if decoding.unreadable == "skip":  # a training leaves them out
        severity = "warning"
    for record, look in looks:
        if look.problem is not None:
            yield Finding(severity, "unreadable", f"{record.path} cannot be read ({look.problem})")


def _grey_ranges(looks: _Looks) -> Iterator[GreyUse]:
    """What the deep images of each modality use of [0, 1], together."""
    for modality in MODALITIES:
        ranges: list[GreyRange] = []
        for record, look in looks:
            if look.grey is not None and record.modality == modality:
                ranges.append(look.grey)
        if ranges:
            together = GreyRange(
                low=min(grey.low for grey in ranges),
                high=max(grey.high for grey in ranges),
                black=min(grey.black for grey in ranges),
                white=max(grey.white for grey in ranges),
            )
            yield GreyUse(modality, len(ranges), together)


def _flat(ranges: Iterable[GreyUse]) -> Iterator[Finding]:
    for use in ranges:
        if use.share < FLAT:
            low, high, black, white = use.grey
            yield Finding(
                "warning",
                "range",
                f"the {use.images} deep {use.modality} images hold values from {low:g} to {high:g} where {black:g} is black "
                f"and {white:g} is white, {use.share:.0%} of it, so they are nearly flat: say "
                f"data.decoding.stretch=percentiles, or data.decoding.stretch=range data.decoding.range=[{low:g},{high:g}]",
            )


def _odd_images(looks: _Looks) -> Iterator[Finding]:
    kinds: dict[str, list[Path]] = defaultdict(list)
    modes: dict[Modality, Counter[str]] = defaultdict(Counter)
    for record, look in looks:
        modes[record.modality][look.mode] += 1
    for record, look in looks:
        height, width = look.size
        if width >= height:
            kinds["wider than high"].append(record.path)
        elif height < SMALLEST[0] or width < SMALLEST[1]:
            kinds[f"smaller than {SMALLEST[0]}x{SMALLEST[1]} pixels"].append(record.path)
        usual_mode, _ = modes[record.modality].most_common(1)[0]
        if look.mode != usual_mode:
            what = f"of mode {look.mode} where the other {record.modality} images are {usual_mode}"
            kinds[what].append(record.path)
    for what, paths in kinds.items():
        kind = "channels" if what.startswith("of mode") else "size"
        yield Finding("warning", kind, f"{_images(len(paths))} {what}: {some(paths, 5)}")


def _wrong_modality(looks: _Looks) -> Iterator[Finding]:
    """Person by person and camera by camera: grey pictures in a visible camera, coloured ones in an infrared camera.

    What counts as grey and as coloured is read off the set's greyest and most coloured camera: infrared may have a tint.
    """
    by_person: dict[tuple[int, Modality], dict[int, list[float]]] = defaultdict(lambda: defaultdict(list))
    by_camera: dict[tuple[int, Modality], list[float]] = defaultdict(list)
    for record, look in looks:
        by_person[record.camid, record.modality][record.pid].append(look.chroma)
        by_camera[record.camid, record.modality].append(look.chroma)
    modalities = {modality for _, modality in by_camera}
    if modalities != set(MODALITIES):  # there is nothing to compare with
        return
    medians = list(map(median, by_camera.values()))
    grey = min(medians)
    colour = max(medians)
    if colour < 2 * grey + 2:
        yield Finding(
            "warning", "modality", "no camera has much more colour than another: modalities were not compared"
        )
        return
    least_of_colour = sqrt((grey + 1) * (colour + 1))  # half way by their ratio; 1 is added since grey may be 0
    most_of_grey = 1.5 * grey + 1
    for (camera, modality), people in sorted(by_person.items()):
        if modality == "infrared":
            wrong = [pid for pid, chromas in people.items() if min(chromas) > least_of_colour]
            what = f"coloured images in the infrared camera {camera}"
        else:
            wrong = [pid for pid, chromas in people.items() if max(chromas) < most_of_grey]
            what = f"grey images in the visible camera {camera}"
        if len(wrong) > len(people) / 2:
            yield Finding("error", "modality", f"{what}: it holds the other modality's images")
        elif wrong:
            yield Finding("error", "modality", f"{what}: those of identities {some(sorted(wrong))}")


def _duplicates(looks: _Looks) -> Iterator[Finding]:
    """Files of the same bytes: between identities an error, within one a warning."""
    by_content: dict[bytes, list[ImageRecord]] = defaultdict(list)
    for record, look in looks:
        by_content[look.digest].append(record)
    between: dict[tuple[int, int], list[tuple[Path, Path]]] = defaultdict(list)
    within: list[Path] = []
    for records in by_content.values():
        first = records[0]
        for other in records[1:]:
            if other.pid == first.pid:
                within.append(other.path)
            elif other.pid < first.pid:  # a pair of identities once, the smaller one first
                between[other.pid, first.pid].append((other.path, first.path))
            else:
                between[first.pid, other.pid].append((first.path, other.path))
    for (one, two), pairs in sorted(between.items()):
        example = " = ".join(map(str, pairs[0]))
        yield Finding(
            "error", "duplicate", f"identities {one} and {two} share {_images(len(pairs))}, such as {example}"
        )
    if within:
        yield Finding("warning", "duplicate", f"{_images(len(within))} there twice for one identity: {some(within, 5)}")


def _images(count: int) -> str:
    if count == 1:
        return "1 image"
    return f"{count} images"
