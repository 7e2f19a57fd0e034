"""One image of a dataset, as a typed record."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

Modality = Literal["visible", "infrared"]
MODALITIES: tuple[Modality, Modality] = ("visible", "infrared")

Role = Literal["any", "query", "gallery", "distractor"]
ROLES: tuple[Role, Role, Role, Role] = ("any", "query", "gallery", "distractor")
"""What an image is in a test; a role's place here is its number in arrays.

``query`` and ``gallery`` are kept apart where a protocol has fixed queries, and are as ``any`` elsewhere. A
``distractor`` shows somebody who is none of the persons sought: it is in galleries only, and matches nobody.
"""


@dataclass(frozen=True, slots=True)
class ImageRecord:
    """One image of one person seen by one camera.

    Attributes:
        path: the image file.
        pid: identity, as the dataset numbers it (1-based in SYSU-MM01); each distractor has a negative one of its own.
        camid: camera, 1-based.
        modality: ``"visible"`` or ``"infrared"``.
        frame: 0-based place among this person's images in this camera, in ascending file order.
        row: 0-based place of the image in the dataset's list of records (the row of its embedding).
        role: what it is in a test.
    """

    path: Path
    pid: int
    camid: int
    modality: Modality
    frame: int
    row: int
    role: Role = "any"
