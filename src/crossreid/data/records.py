"""One image of a dataset, as a typed record."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

Modality = Literal["visible", "infrared"]
MODALITIES: tuple[Modality, Modality] = ("visible", "infrared")


@dataclass(frozen=True, slots=True)
class ImageRecord:
    """One image of one person seen by one camera.

    Attributes:
        path: the image file.
        pid: identity, as the dataset numbers it (1-based in SYSU-MM01).
        camid: camera, 1-based.
        modality: ``"visible"`` or ``"infrared"``.
        frame: 0-based place among this person's images in this camera, in ascending file order.
        row: 0-based place of the image in the dataset's list of records (the row of its embedding).
    """

    path: Path
    pid: int
    camid: int
    modality: Modality
    frame: int
    row: int
