"""Whom an image shows, by its path in the layout of a public dataset: for features in the order of a public list.

* SYSU-MM01: ``cam3/0006/0001.jpg``; cameras 3 and 6 are infrared.
* RegDB: ``Visible/285/NAME``, ``Thermal/285/NAME``; camera 1 and 2.
* LLCM, test: ``test_vis/cam1/0007/NAME``, ``test_nir/...``; a visible and an infrared camera have one number.

What stands before is left out, as are ``./`` and Windows' strokes. Frames count a person's images in a camera and modality
by ascending name, so that a list must name all of them.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from crossreid.data.datasets.base import FoundImage, as_records
from crossreid.data.datasets.lists import camera_number, person_number, shortened
from crossreid.data.datasets.regdb import CAMERAS
from crossreid.data.records import Modality
from crossreid.errors import DataError
from crossreid.evaluation.array_files import Array
from crossreid.evaluation.embeddings import SYSU_INFRARED_CAMERAS


def _sysu(path: Path, match: re.Match[str]) -> FoundImage:
    camera = camera_number(match[1], path)
    modality: Modality = "infrared" if camera in SYSU_INFRARED_CAMERAS else "visible"
    return FoundImage(path, person_number(match[2], path), camera, modality)


def _regdb(path: Path, match: re.Match[str]) -> FoundImage:
    modality: Modality = "visible" if match[1] == "Visible" else "infrared"
    return FoundImage(path, person_number(match[2], path), CAMERAS[modality], modality)


def _llcm(path: Path, match: re.Match[str]) -> FoundImage:
    modality: Modality = "visible" if match[1] == "vis" else "infrared"
    return FoundImage(path, person_number(match[3], path), camera_number(match[2], path), modality)


_LAYOUTS: dict[str, tuple[re.Pattern[str], Callable[[Path, re.Match[str]], FoundImage]]] = {
    "LLCM": (re.compile(r"(?:.*/)?test_(vis|nir)/cam(\d+)/(\d+)/[^/]+", re.ASCII), _llcm),
    "SYSU-MM01": (re.compile(r"(?:.*/)?cam([1-6])/(\d+)/[^/]+", re.ASCII), _sysu),
    "RegDB": (re.compile(r"(?:.*/)?(Visible|Thermal)/(\d+)/[^/]+", re.ASCII), _regdb),
}
"""Dataset -> its paths; the first that fits counts."""


def _described(source: Path, text: str) -> tuple[str, FoundImage]:
    """The dataset that has such a path, and the image."""
    plain = text.replace("\\", "/")
    for name, (pattern, describe) in _LAYOUTS.items():
        match = pattern.fullmatch(plain)
        if match is not None:
            return name, describe(Path(plain), match)
    raise DataError(
        f"'{source}' names {shortened(text)}, which no layout has: cam3/0006/NAME of SYSU-MM01, Visible/285/NAME of RegDB or "
        "test_vis/cam1/0007/NAME of LLCM."
    )


def described_by_paths(source: Path, paths: Sequence[str]) -> dict[str, Array]:
    """``pids``, ``camids``, ``frames`` and ``infrared``, each (N,), of N images by their paths.

    Args:
        source: where the paths stand, for messages.
        paths: of the images, in any order.

    Raises:
        DataError: a path is of none of the layouts, two are of different ones, or one stands there twice.
    """
    if not paths:
        raise DataError(f"'{source}' names no image.")
    images = []
    layouts = set()
    for text in paths:
        layout, image = _described(source, text)
        layouts.add(layout)
        images.append(image)
    if len(layouts) > 1:
        raise DataError(f"'{source}' names images of different datasets ({' and '.join(sorted(layouts))}).")
    frame_of: dict[Path, int] = {}
    for record in as_records(images):
        if record.path in frame_of:
            raise DataError(f"'{source}' names {shortened(str(record.path))} twice.")
        frame_of[record.path] = record.frame
    return {
        "pids": np.array([image.pid for image in images], dtype=np.int64),
        "camids": np.array([image.camid for image in images], dtype=np.int64),
        "frames": np.array([frame_of[image.path] for image in images], dtype=np.int64),
        "infrared": np.array([image.modality == "infrared" for image in images], dtype=np.bool_),
    }
